"""What a model's histories held: events, and the values of their properties.

Plain numbers found when a model is trained; parts of the customers add up. What is asked of a
model beyond them has nothing behind it. Knows nothing about how they were found.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from features.event_log import come_once

NEARLY_ALL = 0.9
"""The share of all events from which on events of any kind are those of one name."""


FEW = 2
"""So many kinds of event are named in a sentence about a property that no other carries."""


@dataclass(frozen=True)
class Values:
    """The values of some properties."""

    numbers: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Smallest and largest."""
    levels: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)
    """Sorted; None where there are too many to name."""
    times: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """How many days after the event the date lay, smallest and largest."""

    @property
    def names(self) -> set[str]:
        """The properties that had a value."""
        return {*self.numbers, *self.levels, *self.times}

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "numbers": {name: list(pair) for name, pair in self.numbers.items()},
            "levels": {name: found and list(found) for name, found in self.levels.items()},
            "times": {name: list(pair) for name, pair in self.times.items()},
        }


@dataclass(frozen=True)
class SeenEvent:
    """One kind of event."""

    n: int
    """How many there were."""
    busiest_day: int
    """The most of them that a customer had on one day, in UTC."""
    values: Values = Values()
    customers: int = 0
    """Who had any; 0 where a model is from before they were counted."""

    @property
    def comes_once(self) -> bool:
        """Whether nobody has a second one."""
        return come_once(self.n, self.customers)


@dataclass(frozen=True)
class Seen:
    """Everything that histories held, in short."""

    events: Mapping[str, SeenEvent] = field(default_factory=dict)
    attributes: Values = Values()

    @cached_property
    def main_event(self) -> str | None:
        """The event that makes up nearly all of them, if one does."""
        total = sum(event.n for event in self.events.values())
        most = max(self.events, key=lambda name: self.events[name].n, default=None)
        return most if most and self.events[most].n >= NEARLY_ALL * total else None

    @cached_property
    def carriers(self) -> Mapping[str, tuple[str, ...]]:
        """The kinds of event that carry each property, where they are few."""
        found: dict[str, list[str]] = {}
        for name, event in self.events.items():
            for of in event.values.names:
                found.setdefault(of, []).append(name)
        return {of: tuple(sorted(names)) for of, names in found.items() if len(names) <= FEW}

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "events": {
                name: {
                    "n": event.n,
                    "busiest_day": event.busiest_day,
                    "values": event.values.to_json(),
                    "customers": event.customers,
                }
                for name, event in self.events.items()
            },
            "attributes": self.attributes.to_json(),
        }


def seen_from_json(data: Mapping[str, Any]) -> Seen:
    """What `Seen.to_json` wrote."""
    events = {
        name: SeenEvent(
            item["n"], item["busiest_day"], _values(item["values"]), item.get("customers", 0)
        )
        for name, item in data["events"].items()
    }
    return Seen(events, _values(data["attributes"]))


def _values(data: Mapping[str, Any]) -> Values:
    return Values(
        {name: (low, high) for name, (low, high) in data["numbers"].items()},
        {name: found and tuple(found) for name, found in data["levels"].items()},
        {name: (low, high) for name, (low, high) in data["times"].items()},
    )
