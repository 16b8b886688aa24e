"""The slow engine that says what is right: one feature, one customer, one cutoff.

Plain Python over plain rows, written from the rule of time and nothing else. The fast
engine must give the same; nothing but tests calls this one.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from features.durations import DAY
from features.language import OF_ATTRIBUTE, Feature, Where


@dataclass(frozen=True)
class Event:
    """One event, or one dated statement of a customer's attributes."""

    event_time: int
    recorded_time: int
    event: str = ""
    properties: dict[str, float | str | int] = field(default_factory=dict)


def value_at(
    feature: Feature,
    journey: Sequence[Event],
    attributes: Sequence[Event],
    cutoff_time: int,
    known_time: int,
) -> float:
    """The feature's value, NaN where missing; `journey` is sorted as an `EventLog` is."""
    source = attributes if feature.kind in OF_ATTRIBUTE else journey
    visible = [e for e in source if e.event_time <= cutoff_time and e.recorded_time <= known_time]
    chosen = [e for e in visible if _chosen(feature.where, e)]
    if feature.kind == "trend":
        both = len(_since(chosen, cutoff_time, 2 * (feature.last or 0)))
        return len(_since(chosen, cutoff_time, feature.last)) / both if both else math.nan
    window = _since(chosen, cutoff_time, feature.last)
    if feature.kind == "share":
        everything = _since(visible, cutoff_time, feature.last)
        return len(window) / len(everything) if everything else math.nan
    if feature.of is None:
        return _of_times(feature.kind, [e.event_time for e in window], cutoff_time)
    having = [e for e in window if feature.of in e.properties]
    if feature.kind == "stated":
        return (cutoff_time - having[-1].event_time) / DAY if having else math.nan
    read = [e.properties[feature.of] for e in having]
    return _of_values(feature, read, cutoff_time)


def _since(events: Sequence[Event], cutoff_time: int, last: int | None) -> list[Event]:
    """Events in `(cutoff - last, cutoff]`; they are known not to be after the cutoff."""
    return [e for e in events if last is None or e.event_time > cutoff_time - last]


def _of_times(kind: str, times: list[int], cutoff_time: int) -> float:
    """What follows from when the chosen events happened."""
    gaps = [(later - earlier) / DAY for earlier, later in pairwise(times)]
    ago = (cutoff_time - times[-1]) / DAY if times else math.nan
    mean = statistics.fmean(gaps) if gaps else math.nan
    return {
        "count": lambda: float(len(times)),
        "days_active": lambda: float(len({time // DAY for time in times})),
        "recency": lambda: ago,
        "tenure": lambda: (cutoff_time - times[0]) / DAY if times else math.nan,
        "gap_mean": lambda: mean,
        "gap_std": lambda: statistics.stdev(gaps) if len(gaps) > 1 else math.nan,
        "gap_max": lambda: max(gaps, default=math.nan),
        "gap_last": lambda: gaps[-1] if gaps else math.nan,
        "lateness": lambda: ago / mean if mean > 0 else math.nan,
    }[kind]()


def _of_values(feature: Feature, read: list[float | str | int], cutoff_time: int) -> float:
    """What follows from the values of a property, oldest first."""
    if feature.kind == "distinct":
        return float(len(set(read)))
    if feature.levels:
        known = bool(read) and read[-1] in feature.levels
        return float(feature.levels.index(str(read[-1]))) if known else math.nan
    numbers = [float(value) for value in read]
    if not numbers:
        return 0.0 if feature.kind == "sum" else math.nan
    return {
        "sum": lambda: math.fsum(numbers),
        "mean": lambda: math.fsum(numbers) / len(numbers),
        "min": lambda: min(numbers),
        "max": lambda: max(numbers),
        "last_number": lambda: numbers[-1],
        "attribute_number": lambda: numbers[-1],
        "days_until": lambda: (numbers[-1] - cutoff_time) / DAY,
        "attribute_days": lambda: (numbers[-1] - cutoff_time) / DAY,
    }[feature.kind]()


def _chosen(where: Where, event: Event) -> bool:
    if where.column is None:
        return True
    value = event.event if where.column == "event" else event.properties.get(where.column)
    return value in where.levels
