"""The test part by gap, by period and by kind of customer.

Takes prepared rows, scores and rivals; gives a judgement of each group that is large enough
to be told. Knows nothing about how the scores were made.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.config import Problem
from features.cutoffs import Moments
from features.durations import format_duration, parse_moment
from features.engine import Matrix
from features.event_log import Ints
from features.feature import Feature, feature_names
from training.evaluation import Judgement, Rival, judge
from training.weighted import Acting, Floats, Labels

LEAST_ROWS = 100
LEAST_OF_CLASS = 20
"""Rows, and rows of each class, that a group needs to be judged; a smaller one is counted."""
RESAMPLES = 200
"""Resamples a group: its interval is read to two digits."""
PERSONA = "persona"
"""What a group is by that holds the rows of a persona."""
MOST_LEVELS = 12
"""Levels of a category that are told, the largest first."""
MOST_MONTHS = 24
"""With more months than this periods are quarters."""
KINDS = {"stage_now": 2, "attribute_level": 7, "last_level": 3}
"""Categories as known at the cutoff, such as the channel of the last event, and how many of each
kind the test part is sliced by."""


@dataclass(frozen=True)
class Group:
    """Some of the rows that nothing was fitted on."""

    by: str
    """`gap`, `period`, `persona`, or the name of a category's column."""
    level: str
    """`90d`, `2017-11`, `pro`; `unknown` where the category is missing."""
    n: int
    n_positive: int
    mean_score: float
    judgement: Judgement | None
    """None where the group is too small to be judged."""


@dataclass(frozen=True)
class Judged:
    """Rows that nothing was fitted on, with what is needed to judge any of them."""

    label: Labels
    probability: Floats
    rivals: Mapping[str, Rival]
    customer: Ints
    acting: Acting
    seed: int

    def whole(self) -> Judgement:
        """The judgement of all rows."""
        return judge(
            self.label, self.probability, self.rivals, self.customer, self.acting, self.seed
        )

    def group(self, by: str, level: str, rows: Ints, against: Sequence[str] = ()) -> Group:
        """The judgement of some rows, beside the rivals that are named."""
        label, probability = self.label[rows], self.probability[rows]
        positives = int(label.sum())
        judgement = None
        if len(rows) >= LEAST_ROWS and min(positives, len(rows) - positives) >= LEAST_OF_CLASS:
            rivals = {
                name: rival.take(rows) for name, rival in self.rivals.items() if name in against
            }
            judgement = judge(
                label, probability, rivals, self.customer[rows], self.acting.take(rows),
                self.seed, RESAMPLES,
            )  # fmt: skip
        return Group(by, level, len(rows), positives, float(probability.mean()), judgement)


def by_gap(
    judged: Judged, problem: Problem, moments: Moments, features: Sequence[Feature], matrix: Matrix
) -> list[Group]:
    """The rows by how long before the date they were asked; none where the problem has no leads.

    Where neither the window nor a column says how far the date is, there are no groups.
    """
    if problem.before is None:
        return []
    ahead = _ahead(problem, moments, features, matrix)
    if ahead is None:
        return []
    leads = np.sort(np.array(problem.before.lead))[::-1]
    nearest = np.abs(ahead[:, None] - leads[None, :]).argmin(axis=1)
    groups = ((format_duration(int(lead)), nearest == i) for i, lead in enumerate(leads))
    return [
        judged.group("gap", name, np.flatnonzero(rows), tuple(judged.rivals))
        for name, rows in groups
        if rows.any()
    ]


def _ahead(
    problem: Problem, moments: Moments, features: Sequence[Feature], matrix: Matrix
) -> Floats | None:
    """Microseconds from each cutoff to the date."""
    assert problem.before is not None
    if problem.outcome is not None and problem.outcome.by is not None:
        return np.asarray(
            moments.closes - moments.rows.cutoff_time - (problem.horizon or 0), dtype=np.float64
        )
    for column, feature in enumerate(features):
        if feature.kind in ("days_until", "attribute_days") and (
            feature.of == problem.before.property and not feature.where.conditions
        ):
            return np.nan_to_num(matrix[:, column].astype(np.float64)) * 86_400e6
    return None


def by_period(judged: Judged, cutoff_time: Ints) -> list[Group]:
    """The rows by the calendar month of their cutoff (UTC), or by its quarter."""
    months = cutoff_time.astype("datetime64[us]").astype("datetime64[M]")
    found, place = np.unique(months, return_inverse=True)
    names = [str(month) for month in found]
    if len(found) > MOST_MONTHS:
        names = [f"{name[:4]}-Q{(int(name[5:]) + 2) // 3}" for name in names]
    _, number = np.unique(names, return_inverse=True)
    of_row = number[place]
    return [
        judged.group("period", names[int(np.flatnonzero(number == i)[0])],
                     np.flatnonzero(of_row == i), tuple(judged.rivals))
        for i in range(int(number.max()) + 1)
    ]  # fmt: skip


def begin_of(level: str) -> int:
    """When a period of `by_period` begins, microseconds UTC: a month, or a quarter."""
    year, _, part = level.partition("-")
    month = 3 * int(part[1:]) - 2 if part.startswith("Q") else int(part)
    return parse_moment(f"{year}-{month:02d}-01")


def by_category(
    judged: Judged, features: Sequence[Feature], matrix: Matrix, rival: str | None
) -> list[Group]:
    """The rows by each level of chosen categories, as known at the cutoff."""
    against = () if rival is None else (rival,)
    return [
        judged.group(name, level, rows, against)
        for name, column, feature in _categories(features)
        for level, rows in _levels(feature, matrix[:, column])
    ]


def by_persona(judged: Judged, names: Sequence[str], code: Ints, rival: str | None) -> list[Group]:
    """The rows by the persona that they would be told; `code` is each row's place in `names`."""
    against = () if rival is None else (rival,)
    return [
        judged.group(PERSONA, name, np.flatnonzero(code == place), against)
        for place, name in enumerate(names)
        if (code == place).any()
    ]


def _categories(features: Sequence[Feature]) -> list[tuple[str, int, Feature]]:
    names = feature_names(features)
    found: dict[str, list[int]] = {kind: [] for kind in KINDS}
    for column, feature in enumerate(features):
        if feature.kind in KINDS and feature.over is None and not feature.where.conditions:
            found[feature.kind].append(column)
    chosen = [column for kind, most in KINDS.items() for column in found[kind][:most]]
    return [(names[column], column, features[column]) for column in chosen]


def _levels(feature: Feature, values: NDArray[np.float32]) -> Iterator[tuple[str, Ints]]:
    """The largest levels of a column with their rows."""
    code = np.where(np.isnan(values), len(feature.levels), values).astype(np.int64)
    count = np.bincount(code, minlength=len(feature.levels) + 1)
    for level in np.argsort(-count, kind="stable")[:MOST_LEVELS].tolist():
        if count[level]:
            name = feature.levels[level] if level < len(feature.levels) else "unknown"
            yield name, np.flatnonzero(code == level)
