"""Scores: from a journey and a model to an answer that a person can act on.

Takes models and the store; gives scores with reasons, or no score and why. Knows nothing
about HTTP.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from features.cutoffs import ALREADY_HAPPENED, IN_COHORT, OUTSIDE, Moments, current, judge
from features.engine import Matrix, Rows, compute_exact
from features.event_log import EventLog
from features.feature import Feature
from features.outcomes import happened
from models.fitted import FittedModel, band
from models.persona import NOT_TOLD_APART, TOO_THIN, Persona
from models.reasons import Reason
from models.registry import Registered
from models.weekly_risk import WEEK
from serving.store import Journey, Store

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """One answer; times are microseconds UTC."""

    as_of: int
    """The cutoff: what happened later played no part."""
    valid_until: int | None
    probability: float | None = None
    """Calibrated, 0 to 1; None where there is no score."""
    interval: tuple[float, float, float] | None = None
    """Lower and upper bound of the rate among such customers, and level; see `models.interval`."""
    percentile: float | None = None
    band: str | None = None
    base: float | None = None
    """The score at the mean log-odds of the training rows, in percentage points."""
    reasons: Sequence[Reason] = ()
    """Signed percentage points; those of all reasons and the base add up to the score."""
    value_at_stake: float | None = None
    weekly: Sequence[tuple[int, float]] = ()
    """The end of each week of the outcome window, and the probability by then; the last one is
    the score. See `models.weekly_risk`."""
    vector: Mapping[str, float | None] | None = None
    """The feature vector, where it was asked for."""
    no_score: tuple[str, str] | None = None
    """Why there is no score: a stable code and a sentence."""
    persona: Persona | None = None
    """The segment that the customer belongs to."""
    no_persona: tuple[str, str] | None = None
    """Why a score has no persona: a stable code and a sentence."""


@dataclass(frozen=True)
class Standing:
    """A customer's place in the list."""

    customer: str
    score: Score


