"""Events and attributes as a sender says them in the canonical form, checked strictly.

Takes a decoded JSON value; gives a `Fact` that can be stored, or says why not. Nothing is
coerced. Knows nothing about HTTP or where facts are kept.

An event: {"customer", "event", "event_time", "event_id"?, "source"?, any property}; a statement
of attributes: {"customer", "attributes": {…}, "valid_from"?, "event_id"?, "source"?}. A property
is text, a finite number, true (1) or false (0); null and "" are missing.
"""

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import msgspec

from features.durations import MINUTE, format_moment, parse_moment
from features.errors import MilepostError, nearest
from features.event_log import CATEGORY, NUMBER, STATED, TIME
from serving.event_store import EVENT, STATEMENT, Fact
from serving.tables import NAMED

FIELDS = ("customer", "event", "event_time", "event_id", "source")
STATEMENT_FIELDS = ("customer", "attributes", "valid_from", "event_id", "source")
ALWAYS_TEXT = ("channel", "account", "session", "text")
"""Properties with a meaning, which are text in every source."""
TAKEN = ("recorded_time", "valid_from", "cutoff_time", "known_time", "label", "split", "attributes")
"""Names with a meaning that no property of an event may have."""

LONGEST_NAME = 300
MOST_PROPERTIES = 200
LONGEST_PROPERTY_NAME = 100
LONGEST_TEXT = 10_000
LONGEST_ROW = 65_536
"""Bytes that all properties of a row take as JSON."""
LARGEST_NUMBER = 1e15
"""Larger numbers are no measurement, and their sums would overflow."""
EARLIEST = parse_moment("1000-01-01")
AHEAD = 5 * MINUTE
"""A sender's clock may go ahead by so much."""

API = "api"
"""The source of what names none."""


