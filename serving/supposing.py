"""What if: a form of what the business can do, and what was filled in as a question.

Takes a model's contract, what is stored of a customer and the fields of a form; gives the events
and attributes that are offered, and a supposition for the scoring thread. Whether it is plausible
is for the model to say. Knows nothing about HTTP.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from features.errors import HistoryError
from features.event_log import NUMBER
from models.contract import Contract
from models.seen import Values
from models.spoken import Words, article, event_noun
from serving.customer_events import StoredCustomer
from serving.customer_rows import Row
from serving.page_words import amount, property_name

SUPPOSE, ABOUT, WITH = "suppose", "about", "with."
"""Fields of a form: the event that is supposed, or that it is about attributes; properties."""

MOST_CHOICES = 40
"""Levels that a list offers; where there are more, they are typed."""
MOST_FORMS = 12
RESERVED = ("event", "event_time", "recorded_time")


@dataclass(frozen=True)
class Field:
    """One property that may be given."""

    name: str
    label: str
    kind: str
    """Of the HTML control: `number`, `date`, `text` or `choice`."""
    value: str
    choices: Sequence[str] = ()
    hint: str = ""


@dataclass(frozen=True)
class Form:
    """One thing that may be supposed."""

    asks: tuple[str, str]
    """Name and value of the field that says what is supposed."""
    said: str
    """What is supposed, in words: `a purchase now`."""
    fields: Sequence[Field]
    chosen: bool


def forms(contract: Contract, stored: StoredCustomer, filled: Mapping[str, str]) -> list[Form]:
    """What may be supposed of a customer; fields hold what was filled in, or what was last so.

    An event that ends the question is never offered: with it there is no score to compare.
    """
    declared, chosen = contract.actionable, filled.get(SUPPOSE)
    offered = [
        name
        for name in sorted(contract.seen.events, key=lambda name: -contract.seen.events[name].n)
        if (declared.events is None or name in declared.events)
        and name not in contract.problem.endings
    ]
    found = []
    for name in offered[:MOST_FORMS]:
        said = event_noun(name, contract.words).one
        values = contract.seen.events[name].values
        usable = [
            each
            for each in sorted(values.names)
            if each in contract.event_kinds
            and (declared.properties is None or each in declared.properties)
        ]
        last = _last(stored.events, name)
        given = _filled(filled) if chosen == name else last
        fields = [_field(each, values, given, contract.words) for each in usable]
        found.append(Form((SUPPOSE, name), f"{article(said)} {said} now", fields, chosen == name))
    about = [name for name in declared.attributes if name in contract.seen.attributes.names]
    if about:
        given = _filled(filled) if ABOUT in filled else _stated(stored)
        values = contract.seen.attributes
        fields = [_field(each, values, given, contract.words) for each in about]
        found.append(Form((ABOUT, "1"), "other attributes", fields, ABOUT in filled))
    return found


def supposition(
    contract: Contract, stored: StoredCustomer, filled: Mapping[str, str]
) -> dict[str, Any] | None:
    """What a form supposes, as `/v1/what-if` takes it; None where nothing was asked.

    Raises
    ------
    HistoryError
        When a number is none, or a name can be no property.
    """
    chosen = filled.get(SUPPOSE)
    given = _filled(filled)
    if not chosen and ABOUT not in filled:
        return None
    if not chosen:
        before = _stated(stored)
        new = {name: value for name, value in given.items() if before.get(name) != value}
        return {"attributes": _read(new, contract.attribute_kinds)}
    wrong = next((name for name in given if name in RESERVED), None)
    if wrong is not None:
        raise HistoryError(f"“{wrong}” is no property of an event.")
    return {"events": [{"event": chosen, **_read(given, contract.event_kinds)}]}


def _read(given: Mapping[str, str], kinds: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in given.items():
        if kinds.get(name) != NUMBER:
            found[name] = value
            continue
        try:
            found[name] = float(value)
        except ValueError:
            raise HistoryError(f"{name} must be a number, not “{value[:50]}”.") from None
    return found


def _filled(filled: Mapping[str, str]) -> dict[str, str]:
    """The properties that were filled in."""
    return {
        name.removeprefix(WITH): value.strip()
        for name, value in filled.items()
        if name.startswith(WITH) and value.strip()
    }


def _field(name: str, values: Values, given: Mapping[str, str], words: Words) -> Field:
    label, value = property_name(name, words), given.get(name, "")
    if name in values.levels:
        levels = values.levels[name] or ()
        if levels and len(levels) <= MOST_CHOICES:
            return Field(name, label, "choice", value, levels)
        hint = f"one of {len(levels):,}, such as {levels[0]}" if levels else ""
        return Field(name, label, "text", value, hint=hint)
    if name in values.times:
        return Field(name, label, "date", value[:10])
    low, high = values.numbers[name]
    seen = " to ".join(amount(bound, name, words) for bound in (low, high))
    return Field(name, label, "number", value, hint=f"seen: {seen}")


def _last(events: Sequence[Row], name: str) -> dict[str, str]:
    """The properties of the customer's last event of a kind."""
    row = next((row for row in events if row[2] == name), None)
    return {} if row is None else _texts(msgspec.json.decode(row[4]))


def _stated(stored: StoredCustomer) -> dict[str, str]:
    """The newest statement of each attribute."""
    found: dict[str, str] = {}
    for row in stored.statements:
        for name, value in _texts(msgspec.json.decode(row[4])).items():
            found.setdefault(name, value)
    return found


def _texts(properties: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: f"{value:g}" if isinstance(value, float) else str(value)
        for name, value in properties.items()
        if value is not None
    }
