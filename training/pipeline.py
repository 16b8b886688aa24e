"""What an audit audits: anything that turns journeys into a matrix.

Takes journeys and rows; gives named columns. A pipeline is fitted once (columns are chosen,
statistics are taken) and then asked for any rows, as training and serving do. The product's
own is `CataloguePipeline`; tests plant leaks in others. Knows nothing about mutations.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from features.config import Business, Problem
from features.cutoffs import Moments
from features.engine import Rows, compute
from features.event_log import EventLog, Ints
from features.feature import Feature, feature_names
from features.overview import Overview
from training.labels import declared
from training.peers import Changes, category_of, changes, peer_features
from training.prepare import Asked, choose_features, looked_at

Counting = Callable[[tuple[Feature, ...], Problem, EventLog, EventLog, Moments], Changes]
"""How outcomes are counted for peer rates; training's own way is `training.peers.changes`."""

Labels = NDArray[np.int8]
Matrix = NDArray[Any]
"""Floats of shape `(n_rows, n_features)`; NaN where a feature is missing."""


@dataclass(frozen=True)
class Journeys:
    """The events and the statements about customers, over one list of customers."""

    log: EventLog
    attributes: EventLog


@dataclass(frozen=True)
class Question:
    """The rows of a problem, as a pipeline is fitted on them."""

    rows: Rows
    """Every row that is used, of train, validation and test."""
    closes: Ints
    """When each row's label window is over, shape `(n_rows,)`."""
    label: Labels
    """0 or 1, shape `(n_rows,)`."""
    train: Ints
    """Positions of the training part."""
    validation: Ints
    test: Ints
    until: int
    """The training part's last known time."""

    def with_labels(self, label: Labels) -> "Question":
        return replace(self, label=label)


class Fitted(Protocol):
    """A pipeline that has chosen its columns."""

    @property
    def names(self) -> tuple[str, ...]:
        """One name a column."""

    def __call__(self, journeys: Journeys, rows: Rows) -> Matrix:
        """The columns of any rows, shape `(n_rows, len(names))`."""

    def anew(self, journeys: Journeys) -> "Fitted":
        """The same columns, with whatever grows with the histories counted from these journeys.

        What is fitted on the training part alone stays. A column of which these journeys tell
        nothing may be left out.
        """


class Pipeline(Protocol):
    """What is audited."""

    def fit(self, journeys: Journeys, question: Question) -> Fitted:
        """Choose columns and take statistics; may know what was known at `question.until`."""


@dataclass(frozen=True)
class FittedCatalogue:
    """Features of the language, computed by the one engine."""

    features: tuple[Feature, ...]
    count: Callable[[tuple[Feature, ...], Journeys], Changes] | None = None
    """Counts the outcomes of journeys by categories, for peer rates; None where there are none."""

    @cached_property
    def names(self) -> tuple[str, ...]:
        return feature_names(self.features)

    def __call__(self, journeys: Journeys, rows: Rows) -> Matrix:
        return compute(self.features, journeys.log, journeys.attributes, rows)

    def anew(self, journeys: Journeys) -> "FittedCatalogue":
        """The same features, their peer rates counted from these journeys' own outcomes."""
        categories = tuple(category_of(feature) for feature in self.features if feature.rates)
        if self.count is None or not categories:
            return self
        counted = peer_features(categories, self.count(categories, journeys))
        rates = {category_of(feature): feature for feature in counted}
        features = [f if not f.rates else rates.get(category_of(f)) for f in self.features]
        return replace(self, features=tuple(f for f in features if f is not None))


@dataclass(frozen=True)
class CataloguePipeline:
    """The path that training uses: the catalogue as of the training part, and the engine."""

    business: Business
    problem: Problem
    end: int
    """The moment up to which the histories reach."""
    whole: Overview
    """Of all journeys as they are: other journeys are asked at the same cutoffs."""
    counting: Counting = changes

    def fit(self, journeys: Journeys, question: Question) -> FittedCatalogue:
        """The features that the journeys call for, as known at `question.until`.

        Peer rates are counted from every row that training counts, not from the question's.
        """
        features = choose_features(
            self.business,
            self.problem,
            looked_at(journeys.log, journeys.attributes, question.until),
            question.until,
            lambda categories: self._count(categories, journeys),
        )
        return FittedCatalogue(features, self._count)

    def _count(self, categories: tuple[Feature, ...], journeys: Journeys) -> Changes:
        """Label the problem's rows in these journeys and count what became of them."""
        log, attributes = journeys.log, journeys.attributes
        labelled, _ = declared(self.problem, log, attributes, self.end, self.whole)
        return self.counting(categories, self.problem, log, attributes, labelled.peers)


def question_of(asked: Asked, most: dict[str, int], seed: int) -> Question:
    """The rows of a problem, thinned by chance to at most so many a part.

    `until` stays that of the whole training part, because columns are chosen as of then.
    """
    rng = np.random.default_rng(seed)
    parts = []
    for name in ("train", "validation", "test"):
        part = getattr(asked.split, name)
        few = rng.choice(part, most[name], replace=False) if len(part) > most[name] else part
        parts.append(np.sort(few))
    used = np.concatenate(parts)
    edges = np.cumsum([0, *(len(part) for part in parts)])
    train, validation, test = (np.arange(edges[i], edges[i + 1]) for i in range(3))
    moments = asked.labelled.moments
    return Question(
        moments.rows.take(used), moments.closes[used], asked.labelled.label[used],
        train, validation, test, asked.until,
    )  # fmt: skip
