"""How journeys flow: stages in the order in which customers really went through them.

Takes a log, stages and the rows of a problem; gives transitions, time in a stage, where people
leak out and what became of the commonest paths. Knows nothing about touchpoints or models.

A **visit** is an unbroken run of events of one stage; events of no stage interrupt nothing. A
transition leads from a visit to the customer's next one: to the next stage of the file it is a
step, farther on a jump, back a return. A visit lasts until the next one begins; how long the
last one lasts nobody knows yet, so it has no time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.durations import DAY
from features.event_log import EventLog, Floats, Ints

Mask = NDArray[np.bool_]

MOST_STEPS = 10
"""Where a business names no stages, its commonest kinds of events are the steps of a journey."""
MOST_PATHS = 8
STEP, JUMP, RETURN = "step", "jump", "return"


@dataclass(frozen=True)
class Visits:
    """Runs of events of one stage, in order of customer and time, shape `(n_visits,)` each."""

    stages: tuple[str, ...]
    customer: Ints
    stage: Ints
    """Positions in `stages`."""
    begin: Ints
    """Microseconds UTC."""

    @property
    def follows(self) -> Mask:
        """Whether the visit before is of the same customer."""
        return np.append(False, np.diff(self.customer) == 0)[: len(self.stage)]

    @property
    def leads(self) -> Mask:
        """Whether the visit after is of the same customer."""
        return np.append(np.diff(self.customer) == 0, False)[: len(self.stage)]


def steps_of(stages: Mapping[str, Sequence[str]], log: EventLog) -> dict[str, tuple[str, ...]]:
    """A business's stages, or the commonest kinds of its events where it names fewer than two."""
    told = {name: tuple(names) for name, names in stages.items()}
    known = set(log.event.levels)
    there = {name: names for name, names in told.items() if known & set(names)}
    if len(there) >= 2:
        return there
    often = np.bincount(log.event.codes, minlength=len(log.event.levels))
    order = np.argsort(-often, kind="stable")[:MOST_STEPS]
    return {log.event.levels[code]: (log.event.levels[code],) for code in order.tolist()}


def visits_of(log: EventLog, steps: Mapping[str, Sequence[str]]) -> Visits:
    """The visits of every customer."""
    table = np.full(len(log.event.levels) + 1, -1)
    for place, names in enumerate(steps.values()):
        for name in names:
            code = log.event.code(name)
            if code >= 0:
                table[code] = place
    stage = table[log.event.codes]
    at = np.flatnonzero(stage >= 0)
    who = np.repeat(np.arange(log.n_customers), np.diff(log.offsets))[at]
    stage = stage[at]
    first = np.append(True, (np.diff(stage) != 0) | (np.diff(who) != 0))[: len(at)]
    return Visits(tuple(steps), who[first], stage[first], log.event_time[at[first]])


