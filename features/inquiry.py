"""All that a score has to know of a history, in one call of the engine.

Takes a problem, a model's features and further ones; gives for any number of customers the
moment that is asked about, whether the customer is in the cohort, the feature vector and the
further values. The arithmetic is that of `features.cutoffs`: this module only sees to it that
its questions are answered together. Knows nothing about models or stores.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.config import Problem
from features.cutoffs import (
    DATES,
    AsOf,
    Moments,
    anchored,
    as_of_rows,
    asked_at,
    date_of,
    verdicts,
    windows,
)
from features.engine import Matrix, Rows, compute_exact
from features.event_log import TIME, EventLog, Floats
from features.feature import Feature
from features.program import Plan, prepare

Question = tuple[str, Feature]
"""Which log it is asked of, and what."""


@dataclass(frozen=True)
class Found:
    """What an inquiry found out, a row a customer."""

    moments: Moments
    verdict: NDArray[np.int8]
    """`IN_COHORT`, or why the customer is not asked about; see `features.cutoffs`."""
    vectors: Matrix
    """Shape `(n_rows, n_features)`; the same bits as `features.engine.compute` gives."""
    further: Floats
    """Shape `(n_rows, n_further)`; the same bits as `compute_exact` gives."""

    def __len__(self) -> int:
        return len(self.verdict)

    def take(self, chosen: NDArray[np.int64] | NDArray[np.bool_]) -> "Found":
        return Found(
            self.moments.take(chosen),
            self.verdict[chosen],
            self.vectors[chosen],
            self.further[chosen],
        )


class Inquiry:
    """The questions of one problem and one list of features, prepared once."""

    def __init__(
        self,
        problem: Problem,
        features: Sequence[Feature],
        further: Sequence[Feature],
        kinds: Mapping[str, str],
        attribute_kinds: Mapping[str, str],
    ) -> None:
        """Prepare.

        Parameters
        ----------
        further
            What else is asked about each row, in float64.
        kinds, attribute_kinds
            The kinds of the properties that the logs will have as columns.
        """
        self._problem = problem
        since = anchored(problem)
        self._since = prepare(since) if since else None
        questions = _questions(problem)
        date = date_of(problem)
        by_event = date is None or kinds.get(date) == TIME or attribute_kinds.get(date) != TIME
        stated = {p for p, q in enumerate(questions) if q[0] == DATES and not by_event}
        self._first = len(questions)
        self._second = self._first + len(further)
        every = [feature for _, feature in questions] + [*further, *features]
        self._plan: Plan = prepare(every, stated)

    def ask(self, log: EventLog, attributes: EventLog, as_of: AsOf) -> Found:
        """Ask about every customer of the logs when it is `as_of`."""
        rows = as_of_rows(log.n_customers, as_of)
        return self.ask_rows(log, attributes, asked_at(self._problem, rows, log, self._since))

    def ask_rows(self, log: EventLog, attributes: EventLog, rows: Rows) -> Found:
        """Ask at cutoffs that are known."""
        values = compute_exact(self._plan, log, attributes, rows)
        places = iter(range(self._first))

        def answer(_: str, __: Feature) -> Floats:  # always in the same order: see `_questions`
            return values[:, next(places)]

        moments = windows(self._problem, rows, answer)
        return Found(
            moments,
            verdicts(self._problem, moments, answer),
            values[:, self._second :].astype(np.float32),
            values[:, self._first : self._second],
        )


def _questions(problem: Problem) -> list[Question]:
    """What is asked about no row at all, which is what will be asked about any, in this order."""
    asked: list[Question] = []

    def note(of: str, feature: Feature) -> Floats:
        asked.append((of, feature))
        return np.zeros(0)

    nobody = as_of_rows(0, AsOf.then(0))
    verdicts(problem, windows(problem, nobody, note), note)
    return asked
