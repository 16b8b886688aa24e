"""What the training part tells of each persona: its size, its outcomes, its habits, its path.

Takes personas that were found without labels and the rows of the training part; gives the same
personas with plain facts that a page shows and no score depends on. Knows nothing about how
personas were found.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from features.engine import Matrix
from features.event_log import EventLog, Ints
from features.feature import EVENT, Feature
from models.meaning import NOTHING_SEEN
from models.persona import Codes, Facts, Floats, Personas, Side, Trait
from models.seen import Seen
from models.spoken import Words, capital
from training.persona_names import Mix, mix, says_the_same
from training.personas import DECIMALS, NO_WORDS
from training.pictures import wilson
from training.prepare import ENOUGH_ROWS, Prepared

OF_SIDES, OF_OTHERS = 3, 3
"""Traits of what tells personas apart, and of all other features."""
TELLING = 0.15
"""How far from an even chance it has to be that a customer of the persona has more of something
than one of the rest."""
SHARE = "share"


def with_facts(
    personas: Personas,
    ready: Prepared,
    stages: Mapping[str, Sequence[str]],
    words: Words = NO_WORDS,
    seen: Seen = NOTHING_SEEN,
) -> Personas:
    """The personas, each with its facts.

    Parameters
    ----------
    ready
        Prepared rows whose features the personas read.
    stages
        Which events belong to which stage, in the business's order.
    words, seen
        What the business calls things, and what its histories held.
    """
    matrix, label = ready.parts["train"]
    step = -(-len(matrix) // ENOUGH_ROWS)
    rows = ready.rows("train")[::step]
    matrix, label = matrix[::step], label[::step]
    moments = ready.labelled.moments.rows
    who, cutoff = moments.customer[rows], moments.cutoff_time[rows]
    last = _last_rows(who, cutoff)
    code = personas.assign(matrix)
    known = last[code[last] >= 0]
    paths = paths_of(ready.log, stages, who[known], cutoff[known])
    found = []
    for place, persona in enumerate(personas.personas):
        mine, theirs = code == place, code[known] == place
        if not mine.any() or not theirs.any():
            found.append(persona)
            continue
        low, high = wilson(label[mine].astype(np.float64), who[mine])
        path, share = ((), None) if paths is None else commonest(paths[theirs], tuple(stages))
        facts = Facts(
            int(theirs.sum()), int(mine.sum()), _short(label[mine].mean()), _short(low),
            _short(high),
            _traits(ready.features, personas.sides, matrix[known], theirs, words, seen),
            path, share,
        )  # fmt: skip
        found.append(replace(persona, facts=facts))
    return replace(personas, personas=tuple(found))


def _last_rows(who: Codes, cutoff: Codes) -> Ints:
    """The place of each customer's last row."""
    order = np.lexsort((cutoff, who))
    return np.asarray(order[np.append(np.diff(who[order]) != 0, True)])


def _traits(
    features: Sequence[Feature],
    sides: Sequence[Side],
    vectors: Matrix,
    mine: np.ndarray,
    words: Words,
    seen: Seen,
) -> tuple[Trait, ...]:
    """What is usual here and among everybody, first of what tells personas apart."""
    of_sides = [
        (column, side.is_mix, values)
        for side in sides
        for same in [says_the_same(side, vectors)]
        for column, values in zip(side.columns, side.values(vectors).T, strict=True)
        if column != same
    ]
    ranked = sorted(of_sides, key=lambda one: -abs(leaning_of(one[2], mine)))
    chosen = [one for one in ranked[:OF_SIDES] if abs(leaning_of(one[2], mine)) >= TELLING]
    chosen = chosen or ranked[:1]
    told = []
    for column, is_mix, values in chosen:
        of = mix(features[column], words, seen) if is_mix else None
        told.append(_mean(features[column], of, values, mine))
    for column, values in _others(features, vectors, mine, told_by(features, sides)):
        here, everybody = (_short(float(np.nanmedian(some))) for some in (values[mine], values))
        if here != everybody:
            about = features[column]
            told.append(Trait(capital(about.description), here, everybody, about.unit))
        if len(told) == len(chosen) + OF_OTHERS:
            break
    return tuple(told)


