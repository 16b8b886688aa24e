"""Peer rates: what became of earlier customers with the same level of a category.

Takes a problem's labelled rows and their levels; gives features that hold, for every level,
how many outcomes were known at each moment and how many of them were true. A row counts
from the moment at which its window is over, with the outcome as it was known then; an
outcome event that was recorded later corrects the count from that moment on, and a row whose
customer turns out to have gone within the gap leaves it. So the rate of a past day is what it
was on that day. Counts of parts of the customers add up. Knows nothing about models.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.catalogue import shared_levels
from features.config import Problem
from features.cutoffs import Moments
from features.durations import DAY
from features.engine import compute_exact
from features.event_log import EventLog, Ints
from features.feature import Feature, Rates
from features.kinds import ATTRIBUTES
from features.language import Events, attribute_level, attribute_peer_rate, events
from features.operations import NEVER
from features.outcomes import first_known, first_known_gone

EVERYBODY = -1
"""The level of rows without one; they count for all customers only."""


@dataclass(frozen=True)
class Changes:
    """What happened to the counts, each array of shape `(n_changes,)`."""

    category: Ints
    level: Ints
    """Position among the category's levels, `EVERYBODY` without one."""
    moment: Ints
    """Microseconds UTC, whole days: a little later than it was known, never earlier."""
    n: Ints
    positive: Ints


def shared_categories(
    problem: Problem, log: EventLog, attributes: EventLog, until: int, ignore: Sequence[str]
) -> tuple[Feature, ...]:
    """The categories that customers share, as features of their last level.

    None for a label table: nobody says when its labels became known.
    """
    if problem.outcome is None:
        return ()
    some = events(problem.at.event) if problem.at else events()
    return (
        *(some.last_level(of, levels) for of, levels in shared_levels(log, until, ignore).items()),
        *(
            attribute_level(of, levels)
            for of, levels in shared_levels(attributes, until, ignore).items()
        ),
    )


def changes(
    categories: Sequence[Feature],
    problem: Problem,
    log: EventLog,
    attributes: EventLog,
    moments: Moments,
) -> Changes:
    """How the outcomes of some customers' labelled rows change the counts, by day."""
    position = compute_exact(categories, log, attributes, moments.rows)
    row, moment, n, positive = _known(problem, log, moments)
    days, day = np.unique(moment, return_inverse=True)
    parts = []
    for number, category in enumerate(categories):
        found = position[row, number]
        level = np.where(np.isnan(found), EVERYBODY, found).astype(np.int64)
        width = len(category.levels) + 1
        key = day * width + level + 1
        counts = [np.bincount(key, of, minlength=len(days) * width) for of in (n, positive)]
        seen = np.flatnonzero(np.bincount(key, minlength=len(days) * width))
        parts.append(
            Changes(
                np.full(len(seen), number),
                seen % width - 1,
                days[seen // width],
                counts[0][seen].astype(np.int64),
                counts[1][seen].astype(np.int64),
            )
        )
    return joined(parts)


def joined(parts: Sequence[Changes]) -> Changes:
    """The changes of several parts of the customers."""
    fields = ("category", "level", "moment", "n", "positive")
    return Changes(*(np.concatenate([getattr(part, name) for part in parts]) for name in fields))


def peer_features(categories: Sequence[Feature], found: Changes) -> tuple[Feature, ...]:
    """A peer rate for each category."""
    features = []
    for number, category in enumerate(categories):
        mine = found.category == number
        if not mine.any():
            continue
        assert category.of is not None
        rates = [_steps(None, mine, found)]
        for place, level in enumerate(category.levels):
            rates.append(_steps(level, mine & (found.level == place), found))
        if category.source == ATTRIBUTES:
            features.append(attribute_peer_rate(category.of, tuple(rates)))
        else:
            features.append(Events(category.where).peer_rate(category.of, tuple(rates)))
    return tuple(features)


def category_of(feature: Feature) -> Feature:
    """The category whose peer rate this is, with the levels that the rate knows."""
    assert feature.of is not None
    levels = tuple(rates.level for rates in feature.rates if rates.level is not None)
    if feature.source == ATTRIBUTES:
        return attribute_level(feature.of, levels)
    return Events(feature.where).last_level(feature.of, levels)


def _known(
    problem: Problem, log: EventLog, moments: Moments
) -> tuple[Ints, Ints, NDArray[np.int64], NDArray[np.int64]]:
    """What each row adds to the counts and when: row, moment, known rows, true ones."""
    assert problem.outcome is not None
    known, gone = first_known(problem, log, moments), first_known_gone(problem, log, moments)
    # A row whose anchoring event was recorded later than its window ended counts from then on.
    closes = np.maximum(moments.closes, moments.rows.known_time)
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


def _steps(level: str | None, these: NDArray[np.bool_], found: Changes) -> Rates:
    """Running counts at every moment at which one of them changes."""
    times, place = np.unique(found.moment[these], return_inverse=True)
    counts = (np.cumsum(np.bincount(place, of[these])) for of in (found.n, found.positive))
    n, positive = (tuple(count.astype(int).tolist()) for count in counts)
    return Rates(level, tuple(times.tolist()), n, positive)