@dataclass(frozen=True)
class Scorer:
    """A registered model and the store it scores from."""

    registered: Registered
    store: Store

    @property
    def version(self) -> str:
        return self.registered.version

    def score(self, journey: Journey, as_of: int, reasons: int, with_vector: bool = False) -> Score:
        """Score one customer's journey as of a moment."""
        model = self.registered.model
        problem = model.contract.problem
        asked = current(problem, journey.log, journey.attributes, as_of)
        verdict = int(judge(problem, journey.log, journey.attributes, asked)[0])
        if verdict == IN_COHORT and bool(self._over(journey.log, asked, as_of)[0]):
            verdict = ALREADY_HAPPENED
        if verdict != IN_COHORT:
            return Score(as_of, None, no_score=OUTSIDE[verdict])
        vectors = model.vectors(journey.log, journey.attributes, asked.rows)
        stake = self._stakes(journey.log, journey.attributes, asked.rows)
        return self._scores(vectors, asked, stake, reasons, with_vector)[0]

    @cached_property
    def _book(self) -> tuple[Moments, Matrix, Floats]:
        """The cohort now: moments, feature vectors and value at stake, highest score first."""
        log, attributes = self.store.histories.log, self.store.histories.attributes
        problem = self.registered.model.contract.problem
        asked = current(problem, log, attributes, self.store.end)
        asked = asked.take(judge(problem, log, attributes, asked) == IN_COHORT)
        asked = asked.take(~self._over(log, asked, self.store.end))
        vectors = self.registered.model.vectors(log, attributes, asked.rows)
        stake = self._stakes(log, attributes, asked.rows)
        order = np.lexsort((asked.rows.customer, -self.registered.model.probabilities(vectors)))
        return asked.take(order), vectors[order], stake[order]

    def warm(self) -> None:
        """Score the whole cohort, so that the first request need not wait for it."""
        _ = self._book

    @property
    def book_size(self) -> int:
        """How many customers are in the cohort now."""
        return len(self._book[0])

    def highest(self, limit: int) -> list[Standing]:
        """The customers with the highest scores, each with its strongest reasons."""
        moments, vectors, stake = self._book
        top = moments.take(np.arange(min(limit, len(moments))))
        scores = self._scores(vectors[:limit], top, stake[:limit], 3, with_vector=False)
        names = self.store.histories.log.customers
        return [
            Standing(names[customer], score)
            for customer, score in zip(top.rows.customer.tolist(), scores, strict=True)
        ]

    def _scores(
        self, vectors: Matrix, asked: Moments, stake: Floats, reasons: int, with_vector: bool
    ) -> list[Score]:
        model = self.registered.model
        if not len(vectors):
            return []
        contributions, base = model.contributions(vectors)
        probabilities = model.probabilities(vectors)
        percentiles = model.percentiles(probabilities)
        personas = self._personas(vectors)
        weekly = model.weekly(vectors, asked)
        intervals = _intervals(model, vectors)
        scores = []
        for i, cutoff in enumerate(asked.rows.cutoff_time.tolist()):
            persona = personas[i]
            why = model.explainer.explain(
                vectors[i],
                contributions[i],
                float(base[i]),
                reasons,
                None if persona is None else persona.name,
            )
            scores.append(
                Score(
                    as_of=cutoff,
                    valid_until=self._valid_until(cutoff),
                    probability=float(probabilities[i]),
                    interval=intervals[i],
                    percentile=float(percentiles[i]),
                    band=band(float(percentiles[i])),
                    base=why.base,
                    reasons=why.reasons,
                    value_at_stake=None if np.isnan(stake[i]) else float(stake[i]),
                    weekly=() if weekly is None else dated(weekly[i], asked, i),
                    vector=self._named(vectors[i]) if with_vector else None,
                    persona=persona,
                    no_persona=None if persona else self._why_no_persona,
                )
            )
        return scores

    def _personas(self, vectors: Matrix) -> list[Persona | None]:
        personas = self.registered.model.contract.personas
        if personas is None:
            return [None] * len(vectors)
        return [personas.of(code) for code in personas.assign(vectors).tolist()]

    @property
    def _why_no_persona(self) -> tuple[str, str]:
        return TOO_THIN if self.registered.model.contract.personas else NOT_TOLD_APART

    def _over(self, log: EventLog, asked: Moments, as_of: int) -> NDArray[np.bool_]:
        """Whether the outcome has happened since a cutoff that lies before `as_of`."""
        problem = self.registered.model.contract.problem
        if problem.at is None or problem.outcome is None or problem.outcome.event is None:
            return np.zeros(len(asked), dtype=bool)
        since = Moments(asked.rows, asked.rows.cutoff_time, np.full(len(asked), as_of))
        return happened(problem, log, since)

    def _valid_until(self, cutoff: int) -> int | None:
        """A score holds until the problem would be asked again; None where nobody said when."""
        problem = self.registered.model.contract.problem
        lead = min(problem.before.lead) if problem.before else None
        length = problem.every or lead or problem.horizon
        return None if length is None else cutoff + length

    def _stakes(self, log: EventLog, attributes: EventLog, rows: Rows) -> Floats:
        """What is at stake for each row; NaN where the problem names no value."""
        value = self.registered.model.contract.problem.value
        if value is None:
            return np.full(len(rows), np.nan)
        feature = Feature("sum", of=value.sum, last=value.last)
        return compute_exact([feature], log, attributes, rows)[:, 0]

    def _named(self, vector: Matrix) -> dict[str, float | None]:
        names = self.registered.model.contract.names
        return {n: None if np.isnan(v) else float(v) for n, v in zip(names, vector, strict=True)}


def _intervals(model: FittedModel, vectors: Matrix) -> list[tuple[float, float, float] | None]:
    """Bounds and level of each row's score."""
    bounds = model.bounds(vectors)
    if model.interval is None or bounds is None:
        return [None] * len(vectors)
    level = model.interval.level
    pairs = zip(bounds[0].tolist(), bounds[1].tolist(), strict=True)
    return [(low, high, level) for low, high in pairs]


def dated(curve: Floats, asked: Moments, row: int) -> list[tuple[int, float]]:
    """A row's curve with the end of each of its weeks, microseconds UTC."""
    opens, closes = int(asked.opens[row]), int(asked.closes[row])
    known = curve[~np.isnan(curve)].tolist()
    return [(min(opens + (w + 1) * WEEK, closes), p) for w, p in enumerate(known)]
