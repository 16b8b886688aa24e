"""The slow engine that says what is right: one feature, one customer, one cutoff.

Plain Python over plain rows, written from the rule of time and nothing else. The fast
engine must give the same; nothing but tests calls this one.
"""

import math
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise

from features.durations import DAY, MINUTE
from features.feature import EVENT, Condition, Feature, Rates, words
from features.kinds import ATTRIBUTES, MOMENT

SESSION_PAUSE = 30 * MINUTE
PRIOR_ROWS = 20


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
    """The feature's value, NaN where missing; `journey` is sorted as an `EventLog` is.

    For a feature over a group, `journey` is the group's.
    """
    if feature.source == MOMENT:
        return _calendar(feature.kind, cutoff_time)
    source = attributes if feature.source == ATTRIBUTES else journey
    visible = [e for e in source if e.event_time <= cutoff_time and e.recorded_time <= known_time]
    chosen = [e for e in visible if all(_fulfils(c, e) for c in feature.where.conditions)]
    if feature.kind == "trend":
        both = len(_since(chosen, cutoff_time, 2 * (feature.last or 0)))
        return len(_since(chosen, cutoff_time, feature.last)) / both if both else math.nan
    if feature.kind == "share":
        window = _window(visible, feature, cutoff_time)
        return len([e for e in window if e in chosen]) / len(window) if window else math.nan
    window = _window(chosen, feature, cutoff_time)
    if feature.stages:
        return _of_stages(feature, chosen, window, cutoff_time)
    if feature.of is None:
        return _of_times(feature.kind, [e.event_time for e in window], cutoff_time)
    having = [e for e in window if feature.of in e.properties]
    if feature.kind == "stated":
        return (cutoff_time - having[-1].event_time) / DAY if having else math.nan
    if feature.kind in ("changes", "level_changes"):
        pairs = pairwise([e for e in chosen if feature.of in e.properties])
        return float(sum(a.properties[feature.of] != b.properties[feature.of]
                         for a, b in pairs if b in window))  # fmt: skip
    read = [e.properties[feature.of] for e in having]
    if feature.rates:
        return _rate(feature.rates, read, min(cutoff_time, known_time))
    if feature.kind == "slope":
        return _slope([e.event_time for e in having], [float(value) for value in read])
    if feature.levels or feature.kind == "distinct":
        return _of_levels(feature, read)
    return _of_numbers(feature.kind, [float(value) for value in read], cutoff_time)


def _fulfils(condition: Condition, event: Event) -> bool:
    value = event.event if condition.column == EVENT else event.properties.get(condition.column)
    if condition.contains:
        return value is not None and bool(words(str(value)) & set(condition.levels))
    return value in condition.levels


def _window(events: Sequence[Event], feature: Feature, cutoff_time: int) -> list[Event]:
    if feature.events is not None:
        return list(events)[-feature.events :]
    return _since(events, cutoff_time, feature.last)


def _since(events: Sequence[Event], cutoff_time: int, last: int | None) -> list[Event]:
    """Events in `(cutoff - last, cutoff]`; they are known not to be after the cutoff."""
    return [e for e in events if last is None or e.event_time > cutoff_time - last]


