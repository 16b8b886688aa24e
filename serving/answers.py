"""Scores as documents: from what scoring found to what crosses the edge.

Takes scores; gives answers. Knows nothing about HTTP.
"""

from features.durations import format_moment
from models.persona import Persona
from models.reasons import Reason
from serving.schemas import (
    IntervalOut,
    NoScore,
    PersonaOut,
    ReasonOut,
    ScoreAnswer,
    ScoreRequest,
    WeekOut,
)
from serving.scoring import Score, Scorer


def score_answer(
    request: ScoreRequest, scorer: Scorer, score: Score, unread: list[str]
) -> ScoreAnswer:
    """The answer to a request."""
    return ScoreAnswer(
        problem=request.problem,
        customer=request.customer,
        status="scored" if score.no_score is None else "no_score",
        probability=score.probability,
        interval=_interval(score),
        percentile=score.percentile,
        band=score.band,
        base_points=score.base,
        reasons=[_reason(reason) for reason in score.reasons],
        weekly_risk=[
            WeekOut(until=format_moment(until), probability=p) for until, p in score.weekly
        ],
        value_at_stake=score.value_at_stake,
        as_of=format_moment(score.as_of),
        valid_until=_moment(score.valid_until),
        model=scorer.registered.name,
        model_version=scorer.version,
        no_score=_why(score.no_score),
        persona=_persona(score.persona),
        no_persona=_why(score.no_persona),
        unread=unread,
        features=None if score.vector is None else dict(score.vector),
    )


def _why(reason: tuple[str, str] | None) -> NoScore | None:
    return None if reason is None else NoScore(code=reason[0], detail=reason[1])


def _persona(persona: Persona | None) -> PersonaOut | None:
    return None if persona is None else PersonaOut(name=persona.name, says=persona.says)


def _interval(score: Score) -> IntervalOut | None:
    if score.interval is None:
        return None
    low, high, level = score.interval
    return IntervalOut(low=low, high=high, level=level)


def _reason(reason: Reason) -> ReasonOut:
    return ReasonOut(
        feature=reason.feature,
        group=reason.group,
        value=reason.value,
        usual=reason.usual,
        unit=reason.unit,
        points=reason.points,
        direction="raises" if reason.points > 0 else "lowers",
        statement=reason.statement,
        sentence=reason.sentence,
    )


def _moment(moment: int | None) -> str | None:
    return None if moment is None else format_moment(moment)
