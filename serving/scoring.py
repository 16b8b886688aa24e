"""Scores: from journeys and a model to answers that a person can act on.

Takes a fitted model and logs, or feature vectors; gives scores with reasons, or no score and
why. One customer and many are the same call, and a row has the same bits alone and among
others. Knows nothing about HTTP, stores or registries.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from features.cutoffs import ALREADY_HAPPENED, IN_COHORT, AsOf, as_of_rows, outside, windows
from features.durations import DAY
from features.engine import Matrix
from features.event_log import EventLog
from features.feature import Feature
from features.inquiry import Found, Inquiry
from features.language import events, stage_feature
from features.outcomes import over
from models.fitted import FittedModel, band
from models.persona import NO_PERSONA, NOT_TOLD_APART, TOO_THIN, Persona
from models.reasons import Reason
from models.spoken import plain
from models.weekly_risk import WEEK

Floats = NDArray[np.float64]

Why = tuple[str, str]
"""A stable code and a sentence."""


@dataclass(frozen=True)
class Stage:
    """Where a journey stands."""

    name: str
    since: int
    """When the stage was entered, microseconds UTC."""


@dataclass(frozen=True)
class Score:
    """One answer; times are microseconds UTC."""

    as_of: int
    """The cutoff: what happened later played no part."""
    known_time: int
    """Nor did what was recorded later."""
    valid_until: int | None = None
    probability: float | None = None
    """Calibrated, 0 to 1; None where there is no score."""
    interval: tuple[float, float, float] | None = None
    """Lower and upper bound of the rate among such customers, and level; see `models.interval`."""
    percentile: float | None = None
    band: str | None = None
    base: float | None = None
    """The score at the mean log-odds of the training rows, in percentage points."""
    rest: float | None = None
    """What all that is no reason here adds, in percentage points, signed."""
    reasons: Sequence[Reason] = ()
    """Signed percentage points; base, reasons and rest add up to the score."""
    value_at_stake: float | None = None
    stage: Stage | None = None
    weekly: Sequence[tuple[int, float]] = ()
    """The end of each week of the outcome window, and the probability by then; the last one is
    the score. See `models.weekly_risk`."""
    vector: Matrix | None = None
    """Shape `(n_features,)`, in the contract's order."""
    contributions: Floats | None = None
    """Shape `(n_features,)`, in log-odds."""
    no_score: Why | None = None
    """Why there is no score."""
    persona: Persona | None = None
    """The segment that the customer belongs to."""
    no_persona: Why | None = None
    """Why a score has no persona."""