class FactError(MilepostError):
    """A row that can't be kept; `code` is the reason, the text says it to a person."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


def fact_of(
    value: Any, now: int, groups: tuple[str, ...] = (), source: str = API,
    arrived: int | None = None,
) -> Fact:  # fmt: skip
    """Check one event or statement.

    Parameters
    ----------
    now, arrived
        The moment, and when it first came, microseconds UTC; the same if None.
    groups
        Properties that name groups of customers.

    Raises
    ------
    FactError
        When it can't be kept.
    """
    if type(value) is not dict:
        raise FactError("not_an_object", "must be a JSON object")
    if "recorded_time" in value:
        raise FactError(
            "recorded_time_given",
            "recorded_time is set on arrival; leave it out (an import may bring its own)",
        )
    if "attributes" in value:
        return _statement(value, now, source, now if arrived is None else arrived)
    properties = {name: v for name, v in value.items() if name not in FIELDS}
    return checked_fact(
        EVENT, name_of(value, "source", source), value.get("event_id"), value.get("customer"),
        moment_of(value, "event_time", now), name_of(value, "event"), properties, groups,
    )  # fmt: skip


def _statement(value: dict[str, Any], now: int, source: str, arrived: int) -> Fact:
    unknown = next((name for name in value if name not in STATEMENT_FIELDS), None)
    if unknown is not None:
        raise FactError(
            "field_unknown",
            f"a statement of attributes has no such field.{nearest(unknown, STATEMENT_FIELDS)}",
        )
    stated = value["attributes"]
    if type(stated) is not dict or not stated:
        raise FactError("attributes_invalid", "attributes must be an object that is not empty")
    since = moment_of(value, "valid_from", now) if "valid_from" in value else arrived
    return checked_fact(
        STATEMENT, name_of(value, "source", source), value.get("event_id"),
        value.get("customer"), since, STATED, stated,
    )  # fmt: skip


def checked_fact(
    side: int,
    source: str,
    event_id: Any,
    customer: Any,
    when: int,
    event: str,
    given: Mapping[str, Any],
    groups: tuple[str, ...] = (),
    corrected: bool = False,
) -> Fact:
    """A fact whose id, customer and properties are still to be checked."""
    who = name_of({"customer": customer}, "customer")
    kept, kinds = _properties(given, side)
    written = _encode(kept).decode()
    if len(written) > LONGEST_ROW:
        raise FactError("row_too_large", f"properties take more than {LONGEST_ROW:,} bytes")
    if event_id is None or event_id == "":
        event_id = content_id(side, who, when, event, written)
    else:
        event_id = name_of({"event_id": event_id}, "event_id")
        if event_id.startswith(NAMED):
            raise FactError("event_id_invalid", f"event_id may not begin with {NAMED}")
    mine = tuple((name, kept[name]) for name in groups if type(kept.get(name)) is str)
    return Fact(side, source, event_id, who, when, event, written, kinds, mine, None, corrected)


def content_id(side: int, customer: str, when: int, event: str, properties: str) -> str:
    """The id of a row that came without one: equal rows have equal ids."""
    said = f"{side}\0{customer}\0{when}\0{event}\0{properties}".encode()
    return NAMED + urlsafe_b64encode(blake2b(said, digest_size=12).digest()).decode()


def name_of(value: Mapping[str, Any], field: str, default: str | None = None) -> str:
    """A field that names something: text without control characters."""
    found = value.get(field, default)
    if found is None or found == "":
        raise FactError(f"{field}_missing", f"{field} is missing")
    if type(found) is not str:
        raise FactError(f"{field}_invalid", f"{field} must be text")
    if len(found) > LONGEST_NAME:
        raise FactError(f"{field}_invalid", f"{field} is longer than {LONGEST_NAME} characters")
    if not found.isprintable() and any(ord(sign) < 32 or ord(sign) == 127 for sign in found):
        raise FactError(f"{field}_invalid", f"{field} holds a control character")
    return found


def moment_of(value: Mapping[str, Any], field: str, now: int) -> int:
    """A time field as microseconds UTC; neither before the year 1000 nor in the future."""
    found = value.get(field)
    if found is None or found == "":
        raise FactError(f"{field}_missing", f"{field} is missing")
    moment = read_moment(found) if type(found) is str else None
    if moment is None:
        raise FactError(
            f"{field}_unreadable",
            f"{field} must be a date or a time in ISO 8601, as text, from the year 1000 on",
        )
    if moment > now + AHEAD:
        raise FactError("future_time", f"{field} lies in the future")
    return moment


def read_moment(text: str) -> int | None:
    """ISO 8601 text as microseconds UTC; None where it is none, or is before the year 1000."""
    if len(text) > 40:
        return None
    try:
        moment = parse_moment(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment >= EARLIEST else None


def kind_of(value: float | str) -> str:
    """The kind of a stored value: text that is a full date or time is a time."""
    if type(value) is not str:
        return NUMBER
    return TIME if value[:1].isdigit() and _is_time(value) else CATEGORY


@lru_cache(maxsize=65_536)
def _is_time(text: str) -> bool:
    return (
        len(text) >= 10 and text[4:5] == "-" and text[7:8] == "-" and read_moment(text) is not None
    )


_encode = msgspec.json.Encoder(order="sorted").encode


def _properties(
    given: Mapping[str, Any], side: int
) -> tuple[dict[str, Any], tuple[tuple[str, str], ...]]:
    """The properties that say something, and the kind of each."""
    if len(given) > MOST_PROPERTIES:
        raise FactError("too_many_properties", f"has more than {MOST_PROPERTIES} properties")
    kept: dict[str, Any] = {}
    kinds = []
    for name, value in given.items():
        if value is None or value == "":
            continue
        if not _is_name(name) or (side == EVENT and name in TAKEN):
            raise FactError(
                "property_name_invalid",
                f"the name of a property is taken, longer than {LONGEST_PROPERTY_NAME} characters "
                "or holds a control character",
            )
        kept[name] = value = _value(name, value)
        kinds.append((name, CATEGORY if name in ALWAYS_TEXT else kind_of(value)))
    return kept, tuple(kinds)


@lru_cache(maxsize=4_096)
def _is_name(name: str) -> bool:
    plain = not any(ord(sign) < 32 or ord(sign) == 127 for sign in name)
    return plain and 0 < len(name) <= LONGEST_PROPERTY_NAME and not name.startswith("_milepost")


def _value(name: str, value: Any) -> float | str:
    if type(value) is str:
        if len(value) > LONGEST_TEXT:
            raise FactError(
                "text_too_long", f"a property's text is longer than {LONGEST_TEXT:,} characters"
            )
        if name == "value":
            raise FactError("property_kind", "value must be a number")
        return value
    if type(value) is bool and name != "value":
        value = int(value)
    elif type(value) not in (int, float):
        if name == "value":
            raise FactError("property_kind", "value must be a number")
        raise FactError("property_nested", "a property must be text, a number, true, false or null")
    if not abs(value) <= LARGEST_NUMBER:
        raise FactError("number_out_of_range", "a number must lie within ±1e15")
    if name in ALWAYS_TEXT:
        raise FactError("property_kind", f"{name} must be text")
    return float(value)


def shown_moment(moment: int | None) -> str | None:
    """A moment for an answer."""
    return None if moment is None else format_moment(moment)
