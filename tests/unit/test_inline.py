"""Histories inside a request: what counts once, and what is refused as it is of stored ones."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from features.errors import HistoryError
from serving.facts import FactError, fact_of
from serving.inline import InlineEvent, inline_journey

CONTRACT: Any = SimpleNamespace(
    event_kinds={"value": "number", "urgent": "number", "channel": "category"},
    attribute_kinds={"value": "number", "urgent": "number"},
    event_names=("order",),
)


def event(when: int, **said: Any) -> InlineEvent:
    return InlineEvent("order", when, None, said)


@pytest.mark.parametrize("none", [{}, {"event_id": None}, {"event_id": ""}])
def test_an_event_without_an_id_stands_for_no_other(none: dict[str, Any]) -> None:
    """Neither for another without one, nor for one whose id is the text None."""
    given = [event(1, **none), event(2, **none), event(3, event_id="None"), event(4, event_id="")]
    given.append(event(5, event_id="None"))
    journey, _ = inline_journey(CONTRACT, given, {})
    assert [1, 2, 3, 4] == journey.log.event_time.tolist()


@pytest.mark.parametrize(("name", "fits"), [("value", False), ("urgent", True)])
def test_true_is_a_number_where_it_is_one_of_stored_events(name: str, fits: bool) -> None:
    """What an event in a request may say is what a stored one may: true is 1, and no value."""
    said = {"customer": "c", "event": "order", "event_time": "2024-01-01", name: True}
    stored = taken(FactError, lambda: fact_of(said, 2**60))
    inline = taken(HistoryError, lambda: inline_journey(CONTRACT, [event(1, **{name: True})], {}))
    about = taken(HistoryError, lambda: inline_journey(CONTRACT, [], {name: True}))
    assert [fits] * 3 == [stored, inline, about]


def taken(error: type[Exception], take: Callable[[], object]) -> bool:
    """Whether something is taken and not refused."""
    try:
        take()
    except error:
        return False
    return True