@dataclass(frozen=True)
class Scorer:
    """A fitted model, ready to be asked again and again."""

    model: FittedModel
    stages: Sequence[tuple[str, tuple[str, ...]]] = ()
    """Each stage of a journey and its events, in order; the contract's if none are given."""
    _inquiry: Inquiry = field(init=False)

    def __post_init__(self) -> None:
        contract = self.model.contract
        stages = self.stages or next((f.stages for f in contract.features if f.stages), ())
        object.__setattr__(self, "stages", tuple(stages))
        further = [events().count(), *self._stake, *self._stage]
        kinds = contract.event_kinds, contract.attribute_kinds
        made = Inquiry(contract.problem, contract.features, further, *kinds)
        object.__setattr__(self, "_inquiry", made)

    @cached_property
    def _stake(self) -> list[Feature]:
        value = self.model.contract.problem.value
        return [] if value is None else [Feature("sum", of=value.sum, last=value.last)]

    @cached_property
    def _stage(self) -> list[Feature]:
        order = tuple(self.stages)
        return [stage_feature(kind, order) for kind in ("stage_now", "stage_days") if order]

    def ask(self, log: EventLog, attributes: EventLog, as_of: AsOf) -> Found:
        """Who of the logs' customers is asked about when it is `as_of`, and their vectors."""
        found, problem = self._inquiry.ask(log, attributes, as_of), self.model.contract.problem
        if problem.at is not None:
            gone = over(problem, log, found.moments, as_of) & (found.verdict == IN_COHORT)
            found.verdict[gone] = ALREADY_HAPPENED
        return found

    def given(self, vectors: Matrix, as_of: AsOf) -> Found:
        """Vectors that somebody else made; nothing else is known of these customers."""
        n = len(vectors)

        def unknown(_: str, __: Feature) -> Floats:
            return np.full(n, np.nan)

        moments = windows(self.model.contract.problem, as_of_rows(n, as_of), unknown)
        further = np.full((n, 1 + len(self._stake) + len(self._stage)), np.nan)
        return Found(moments, np.zeros(n, np.int8), vectors, further)

    def scores(self, found: Found, reasons: Sequence[int]) -> list[Score]:
        """A score a row, with so many reasons each, or no score and why."""
        refused = self._refused(found)
        inside = [i for i, why in enumerate(refused) if why is None]
        some = found if len(inside) == len(found) else found.take(np.array(inside, np.int64))
        scored = self._scored(some, [reasons[i] for i in inside])
        if len(inside) == len(found):
            return scored
        rows = found.moments.rows
        times = zip(rows.cutoff_time.tolist(), rows.known_time.tolist(), strict=True)
        out = [
            Score(*moment, vector=vector, no_score=why)
            for moment, vector, why in zip(times, found.vectors, refused, strict=True)
        ]
        for place, score in zip(inside, scored, strict=True):
            out[place] = score
        return out

    def _refused(self, found: Found) -> list[Why | None]:
        """Why each row gets no score; None where it gets one."""
        problem = self.model.contract.problem
        out = [outside(problem, verdict) for verdict in found.verdict.tolist()]
        n_events = found.further[:, 0]
        counts = np.where(np.isnan(n_events), np.inf, n_events)  # of a given vector nobody knows
        strange = self.model.contract.familiarity.refused(found.vectors, counts)
        return [first or second for first, second in zip(out, strange, strict=True)]

    def _scored(self, found: Found, reasons: Sequence[int]) -> list[Score]:
        if not len(found):
            return []
        model, vectors = self.model, found.vectors
        found_out = model.explained(vectors)
        contributions, margins = found_out.contributions, found_out.margins
        probabilities, base = found_out.probabilities, np.full(len(vectors), found_out.base)
        percentiles = model.percentiles(probabilities).tolist()
        intervals = self._intervals(margins, probabilities)
        personas = self._personas(vectors)
        weekly = self._weekly(found, margins, probabilities)
        stakes, stages = self._stakes(found.further), self._stages(found)
        out = []
        explainer = model.explainer
        moved = explainer.moved(contributions, base)
        knew = found.moments.rows.known_time.tolist()
        for i, cutoff in enumerate(found.moments.rows.cutoff_time.tolist()):
            persona = personas[i]
            why = explainer.in_words(
                moved,
                i,
                vectors[i],
                contributions[i],
                reasons[i],
                persona.name if persona else None,
            )
            out.append(
                Score(
                    as_of=cutoff,
                    known_time=knew[i],
                    valid_until=None if self.lasts is None else cutoff + self.lasts,
                    probability=float(probabilities[i]),
                    interval=intervals[i],
                    percentile=percentiles[i],
                    band=band(percentiles[i]),
                    base=why.base,
                    rest=why.rest,
                    reasons=why.reasons,
                    value_at_stake=stakes[i],
                    stage=stages[i],
                    weekly=weekly[i],
                    vector=vectors[i],
                    contributions=contributions[i],
                    persona=persona,
                    no_persona=None if persona else self._why_no_persona,
                )
            )
        return out

    @cached_property
    def lasts(self) -> int | None:
        """A score holds until the problem would be asked again; None where nobody said when."""
        problem = self.model.contract.problem
        lead = min(problem.before.lead) if problem.before else None
        return problem.every or lead or problem.horizon

    def _intervals(
        self, margins: Floats, probabilities: Floats
    ) -> list[tuple[float, float, float] | None]:
        """Bounds and level of each row's score."""
        interval = self.model.interval
        if interval is None:
            return [None] * len(margins)
        low, high = interval.bounds(margins, probabilities)
        pairs = zip(low.tolist(), high.tolist(), strict=True)
        return [(low, high, interval.level) for low, high in pairs]

    def _personas(self, vectors: Matrix) -> list[Persona | None]:
        personas = self.model.contract.personas
        if personas is None:
            return [None] * len(vectors)
        codes = personas.assign(vectors).tolist()
        return [None if code == NO_PERSONA else personas.personas[code] for code in codes]

    @property
    def _why_no_persona(self) -> Why:
        return TOO_THIN if self.model.contract.personas else NOT_TOLD_APART

    def _weekly(
        self, found: Found, margins: Floats, probabilities: Floats
    ) -> list[list[tuple[int, float]]]:
        """Each row's curve with the end of each of its weeks."""
        if self.model.weekly_risk is None:
            return [[] for _ in margins]
        opens, closes = found.moments.opens, found.moments.closes
        curves = self.model.weekly_risk.curves(probabilities, margins, found.vectors, opens, closes)
        return [
            [
                (min(begin + (week + 1) * WEEK, end), chance)
                for week, chance in enumerate(curve)
                if chance == chance  # NaN after a row's last week
            ]
            for begin, end, curve in zip(
                opens.tolist(), closes.tolist(), curves.tolist(), strict=True
            )
        ]

    def _stakes(self, further: Floats) -> list[float | None]:
        """What is at stake for each row; None where the problem names no value."""
        if not self._stake:
            return [None] * len(further)
        return [known(plain(value)) for value in further[:, 1].tolist()]

    def _stages(self, found: Found) -> list[Stage | None]:
        """The stage of each row's last event that belongs to one, and since when."""
        if not self.stages:
            return [None] * len(found)
        names = [name for name, _ in self.stages]
        now, ago = found.further[:, -2].tolist(), found.further[:, -1].tolist()
        cutoffs = found.moments.rows.cutoff_time.tolist()
        return [
            None if code != code else Stage(names[int(code)], cutoff - round(since * DAY))
            for code, since, cutoff in zip(now, ago, cutoffs, strict=True)
        ]


def known(value: float) -> float | None:
    """A number, or None where it is missing."""
    return None if value != value else value  # true for NaN alone


def joined(found: Sequence[Found]) -> Found:
    """The rows of several inquiries of one scorer, one after the other."""
    if len(found) == 1:
        return found[0]
    moments = found[0].moments
    for other in found[1:]:
        moments = moments.joined(other.moments)
    return Found(
        moments,
        np.concatenate([f.verdict for f in found]),
        np.concatenate([f.vectors for f in found]),
        np.concatenate([f.further for f in found]),
    )


def named_vector(names: Sequence[str], vector: Matrix) -> Mapping[str, float | None]:
    """A feature vector by name, None where missing."""
    return {name: known(value) for name, value in zip(names, vector.tolist(), strict=True)}
