"""Peer rates: what became of earlier customers with the same level of a category.

Takes a problem's labelled rows and their levels; gives features that hold, for every level,
how many outcomes were known at each moment and how many of them were true. A row counts
from the moment at which its window is over, with the outcome as it was known then; an
outcome event that was recorded later corrects the count from that moment on, and a row whose
customer turns out to have gone within the gap leaves it. So the rate of a past day is what it
was on that day. Knows nothing about models.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from features.catalogue import shared_levels
from features.config import Problem
from features.cutoffs import Moments
from features.durations import DAY
from features.engine import compute_exact
from features.event_log import EventLog, Ints
from features.feature import Feature, Rates
from features.kernels import NEVER
from features.language import Events, attribute_level, attribute_peer_rate, events
from features.outcomes import first_known, first_known_gone

Floats = NDArray[np.float64]


def peer_features(
    problem: Problem,
    log: EventLog,
    attributes: EventLog,
    moments: Moments,
    until: int,
    ignore: tuple[str, ...],
) -> tuple[Feature, ...]:
    """A rate for every category that customers share; none for a label table.

    Parameters
    ----------
    moments
        The rows whose window is over, each with that window.
    until
        Which categories and levels get a rate is decided by what was recorded up to here.
    """
    if problem.outcome is None or not len(moments):
        return ()
    changes = _changes(problem, log, moments)
    found = []
    for of, levels, kind in _categories(problem, log, attributes, until, ignore):
        some = kind if isinstance(kind, Events) else None
        level = some.last_level(of, levels) if some else attribute_level(of, levels)
        position = compute_exact([level], log, attributes, moments.rows)[:, 0]
        rates = _rates(position, levels, changes)
        found.append(some.peer_rate(of, rates) if some else attribute_peer_rate(of, rates))
    return tuple(found)


def _categories(
    problem: Problem, log: EventLog, attributes: EventLog, until: int, ignore: tuple[str, ...]
) -> Iterator[tuple[str, tuple[str, ...], Events | None]]:
    """Each category with the levels that count, and the events it is read from."""
    some = events(problem.at.event) if problem.at else events()
    for of, levels in shared_levels(log, until, ignore).items():
        yield of, levels, some
    for of, levels in shared_levels(attributes, until, ignore).items():
        yield of, levels, None


def _changes(
    problem: Problem, log: EventLog, moments: Moments
) -> tuple[Ints, Ints, Ints, NDArray[np.int64]]:
    """What each row adds to the counts and when: row, moment, known rows, true ones.

    Moments are rounded up to whole days: a little later, never earlier, and far fewer.
    """
    assert problem.outcome is not None
    known, gone = first_known(problem, log, moments), first_known_gone(problem, log, moments)
    closes = moments.closes
    bad_news = problem.outcome.event is not None
    counted = closes < gone
    positive = (known <= closes) == bad_news
    late = counted & (closes < known) & (known < gone)
    left = counted & (gone < NEVER)
    finally_positive = (known < gone) == bad_news
    row = np.arange(len(moments))
    parts = [
        (row[counted], closes[counted], 1, positive[counted].astype(np.int64)),
        (row[late], known[late], 0, 1 if bad_news else -1),
        (row[left], gone[left], -1, -finally_positive[left].astype(np.int64)),
    ]
    when = np.concatenate([part[1] for part in parts])
    return (
        np.concatenate([part[0] for part in parts]),
        -(-when // DAY) * DAY,
        np.concatenate([np.full(len(part[0]), part[2]) for part in parts]),
        np.concatenate([np.broadcast_to(part[3], len(part[0])) for part in parts]),
    )


def _rates(
    position: Floats, levels: tuple[str, ...], changes: tuple[Ints, Ints, Ints, Ints]
) -> tuple[Rates, ...]:
    row, when, n, positive = changes
    place = position[row]
    chosen: list[tuple[str | None, NDArray[np.bool_]]] = [(None, np.ones(len(row), dtype=bool))]
    chosen += [(level, place == at) for at, level in enumerate(levels)]
    return tuple(_steps(level, when[these], n[these], positive[these]) for level, these in chosen)


def _steps(level: str | None, when: Ints, n: Ints, positive: Ints) -> Rates:
    """Running counts at every moment at which one of them changes."""
    times, place = np.unique(when, return_inverse=True)
    return Rates(
        level,
        tuple(times.tolist()),
        tuple(np.cumsum(np.bincount(place, n)).astype(int).tolist()),
        tuple(np.cumsum(np.bincount(place, positive)).astype(int).tolist()),
    )