def flow(visits: Visits, chosen: Mask) -> dict[str, Any]:
    """Transitions, stages and their times, of chosen visits.

    Parameters
    ----------
    chosen
        Which visits count, shape `(n_visits,)`; a transition belongs to the visit that it leaves.
    """
    n = len(visits.stages)
    leads, follows = visits.leads, visits.follows
    leaves = np.flatnonzero(leads & chosen)
    source, target = visits.stage[leaves], visits.stage[np.minimum(leaves + 1, len(leads) - 1)]
    pair = source * n + target
    counts = np.bincount(pair, minlength=n * n)
    people = _distinct(pair, visits.customer[leaves], n * n)
    lasts = (visits.begin[np.minimum(leaves + 1, len(leads) - 1)] - visits.begin[leaves]) / DAY
    return {
        "stages": [
            _stage(visits, place, chosen, follows, leads, lasts[source == place])
            for place in range(n)
        ],
        "transitions": [
            {
                "source": visits.stages[code // n],
                "target": visits.stages[code % n],
                "kind": _kind(code // n, code % n),
                "times": int(counts[code]),
                "customers": int(people[code]),
            }
            for code in np.argsort(-counts, kind="stable").tolist()
            if counts[code]
        ],
    }


def _stage(
    visits: Visits, place: int, chosen: Mask, follows: Mask, leads: Mask, lasts: Floats
) -> dict[str, Any]:
    here = chosen & (visits.stage == place)
    quartiles = None
    if len(lasts):
        low, middle, high = (round(float(q), 4) for q in np.quantile(lasts, [0.25, 0.5, 0.75]))
        quartiles = {"low": low, "median": middle, "high": high}
    return {
        "stage": visits.stages[place],
        "visits": int(here.sum()),
        "customers": len(np.unique(visits.customer[here])),
        "starts": int((here & ~follows).sum()),
        "ends": int((here & ~leads).sum()),
        "days": quartiles,
    }


def _kind(source: int, target: int) -> str:
    return RETURN if target < source else STEP if target == source + 1 else JUMP


def _distinct(group: Ints, customer: Ints, n_groups: int) -> Ints:
    """How many customers are in each group."""
    pairs = np.unique(np.stack([group, customer]), axis=1)
    return np.bincount(pairs[0], minlength=n_groups)


def last_of(owner: Ints, time: Ints, customer: Ints, until: Ints) -> Ints:
    """The position of each customer's last thing up to a moment, -1 without one.

    Parameters
    ----------
    owner, time
        Whose each thing is and when it was, in order of both, shape `(n_things,)`.
    customer, until
        Whom and when is asked, shape `(n_rows,)`.
    """
    begin, low, high = (
        np.searchsorted(owner, customer, side="left"),
        np.searchsorted(owner, customer, side="left") - 1,
        np.searchsorted(owner, customer, side="right") - 1,
    )
    while (low < high).any():  # the last one lies in (low, high], or low is before the first
        middle = (low + high + 1) // 2
        early = time[np.maximum(middle, 0)] <= until
        low, high = np.where(early, middle, low), np.where(early, high, middle - 1)
    return np.where(low >= begin, low, -1)


def last_stage(visits: Visits, customer: Ints, until: Ints) -> Ints:
    """The stage of each customer's last visit that began by a moment, -1 without one."""
    at = last_of(visits.customer, visits.begin, customer, until)
    return np.append(visits.stage, -1)[at]


def leaks(stages: Sequence[str], last: Ints, lost: Mask) -> list[dict[str, Any]]:
    """In which stage customers were last, those who were lost and the others.

    Parameters
    ----------
    last
        Positions in `stages`, -1 for none, one a customer.
    lost
        Whether the outcome was the bad one.
    """
    return [
        {
            "stage": name,
            "lost": int((lost & (last == place)).sum()),
            "kept": int((~lost & (last == place)).sum()),
        }
        for place, name in [*enumerate(stages), (-1, None)]
        if name is not None or (last == -1).any()
    ]


def paths(visits: Visits, customer: Ints, until: Ints, label: NDArray[np.int8]) -> dict[str, Any]:
    """The commonest orders in which customers first reached the stages, and what became of them.

    Parameters
    ----------
    customer, until, label
        One row a customer: the path is what was reached by `until`.
    """
    order = np.lexsort((visits.begin, visits.stage, visits.customer))
    fresh = np.append(
        True,
        (np.diff(visits.customer[order]) != 0) | (np.diff(visits.stage[order]) != 0),
    )[: len(order)]
    first = np.sort(order[fresh])  # each customer's first visit to each stage, in order of time
    owner, stage, begin = visits.customer[first], visits.stage[first], visits.begin[first]
    edges = (np.searchsorted(owner, customer, side=side) for side in ("left", "right"))
    found: dict[tuple[int, ...], list[int]] = {}
    for row, (low, high) in enumerate(zip(*edges, strict=True)):
        path = tuple(stage[low:high][begin[low:high] <= until[row]].tolist())
        found.setdefault(path, []).append(int(label[row]))
    ranked = sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
    shown = [
        {"path": [visits.stages[place] for place in path], **_rate(labels)}
        for path, labels in ranked[:MOST_PATHS]
    ]
    rest = [label for _, labels in ranked[MOST_PATHS:] for label in labels]
    return {
        "paths": shown,
        "other_paths": {"different": len(ranked[MOST_PATHS:]), **_rate(rest)},
    }


def _rate(labels: list[int]) -> dict[str, Any]:
    share = round(sum(labels) / len(labels), 4) if labels else None
    return {"customers": len(labels), "outcomes": sum(labels), "rate": share}
