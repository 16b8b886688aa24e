"""The proof by mutation: change what a row must not see, and look whether its features move.

Takes a pipeline, journeys and the rows of a problem; gives every feature that moved, by which
mutation, for whom and when. It needs no threshold: one bit that moves is a leak. Knows
nothing about which features there are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from features.config import Problem
from features.cutoffs import IN_COHORT, judge, with_windows
from features.engine import Rows
from features.event_log import EventLog, Ints
from training.mutations import ALWAYS, EVERYTHING, MUTATIONS, RESTATED, Edge, mutate
from training.pipeline import Fitted, Journeys, Matrix, Pipeline, Question

Mask = NDArray[np.bool_]

CUTOFFS = 6
"""Edges that are tried; they are spread over train, validation and test."""
ROWS_AT_ONCE = 400
"""Rows looked at an edge; those whose own edge is nearest come first."""
MOST_EVENTS = 100_000
"""Journeys of more events are cut down to so many by leaving customers out, by chance."""
OWN_LABELS = 3
"""Training rows whose label is turned round, one at a time, to find it in their own features."""

ALONE = "computed alone"
LABELS = "labels turned"


@dataclass(frozen=True)
class Movement:
    """A feature that moved although nothing moved that its row may see."""

    kind: str
    """`row`, `fit` or `own_label`."""
    feature: str
    mutation: str
    """The mutations that move it, joined by commas."""
    customer: str
    cutoff_time: int
    before: float
    after: float
    n_rows: int
    """How many of the rows that were looked at moved."""


@dataclass(frozen=True)
class Proof:
    """What was tried and what moved."""

    movements: tuple[Movement, ...]
    columns_came: tuple[str, ...]
    """Columns that are chosen only when something beyond the training part changes."""
    columns_went: tuple[str, ...]
    cohort_moved: int
    """Rows whose membership or label window depends on their future."""
    n_edges: int
    n_rows: int
    n_values: int
    """Feature values that were compared."""
    n_customers: int
    """Customers with events whose journeys were changed; the others were left out by chance."""
    n_customers_of: int
    """Customers with events."""
    mutations: tuple[str, ...] = (*MUTATIONS, RESTATED)


def prove(
    pipeline: Pipeline,
    journeys: Journeys,
    question: Question,
    problem: Problem,
    seed: int,
    cutoffs: int = CUTOFFS,
) -> Proof:
    """Mutate whatever rows must not see, and compare every value bit for bit."""
    n_customers_of = _n_heard(journeys.log)
    journeys, question = _small_enough(journeys, question, seed)
    fitted = pipeline.fit(journeys, question)
    movements = list(_own_label(pipeline, fitted, journeys, question, seed))
    came, went, moved = _beyond_training(pipeline, fitted, journeys, question, seed)
    movements += moved
    edges = _edges(question.rows, cutoffs)
    n_rows, cohort_moved = len(question.train[:ROWS_AT_ONCE]), 0
    for number, edge in enumerate(edges):
        rows = question.rows.take(_nearest(question.rows, edge))
        changed = mutate(journeys, edge, EVERYTHING, seed + number)
        movements += _beyond_rows(fitted, journeys, changed, rows, edge, seed + number)
        cohort_moved += _cohort_moved(problem, journeys, changed, rows)
        n_rows += len(rows)
    n_values = n_rows * len(fitted.names)
    return Proof(
        tuple(_gathered(movements)), came, went, cohort_moved, len(edges), n_rows, n_values,
        _n_heard(journeys.log), n_customers_of,
    )  # fmt: skip


def _n_heard(log: EventLog) -> int:
    """How many customers have an event."""
    return int(np.count_nonzero(np.diff(log.offsets)))


def _small_enough(journeys: Journeys, question: Question, seed: int) -> tuple[Journeys, Question]:
    """The same of fewer customers, where there are too many events for many rebuilds."""
    log = journeys.log
    if log.n_events <= MOST_EVENTS:
        return journeys, question
    order = np.random.default_rng(seed).permutation(log.n_customers)
    trained = np.flatnonzero(np.isin(order, question.rows.customer[question.train]))[:1]
    order = np.concatenate([order[trained], np.delete(order, trained)])  # one to fit on, at least
    chosen = np.zeros(log.n_customers, dtype=bool)
    chosen[order[np.cumsum(np.diff(log.offsets)[order]) <= MOST_EVENTS]] = True
    chosen[order[0]] = True
    keep = np.flatnonzero(chosen[question.rows.customer])
    place = np.full(len(question.label), -1)
    place[keep] = np.arange(len(keep))
    parts = {
        name: place[part][place[part] >= 0]
        for name in ("train", "validation", "test")
        for part in [getattr(question, name)]
    }
    fewer = replace(
        question,
        rows=question.rows.take(keep),
        closes=question.closes[keep],
        label=question.label[keep],
        **parts,
    )
    return Journeys(_only(log, chosen), _only(journeys.attributes, chosen)), fewer


def _only(log: EventLog, chosen: Mask) -> EventLog:
    """The events of some customers; the list of customers stays."""
    sizes = np.where(chosen, np.diff(log.offsets), 0)
    rows = np.flatnonzero(np.repeat(chosen, np.diff(log.offsets)))
    return log.rows(rows, log.customers, np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64))


def _edges(rows: Rows, cutoffs: int) -> list[Edge]:
    """Cutoffs and known times of rows, spread evenly over all rows."""
    order = np.lexsort((rows.known_time, rows.cutoff_time))
    # The ends are tried too: the oldest rows have the most future, the newest are the test part.
    at = order[np.linspace(0, len(order) - 1, 4 * cutoffs).astype(int)]
    pairs = sorted({(int(rows.cutoff_time[i]), int(rows.known_time[i])) for i in at.tolist()})
    keep = np.unique(np.linspace(0, len(pairs) - 1, cutoffs).astype(int))
    return [Edge(*pairs[i]) for i in keep.tolist()]


def _nearest(rows: Rows, edge: Edge) -> Ints:
    """Rows that see nothing beyond the edge, those at the edge itself first."""
    inside = np.flatnonzero((rows.cutoff_time <= edge.cutoff) & (rows.known_time <= edge.known))
    newest = np.argsort(-np.minimum(rows.cutoff_time, rows.known_time)[inside], kind="stable")
    return inside[newest[:ROWS_AT_ONCE]]


def _beyond_rows(
    fitted: Fitted, journeys: Journeys, changed: Journeys, rows: Rows, edge: Edge, seed: int
) -> Iterator[Movement]:
    """Features of rows at an edge that move with anything beyond it.

    Rates over other customers are counted anew from the changed journeys: a past row has to find
    in them what it found before.
    """
    before = fitted(journeys, rows)

    def moved(other: Journeys) -> tuple[Matrix, Mask]:
        again = fitted.anew(other)
        after = _in_order(again, fitted.names, again(other, rows))
        return after, _differs(before, after)

    deleted = mutate(journeys, edge, ("deleted",), seed)
    if not moved(changed)[1].any() and not moved(deleted)[1].any():
        return
    for name in (*MUTATIONS, RESTATED):  # only now, to say which one it was
        after, different = moved(mutate(journeys, edge, (name,), seed))
        yield from _told("row", name, fitted.names, rows, journeys.log, before, after, different)


def _spread(part: Ints) -> Ints:
    """Rows of a part, the oldest and the newest among them."""
    chosen: Ints = part[np.unique(np.linspace(0, len(part) - 1, ROWS_AT_ONCE).astype(int))]
    return chosen


def _beyond_training(
    pipeline: Pipeline, fitted: Fitted, journeys: Journeys, question: Question, seed: int
) -> tuple[tuple[str, ...], tuple[str, ...], list[Movement]]:
    """Columns and values of training rows that move with anything beyond the training part.

    Also whether a row's values depend on which rows are computed with it: a statistic over
    the rows at hand is one over the test part too.
    """
    train = _spread(question.train)
    rows = question.rows.take(train)
    before = fitted(journeys, rows)
    movements: list[Movement] = []
    more = np.concatenate([train, question.test[:ROWS_AT_ONCE]])
    whole = fitted(journeys, question.rows.take(more))[: len(rows)]
    movements += _told(
        "fit", ALONE, fitted.names, rows, journeys.log, whole, before, _differs(whole, before)
    )
    edge = Edge(ALWAYS, question.until)
    label = _turned(question)
    came: set[str] = set()
    went: set[str] = set()
    for said, names in (("deleted", ("deleted",)), ("changed", EVERYTHING), (LABELS, ())):
        other = mutate(journeys, edge, names, seed)
        asked = question if names else question.with_labels(label)
        again = pipeline.fit(other, asked)
        came |= set(again.names) - set(fitted.names)
        went |= set(fitted.names) - set(again.names)
        after = _in_order(again, fitted.names, again(other, rows))
        different = _differs(before, after) & np.isin(fitted.names, again.names)
        movements += _told("fit", said, fitted.names, rows, journeys.log, before, after, different)
    return tuple(sorted(came)), tuple(sorted(went)), movements


def _turned(question: Question) -> NDArray[np.int8]:
    """Labels in which every one of validation and test is turned round."""
    label = question.label.copy()
    others = np.concatenate([question.validation, question.test])
    label[others] = 1 - label[others]
    return label


def _own_label(
    pipeline: Pipeline, fitted: Fitted, journeys: Journeys, question: Question, seed: int
) -> Iterator[Movement]:
    """Features of a training row that move when its own label is turned round."""
    rng = np.random.default_rng(seed)
    chosen = rng.choice(question.train, min(OWN_LABELS, len(question.train)), replace=False)
    for row in chosen.tolist():
        label = question.label.copy()
        label[row] = 1 - label[row]
        again = pipeline.fit(journeys, question.with_labels(label))
        rows = question.rows.take(np.array([row]))
        before = fitted(journeys, rows)
        after = _in_order(again, fitted.names, again(journeys, rows))
        yield from _told(
            "own_label", "own label", fitted.names, rows, journeys.log, before, after,
            _differs(before, after),
        )  # fmt: skip


def _cohort_moved(problem: Problem, journeys: Journeys, changed: Journeys, rows: Rows) -> int:
    """Rows that leave the cohort, or whose label window moves, when their future changes."""
    if problem.labels is not None:
        return 0
    moments = with_windows(problem, rows, journeys.log, journeys.attributes)
    again = with_windows(problem, rows, changed.log, changed.attributes)
    verdict = judge(problem, journeys.log, journeys.attributes, moments)
    elsewhere = judge(problem, changed.log, changed.attributes, again)
    differs = (verdict != elsewhere) & (verdict == IN_COHORT)
    return int((differs | (moments.closes != again.closes)).sum())


def _differs(before: Matrix, after: Matrix) -> Mask:
    """Where two matrices of one shape are not the same; missing equals missing."""
    return np.asarray((before != after) & ~(np.isnan(before) & np.isnan(after)))


def _in_order(fitted: Fitted, names: Sequence[str], matrix: Matrix) -> Matrix:
    """A matrix with the columns of another fit; NaN for those that it lacks."""
    place = {name: column for column, name in enumerate(fitted.names)}
    out = np.full((len(matrix), len(names)), np.nan)
    for column, name in enumerate(names):
        if name in place:
            out[:, column] = matrix[:, place[name]]
    return out


def _told(
    kind: str, mutation: str, names: Sequence[str], rows: Rows, log: EventLog,
    before: Matrix, after: Matrix, different: Mask,
) -> Iterator[Movement]:  # fmt: skip
    """One movement a feature, with the first row that moved as its example."""
    for column in np.flatnonzero(different.any(axis=0)).tolist():
        moved = np.flatnonzero(different[:, column])
        row = int(moved[0])
        yield Movement(
            kind,
            names[column],
            mutation,
            log.customers[int(rows.customer[row])],
            int(rows.cutoff_time[row]),
            float(before[row, column]),
            float(after[row, column]),
            len(moved),
        )


def _gathered(movements: Sequence[Movement]) -> Iterator[Movement]:
    """One movement a feature and kind: its mutations together, the rows of the worst."""
    together: dict[tuple[str, str], list[Movement]] = {}
    for movement in movements:
        together.setdefault((movement.kind, movement.feature), []).append(movement)
    for found in together.values():
        worst = max(found, key=lambda movement: movement.n_rows)
        names = dict.fromkeys(movement.mutation for movement in found)
        yield replace(worst, mutation=", ".join(names))