def _of_times(kind: str, times: list[int], cutoff_time: int) -> float:
    """What follows from when the chosen events happened."""
    gaps = [(later - earlier) / DAY for earlier, later in pairwise(times)]
    ago = (cutoff_time - times[-1]) / DAY if times else math.nan
    mean = statistics.fmean(gaps) if gaps else math.nan
    spread = statistics.stdev(gaps) if len(gaps) > 1 else math.nan
    sessions = _sessions(times)
    minutes = sum(s[-1] - s[0] for s in sessions) / MINUTE
    found: dict[str, Callable[[], float]] = {
        "count": lambda: float(len(times)),
        "days_active": lambda: float(len({time // DAY for time in times})),
        "recency": lambda: ago,
        "tenure": lambda: (cutoff_time - times[0]) / DAY if times else math.nan,
        "gap_mean": lambda: mean,
        "gap_std": lambda: spread,
        "gap_max": lambda: max(gaps, default=math.nan),
        "gap_last": lambda: gaps[-1] if gaps else math.nan,
        "lateness": lambda: ago / mean if mean > 0 else math.nan,
        "burstiness": lambda: (spread - mean) / (spread + mean) if spread + mean > 0 else math.nan,
        "busiest_day": lambda: float(max(Counter(t // DAY for t in times).values(), default=0)),
        "sessions": lambda: float(len(sessions)),
        "session_events": lambda: len(times) / len(sessions) if sessions else math.nan,
        "session_minutes": lambda: minutes / len(sessions) if sessions else math.nan,
    }
    return found[kind]()


def _sessions(times: list[int]) -> list[list[int]]:
    sessions: list[list[int]] = []
    for time in times:
        if not sessions or time - sessions[-1][-1] > SESSION_PAUSE:
            sessions.append([])
        sessions[-1].append(time)
    return sessions


def _of_numbers(kind: str, numbers: list[float], cutoff_time: int) -> float:
    """What follows from the values of a numeric property or a date, oldest first."""
    if not numbers:
        return 0.0 if kind == "sum" else math.nan
    several = len(numbers) > 1
    found: dict[str, Callable[[], float]] = {
        "sum": lambda: math.fsum(numbers),
        "mean": lambda: math.fsum(numbers) / len(numbers),
        "std": lambda: statistics.stdev(numbers) if several else math.nan,
        "min": lambda: min(numbers),
        "max": lambda: max(numbers),
        "zero_share": lambda: numbers.count(0.0) / len(numbers),
        "last_number": lambda: numbers[-1],
        "last_change": lambda: numbers[-1] - numbers[-2] if several else math.nan,
        "attribute_number": lambda: numbers[-1],
        "days_until": lambda: (numbers[-1] - cutoff_time) / DAY,
        "attribute_days": lambda: (numbers[-1] - cutoff_time) / DAY,
    }
    return found[kind]()


def _slope(times: list[int], numbers: list[float]) -> float:
    """Least squares in exact arithmetic."""
    if len(set(times)) < 2:
        return math.nan
    x = [Fraction(time, DAY) for time in times]
    y = [Fraction(number) for number in numbers]
    middle_x, middle_y = sum(x) / len(x), sum(y) / len(y)
    above = sum((a - middle_x) * (b - middle_y) for a, b in zip(x, y, strict=True))
    return float(above / sum((a - middle_x) ** 2 for a in x))


def _of_levels(feature: Feature, read: list[float | str | int]) -> float:
    """What follows from the levels of a text property, oldest first."""
    if feature.kind == "distinct":
        return float(len(set(read)))
    if feature.kind == "level_share":
        return read.count(feature.levels[0]) / len(read) if read else math.nan
    known = bool(read) and read[-1] in feature.levels
    return float(feature.levels.index(str(read[-1]))) if known else math.nan


def _rate(rates: tuple[Rates, ...], read: list[float | str | int], moment: int) -> float:
    """The last level's rate among outcomes known at a moment, drawn towards everybody's."""
    if not read:
        return math.nan
    held = {}
    for one in rates:
        steps = zip(one.known_time, one.n, one.positive, strict=True)
        past = [(n, positive) for time, n, positive in steps if time <= moment]
        held[one.level] = past[-1] if past else (0, 0)
    n, positive = held.get(str(read[-1]), (0, 0))
    if not n or not held[None][0]:
        return math.nan
    return (positive + PRIOR_ROWS * held[None][1] / held[None][0]) / (n + PRIOR_ROWS)


def _of_stages(
    feature: Feature, chosen: Sequence[Event], window: Sequence[Event], cutoff_time: int
) -> float:
    """Where the journey stands, and its moves; a move belongs to the event that made it."""
    order = {name: i for i, (_, names) in enumerate(feature.stages) for name in names}
    path = [(order[e.event], e) for e in chosen if e.event in order]
    moves = [(a[0], b[0], b[1]) for a, b in pairwise(path) if a[0] != b[0]]
    inside = [(before, after) for before, after, event in moves if event in window]
    if feature.kind == "stage_changes":
        return float(len(inside))
    if feature.kind == "stage_jumps":
        return float(sum(after > before + 1 for before, after in inside))
    if feature.kind == "stage_regressions":
        return float(sum(after < before for before, after in inside))
    if not path:
        return math.nan
    entered = moves[-1][2] if moves else path[0][1]
    return {
        "stage_now": float(path[-1][0]),
        "stage_days": (cutoff_time - entered.event_time) / DAY,
        "stage_furthest": float(max(place for place, _ in path) + 1),
    }[feature.kind]


def _calendar(kind: str, cutoff_time: int) -> float:
    day = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=cutoff_time)).date()
    return float({"weekday": day.weekday(), "day_of_month": day.day, "month": day.month}[kind])
