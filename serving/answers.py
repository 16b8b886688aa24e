"""Scores as documents: from what scoring found to what crosses the edge.

Takes scores; gives plain structures, and their JSON. Knows nothing about HTTP.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from features.durations import format_moment
from models.reasons import Reason
from serving.scoring import Score, Why, named_vector

ENCODE = msgspec.json.Encoder().encode
"""JSON of plain structures; NaN would be null."""

Document = dict[str, Any]


def score_document(
    score: Score,
    score_id: str,
    problem: str,
    customer: str | None,
    model: tuple[str, str],
    sources: Any,
    unread: Sequence[str],
    names: Sequence[str] | None,
    resting: Sequence[tuple[Sequence[str], int]],
) -> Document:
    """One answer; see `serving.schemas_scores.ScoreAnswer`.

    Parameters
    ----------
    model
        Its name and version.
    names
        The features' names, where the vector was asked for.
    resting
        For each reason the ids of events that it rests on, and how many there are.
    """
    interval, persona, stage = score.interval, score.persona, score.stage
    answer: Document = {
        "score_id": score_id,
        "problem": problem,
        "customer": customer,
        "status": "scored" if score.no_score is None else "no_score",
        "probability": score.probability,
        "interval": interval and {"low": interval[0], "high": interval[1], "level": interval[2]},
        "percentile": score.percentile,
        "band": score.band,
        "base_points": score.base,
        "rest_points": score.rest,
        "reasons": [
            reason_document(reason, *events)
            for reason, events in zip(score.reasons, resting, strict=True)
        ],
        "weekly_risk": [
            {"until": format_moment(until), "probability": chance} for until, chance in score.weekly
        ],
        "value_at_stake": score.value_at_stake,
        "stage": stage and {"name": stage.name, "since": format_moment(stage.since)},
        "as_of": format_moment(score.as_of),
        "known_time": format_moment(score.known_time),
        "valid_until": moment_or_none(score.valid_until),
        "model": model[0],
        "model_version": model[1],
        "no_score": why_document(score.no_score),
        "persona": persona and {"name": persona.name, "says": persona.says},
        "no_persona": why_document(score.no_persona),
        "sources": sources,
        "unread": unread,
    }
    if names is not None:
        vector = score.vector
        answer["features"] = None if vector is None else named_vector(names, vector)
    return answer


def reason_document(reason: Reason, events: Sequence[str], n_events: int) -> Document:
    """A reason as it is read, with the ids of events that it rests on and how many there are."""
    return {
        "feature": reason.feature,
        "group": reason.group,
        "value": reason.value,
        "usual": reason.usual,
        "unit": reason.unit,
        "points": reason.points,
        "direction": "raises" if reason.points > 0 else "lowers",
        "statement": reason.statement,
        "sentence": reason.sentence,
        "kind": reason.kind,
        "peers": reason.peers,
        "events": events,
        "n_events": n_events,
    }


def why_document(why: Why | None) -> Document | None:
    """A code and a sentence, or nothing."""
    return None if why is None else {"code": why[0], "detail": why[1]}


def moment_or_none(moment: int | None) -> str | None:
    """A moment as text."""
    return None if moment is None else format_moment(moment)