def _mean(feature: Feature, of: Mix | None, values: Floats, mine: np.ndarray) -> Trait:
    here, everybody = (_short(float(np.nanmean(some))) for some in (values[mine], values))
    if of is None:
        return Trait(capital(feature.description), here, everybody, feature.unit)
    return Trait(capital(of.trait), here, everybody, SHARE)


def told_by(features: Sequence[Feature], sides: Sequence[Side]) -> set[str]:
    """What the sides say already: groups of features, and the properties that are mixed."""
    read = [features[column] for side in sides for column in side.columns]
    mixed = {f.where.conditions[0].column for f in read if f.kind == "count"} - {EVENT}
    return {f.group for f in read} | {f.group for f in features if _about(f) & mixed}


def _about(feature: Feature) -> set[str]:
    return {feature.of or "", *(condition.column for condition in feature.where.conditions)}


def _others(
    features: Sequence[Feature], vectors: Matrix, mine: np.ndarray, read: set[str]
) -> list[tuple[int, Floats]]:
    """Features beside those that tell personas apart, the most telling first; of what says the
    same, one."""
    found: dict[str, tuple[float, int, Floats]] = {}
    for column, feature in enumerate(features):
        if feature.is_position or feature.stages or feature.group in read:
            continue
        values = vectors[:, column].astype(np.float64)
        if not all(np.isfinite(some).sum() * 2 > len(some) for some in (values[mine], values)):
            continue
        leaning = abs(leaning_of(values, mine))
        if leaning >= TELLING and leaning > found.get(feature.group, (0.0,))[0]:
            found[feature.group] = leaning, column, values
    ranked = sorted(found.values(), key=lambda one: (-one[0], one[1]))
    return [(column, values) for _, column, values in ranked]


def leaning_of(values: Floats, mine: np.ndarray) -> float:
    """The chance that one of the persona has more than one of the rest, less a half.

    Ranks decide, so no odd number weighs more than another (Mann and Whitney 1947).
    """
    there = np.isfinite(values)
    here, rest = mine[there], ~mine[there]
    if not here.any() or not rest.any():
        return 0.0
    _, place, size = np.unique(values[there], return_inverse=True, return_counts=True)
    rank = (np.cumsum(size) - (size - 1) / 2)[place]
    n = float(here.sum())
    return float((rank[here].sum() - n * (n + 1) / 2) / (n * rest.sum())) - 0.5


def paths_of(
    log: EventLog | None, stages: Mapping[str, Sequence[str]], who: Codes, until: Codes
) -> Codes | None:
    """The stages of each customer in the order in which they were first reached.

    Shape `(n_customers, n_stages)`, -1 where no further one was reached; None where the events
    are not at hand, or belong to no stages.
    """
    if log is None or not stages:
        return None
    place = {name: i for i, names in enumerate(stages.values()) for name in names}
    table = np.array([place.get(name, -1) for name in log.event.levels] or [-1], np.int64)
    stage = table[log.event.codes]
    found = np.full((len(who), len(stages)), -1, np.int64)
    for row, (customer, moment) in enumerate(zip(who.tolist(), until.tolist(), strict=True)):
        begin, end = log.offsets[customer], log.offsets[customer + 1]
        known = np.maximum(log.event_time[begin:end], log.recorded_time[begin:end]) <= moment
        reached = stage[begin:end][known]
        order = list(dict.fromkeys(reached[reached >= 0].tolist()))
        found[row, : len(order)] = order
    return found


def commonest(paths: Codes, stages: Sequence[str]) -> tuple[tuple[str, ...], float | None]:
    """The commonest path and its share of those who reached any stage."""
    some = paths[paths[:, 0] >= 0]
    if not len(some):
        return (), None
    found, count = np.unique(some, axis=0, return_counts=True)
    best = int(count.argmax())
    path = tuple(stages[stage] for stage in found[best].tolist() if stage >= 0)
    return path, _short(count[best] / len(some))


def _short(value: float) -> float:
    """As many digits as two machines agree on."""
    return round(float(value), DECIMALS)
