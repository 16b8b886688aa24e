"""Histories that come inside a request.

Takes events and attributes as JSON values and a model's contract; gives a journey whose
columns have the kinds that the model was trained on. What the model never reads is named,
not dropped in silence. Knows nothing about stores or HTTP.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from features.durations import BEGINNING, MISSING_TIME, parse_moment
from features.errors import HistoryError
from features.event_log import CATEGORY, LARGEST, NUMBER, TIME, EventLog, build_log
from models.contract import Contract
from serving.journeys import Journey

CUSTOMER = "customer"
"""The id under which an inline history is computed; it reaches no feature."""


@dataclass(frozen=True)
class InlineEvent:
    """One event of a request; times are microseconds UTC."""

    event: str
    event_time: int
    recorded_time: int | None
    properties: Mapping[str, Any]


def inline_journey(
    contract: Contract, given: Sequence[InlineEvent], attributes: Mapping[str, Any]
) -> tuple[Journey, list[str]]:
    """Build a journey from a request.

    Returns
    -------
    journey
    unread : list of str
        Events and properties that the model was not trained on and takes no notice of.

    Raises
    ------
    HistoryError
        When a property is of another kind than in training; names the event and property.
    """
    given = _once(given)
    columns = [
        checked(f"events[{i}]", e.properties, contract.event_kinds) for i, e in enumerate(given)
    ]
    happened = np.array([e.event_time for e in given], dtype=np.int64)
    recorded = np.array(
        [e.event_time if e.recorded_time is None else e.recorded_time for e in given],
        dtype=np.int64,
    )
    log = _log([e.event for e in given], happened, recorded, columns, contract.event_kinds)
    stated = [checked("attributes", attributes, contract.attribute_kinds)] if attributes else []
    always = np.full(len(stated), BEGINNING)
    about = _log(["attributes"] * len(stated), always, always, stated, contract.attribute_kinds)
    return Journey(log, about), _unread(contract, given, attributes)


def _once(given: Sequence[InlineEvent]) -> list[InlineEvent]:
    """The events without repeats of an `event_id`; the one that was recorded first is kept."""
    kept: list[InlineEvent] = []
    seen: set[str] = set()
    for event in sorted(
        given, key=lambda e: e.event_time if e.recorded_time is None else e.recorded_time
    ):
        event_id = event.properties.get("event_id")
        if event_id in (None, ""):
            kept.append(event)
        elif str(event_id) not in seen:
            kept.append(event)
            seen.add(str(event_id))
    return kept


def _log(
    names: list[str],
    happened: np.ndarray[Any, np.dtype[np.int64]],
    recorded: np.ndarray[Any, np.dtype[np.int64]],
    rows: list[dict[str, Any]],
    kinds: Mapping[str, str],
) -> EventLog:
    """A log of one customer with a column for every property of the contract."""

    def of_kind(kind: str) -> list[str]:
        return [name for name in kinds if kinds[name] == kind]

    log = build_log(
        [CUSTOMER] * len(names),
        happened,
        names,
        recorded,
        {n: np.array([r.get(n, np.nan) for r in rows], np.float64) for n in of_kind(NUMBER)},
        {n: [r.get(n) for r in rows] for n in of_kind(CATEGORY)},
        {n: np.array([r.get(n, MISSING_TIME) for r in rows], np.int64) for n in of_kind(TIME)},
    )
    return log.aligned((CUSTOMER,))


def checked(
    place: str, properties: Mapping[str, Any], kinds: Mapping[str, str], every: bool = False
) -> dict[str, Any]:
    """The properties that the model reads, each of the kind it had in training.

    With `every` the others are kept too, for somebody who refuses what is unknown.
    """
    found: dict[str, Any] = {}
    for name, value in properties.items():
        kind = kinds.get(name)
        if kind is None and every:
            found[name] = value
        if kind is None or value is None or value == "":
            continue
        truth = isinstance(value, bool) and name == "value"  # stored events may not have it either
        if kind == NUMBER and isinstance(value, int | float) and not truth:
            if abs(value) > LARGEST:
                raise HistoryError(f"{place}.{name} is beyond {LARGEST:g}, which no number may be.")
            found[name] = float(value)
        elif kind == CATEGORY and isinstance(value, str):
            found[name] = value
        elif kind == TIME and isinstance(value, str):
            found[name] = _moment(place, name, value)
        else:
            wanted = {NUMBER: "a number", CATEGORY: "text", TIME: "a date or time as text"}[kind]
            raise HistoryError(
                f"{place}.{name} must be {wanted}, as in the histories of the model's training."
            )
    return found


def _moment(place: str, name: str, value: str) -> int:
    try:
        return parse_moment(value)
    except (ValueError, OverflowError) as error:
        raise HistoryError(f"{place}.{name} must be a date or a time in ISO 8601.") from error


def _unread(
    contract: Contract, given: Sequence[InlineEvent], attributes: Mapping[str, Any]
) -> list[str]:
    known = set(contract.event_names)
    names = {f"event {e.event}" for e in given if e.event not in known}
    names |= {
        f"property {name}"
        for e in given
        for name in e.properties
        if name not in (*contract.event_kinds, "event_id")
    }
    names |= {f"attribute {name}" for name in attributes if name not in contract.attribute_kinds}
    return sorted(names)
