"""Messages of the Segment spec as canonical facts.

Takes one `track`, `identify`, `page`, `screen` or `group` message; gives the events and
statements that it says. Nested properties are flattened with dots, a list becomes its length
(`products.count`). Knows nothing about HTTP or where facts are kept.

The time of an event is `timestamp` (`originalTimestamp` where that is missing), moved by the
difference between `sentAt` and the arrival, which is how far the sender's clock is off; without
`sentAt` it is taken as it is, without either time it is the arrival. A sender tries again with
another `sentAt`, so a message is told by its `messageId`, not by that time; one without an id by
all that it says except what changes from try to try. One that has neither an id nor a time of its
own can't be kept: nothing would tell a second try from a second event.
"""

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import msgspec

from features.durations import DAY
from features.event_log import STATED
from serving.event_store import EVENT, STATEMENT, Fact
from serving.facts import AHEAD, FactError, checked_fact, moment_of, name_of

KINDS = ("track", "identify", "page", "screen", "group")
SOURCE = "segment"
DEEPEST = 4
"""Levels of nested properties that are flattened."""
CONTEXT = {
    ("campaign", "source"): "utm_source", ("campaign", "medium"): "utm_medium",
    ("campaign", "name"): "utm_campaign", ("page", "path"): "page_path",
    ("page", "referrer"): "referrer", ("device", "type"): "device_type",
    ("os", "name"): "os", ("locale",): "locale",
}  # fmt: skip
"""What is kept of a message's context, and as which property."""

BY_CONTENT = "message~"
"""What the id of a message begins with that came without one: a hash of what it says. Unlike the
store's own `~` it holds whatever time the event has, which moves with `sentAt`."""
OF_A_TRY = frozenset(("messageId", "type", "sentAt", "receivedAt"))
"""What a message does not say itself: its missing id, its address, and the times of one try."""


def facts_of(
    message: Any, kind: str | None, now: int, groups: tuple[str, ...] = (),
    arrived: int | None = None,
) -> tuple[Fact, ...]:  # fmt: skip
    """The facts of one message.

    Parameters
    ----------
    kind
        What the message is where its address says so; its `type` if None.
    now, arrived
        The moment, and when the message first came, microseconds UTC; the same if None.

    Raises
    ------
    FactError
        When the message can't be kept.
    """
    if type(message) is not dict:
        raise FactError("not_an_object", "must be a JSON object")
    kind = message.get("type") if kind is None else kind
    if kind == "alias":
        raise FactError(
            "alias_unsupported",
            "alias joins two customers, which is not supported; send the id that you keep",
        )
    if kind not in KINDS:
        raise FactError("type_unknown", f"type must be one of {', '.join(KINDS)}")
    message_id, named = _id_of(message, kind)
    when, corrected = _when(message, now, now if arrived is None else arrived, named)
    who = message.get("userId")
    if who is None or who == "":  # 0 is somebody
        who = message.get("anonymousId")
    if who is None or who == "":
        raise FactError("customer_missing", "userId and anonymousId are missing")
    who = str(who) if type(who) is int else who
    said = flat(_object(message, "properties"))
    traits = flat(_object(message, "traits"))
    about = _context(message)

    def event(name: str, properties: Mapping[str, Any]) -> Fact:
        return checked_fact(
            EVENT, SOURCE, message_id, who, when, name, {**about, **properties}, groups, corrected
        )

    def statement(attributes: Mapping[str, Any]) -> Fact:
        return checked_fact(
            STATEMENT, SOURCE, message_id, who, when, STATED, attributes, (), corrected
        )

    if kind == "track":
        return (event(name_of(message, "event"), _account(message, said)),)
    if kind == "identify":
        if not traits:
            return (event("identify", {}),)
        return (statement(traits),)
    if kind == "group":
        account = {"account": name_of(message, "groupId")}
        stated = {f"account.{name}": value for name, value in traits.items()}
        found = (event("group", account),)
        return (*found, statement(stated)) if stated else found
    name = message.get("name") or said.get("name")
    return (event(kind, {**said, **({"name": name} if name else {})}),)


def flat(given: Mapping[str, Any], prefix: str = "", depth: int = 1) -> dict[str, Any]:
    """Nested properties as one level; a list is told by its length."""
    if depth > DEEPEST:
        raise FactError("property_nested", f"is nested deeper than {DEEPEST} levels")
    out: dict[str, Any] = {}
    for key, value in given.items():
        name = f"{prefix}{key}"
        if type(value) is dict:
            out |= flat(value, f"{name}.", depth + 1)
        elif type(value) is list:
            out[f"{name}.count"] = len(value)
        else:
            out[TAKEN.get(name, name)] = value
    return out


TAKEN = {name: f"{name}_said" for name in (
    "recorded_time", "valid_from", "cutoff_time", "known_time", "label", "split", "attributes",
)}  # fmt: skip
"""Names that mean something here, and what a sender's property of that name is called."""


def _id_of(message: Mapping[str, Any], kind: str) -> tuple[Any, bool]:
    """A message's id, as it came or of its content, and whether it came with one."""
    given = message.get("messageId")
    if given is not None and given != "":
        return given, True
    said = {name: value for name, value in message.items() if name not in OF_A_TRY}
    written = msgspec.json.encode({**said, "type": kind}, order="sorted")
    digest = blake2b(written, digest_size=12).digest()
    return BY_CONTENT + urlsafe_b64encode(digest).decode(), False


def _when(message: Mapping[str, Any], now: int, arrived: int, named: bool) -> tuple[int, bool]:
    """When it happened by the receiver's clock, and whether another try may say another time."""
    field = "timestamp" if message.get("timestamp") else "originalTimestamp"
    if not message.get(field):
        if not named:
            raise FactError(
                "id_and_time_missing",
                "has neither messageId nor timestamp, so that a second try can't be told from a "
                "second event; send it again with one of them, the same in every try",
            )
        return arrived, True
    far = now + 10 * 365 * DAY  # a clock that is off is told by sentAt, so look no further yet
    said = moment_of(message, field, far)
    if not message.get("sentAt"):
        return moment_of(message, field, now), not named
    skew = arrived - moment_of(message, "sentAt", far)
    moved = said + skew
    if moved > arrived + AHEAD:
        raise FactError("future_time", f"{field} lies after sentAt")
    return min(moved, arrived), True


def _object(message: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    found = message.get(field)
    if found is None:
        return {}
    if type(found) is not dict:
        raise FactError(f"{field}_invalid", f"{field} must be an object")
    return found


def _context(message: Mapping[str, Any]) -> dict[str, Any]:
    about = _object(message, "context")
    out = {}
    for path, name in CONTEXT.items():
        value: Any = about
        for step in path:
            value = value.get(step) if type(value) is dict else None
        if type(value) is str:
            out[name] = value
    channel = message.get("channel")
    return {**out, "channel": channel} if type(channel) is str else out


def _account(message: Mapping[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    """A track's properties with the group that its context names."""
    group = _object(message, "context").get("groupId")
    return {"account": group, **said} if type(group) is str else said
