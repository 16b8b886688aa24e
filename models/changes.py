"""What changed between two scores of a customer, split without remainder.

Takes two moments, each with the model that answered then, and the journey as it is now; gives
what the passing of time, the events that arrived and the new model each did to the score, and
which new events matter most. Knows nothing about stores or HTTP.

The order is fixed, so that the parts are the same whoever asks, and it is the one in which
things happen: first time passes and nothing comes, then what came is seen, at last the new
model answers in place of the old one. The parts add up to the difference.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from features.engine import Rows
from features.event_log import EventLog, Ints
from models.fitted import FittedModel
from models.removals import removals


@dataclass(frozen=True)
class Asked:
    """When a score was asked for, and of which model."""

    model: FittedModel
    cutoff_time: int
    known_time: int


@dataclass(frozen=True)
class Arrived:
    """An event that the earlier score did not know."""

    position: int
    """In the log."""
    late: bool
    """Whether it happened before the earlier score and was recorded after it."""
    points: float | None
    """What it does to the score now; None where there would be no score without it."""


@dataclass(frozen=True)
class Change:
    """A difference of two scores, in percentage points: the three parts add up to it."""

    before: float
    """The earlier score, 0 to 100, as its model computes it from what was known then."""
    now: float
    time: float
    """What the passing of time did: windows moved on, and nothing came."""
    events: float
    """What came to be known did: new events, late ones, new statements of attributes."""
    model: float
    """What the other version of the model did."""
    arrived: Sequence[Arrived]
    """The new events that matter most, strongest first."""
    n_arrived: int
    """How many events are new."""
    n_statements: int
    """How many statements of attributes are new."""


def what_changed(
    before: Asked, now: Asked, log: EventLog, attributes: EventLog, most: int = 5
) -> Change:
    """Split the difference of two scores of one customer.

    Parameters
    ----------
    log, attributes
        One customer's, as they are known now.
    most
        How many of the new events to name.
    """
    then = np.array([before.cutoff_time, before.known_time])
    old, old_about = _known(log, then), _known(attributes, then)
    steps = [
        _score(before, before.model, log, attributes),
        _score(now, before.model, old, old_about),
        _score(now, before.model, log, attributes),
        _score(now, now.model, log, attributes),
    ]
    new = _new(log, before, now)
    found = removals(now.model, log, attributes, now.cutoff_time, now.known_time, new.tolist())
    arrived = [
        Arrived(r.position, bool(log.event_time[r.position] <= before.cutoff_time), r.points)
        for r in found[:most]
    ]
    return Change(
        before=steps[0],
        now=steps[3],
        time=steps[1] - steps[0],
        events=steps[2] - steps[1],
        model=steps[3] - steps[2],
        arrived=arrived,
        n_arrived=len(new),
        n_statements=len(_new(attributes, before, now)),
    )


def _score(asked: Asked, model: FittedModel, log: EventLog, attributes: EventLog) -> float:
    at = (np.array([asked.cutoff_time]), np.array([asked.known_time]))
    vectors = model.vectors(log, attributes, Rows(np.zeros(1, np.int64), *at))
    return 100 * float(model.probabilities(vectors)[0])


def _seen(log: EventLog, cutoff_time: int, known_time: int) -> NDArray[np.bool_]:
    return (log.event_time <= cutoff_time) & (log.recorded_time <= known_time)


def _new(log: EventLog, before: Asked, now: Asked) -> Ints:
    """Positions of what is seen now and was not seen then."""
    was = _seen(log, before.cutoff_time, before.known_time)
    return np.flatnonzero(_seen(log, now.cutoff_time, now.known_time) & ~was)


def _known(log: EventLog, then: Ints) -> EventLog:
    """What was known then, of the customer and of its groups."""
    seen = _seen(log, int(then[0]), int(then[1]))
    kept = np.concatenate([[0], np.cumsum(seen, dtype=np.int64)])
    old = log.rows(np.flatnonzero(seen), log.customers, kept[log.offsets])
    return replace(old, groups={name: _known(group, then) for name, group in log.groups.items()})
