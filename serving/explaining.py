"""What a score rests on, for those who ask further: events, touchpoints, changes.

Takes a case that was scored; gives plain structures. Positions in a journey become the ids of
stored events. Knows nothing about HTTP.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from features.cutoffs import AsOf
from features.durations import format_moment
from features.inquiry import Found
from models.changes import Arrived, what_changed
from models.changes import Asked as Moment
from models.evidence import evidence, visible
from models.removals import Removal, removals
from models.what_if import Supposed, what_if
from serving.answers import why_document
from serving.champions import Loaded
from serving.inline import checked
from serving.journeys import Journey
from serving.ledger import Ledger, Recorded, digest_of
from serving.refusals import NotFoundError
from serving.schemas_scores import ScoreRequest, WhatIfRequest
from serving.scoring import Score, Scorer
from serving.sight import Sight
from serving.state import Tenant

MOST_EVENTS = 20
"""Ids of events that a reason names; the rest is counted."""

MOST_TOUCHPOINTS = 10

MOST_BEFORE = 200
"""Scores among which the one before is looked for: the same is often asked again."""

Document = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """One request, and what its caller sees."""

    sight: Sight
    request: ScoreRequest

    @property
    def tenant(self) -> Tenant:
        return self.sight.tenant


@dataclass
class Case:
    """A request on its way to an answer."""

    asked: Asked
    loaded: Loaded
    scorer: Scorer
    as_of: AsOf
    found: Found
    unread: Sequence[str] = ()
    journey: Journey | None = None
    beyond: bool = False
    """Whether the stored histories end before the moment that was asked about."""
    score: Score = field(init=False)


def resting(case: Case, score: Score) -> list[tuple[Sequence[str], int]]:
    """For each reason the ids of events that it rests on, newest first, and how many there are."""
    journey, features = case.journey, case.scorer.model.contract.features
    if journey is None:
        return [((), 0)] * len(score.reasons)
    out: list[tuple[Sequence[str], int]] = []
    seen = visible(journey.log, score.as_of, score.known_time)
    for reason in score.reasons:
        found = evidence(
            features[reason.column], journey.log, journey.attributes, score.as_of,
            score.known_time, MOST_EVENTS, seen=seen,
        )  # fmt: skip
        named = found.positions if found.source == "events" and journey.ids else ()
        out.append(([journey.ids[place] for place in named], found.total))
    return out


def touchpoints(case: Case, score: Score) -> Document:
    """The single events that moved the score most, by what it would be without each, and among
    how many they were found: of a long journey the newest events alone are tried."""
    if case.journey is None or score.probability is None:
        return {"touchpoints": [], "touchpoints_among": None}
    log, about = case.journey.log, case.journey.attributes
    found = removals(case.scorer.model, log, about, score.as_of, score.known_time)
    among = len(visible(log, score.as_of, score.known_time))
    return {
        "touchpoints": [_touchpoint(case.journey, each) for each in found[:MOST_TOUCHPOINTS]],
        "touchpoints_among": {"tried": len(found), "events": among},
    }


def changed(case: Case, score: Score, ledger: Ledger) -> Document | None:
    """What changed since the customer's score before; None where there is none to compare.

    Raises
    ------
    NotFoundError
        When the request names a score that is no earlier one of the same question.
    """
    tenant = case.asked.tenant
    if case.journey is None or score.probability is None:
        return None
    before = _before(case, score, ledger)
    if before is None:
        return None
    model = tenant.version(case.loaded, before.version, before.digest)
    if model is None:
        return None
    was = Moment(model, before.as_of, before.known_time)
    now = Moment(case.scorer.model, score.as_of, score.known_time)
    found = what_changed(was, now, case.journey.log, case.journey.attributes)
    return {
        "since": before.score_id,
        "since_as_of": format_moment(before.as_of),
        "since_version": before.version,
        "points_before": found.before,
        "points_now": found.now,
        "points": found.now - found.before,
        "by_events": found.events,
        "by_time": found.time,
        "by_model": found.model,
        "new_events": found.n_arrived,
        "new_statements": found.n_statements,
        "strongest": [_arrived(case.journey, each) for each in found.arrived],
    }


def _before(case: Case, score: Score, ledger: Ledger) -> Recorded | None:
    """The score to compare with: the one that is named, or the last that was another."""
    request, workspace = case.asked.request, case.asked.tenant.kept.workspace
    asked = (request.customer, request.problem)
    if isinstance(request.changed, str):
        found = ledger.find(workspace, request.changed)
        if found is None or (found[0].customer, found[0].problem) != asked:
            raise NotFoundError("score_unknown", "There is no such score of this customer.")
        if found[0].probability is None or _later(found[0], score):
            raise NotFoundError("score_unknown", "changed names no score of an earlier moment.")
        return found[0]
    same = (score.as_of, case.loaded.digest, digest_of(score.vector))
    for each in ledger.of_customer(
        workspace, request.customer or "", request.problem, limit=MOST_BEFORE
    ):
        if each.probability is None or _later(each, score):
            continue
        if (each.as_of, each.digest, each.vector_hash) != same:
            return each
    return None


def _later(recorded: Recorded, score: Score) -> bool:
    """Whether a recorded score is as of a later moment, or knew what this one may not."""
    return recorded.as_of > score.as_of or recorded.known_time > score.known_time


def supposed_document(case: Case, score: Score) -> Document:
    """The score with events or attributes that have not come about, beside the score as it is."""
    request, journey = case.asked.request, case.journey
    assert isinstance(request, WhatIfRequest) and journey is not None
    answer = {
        "problem": request.problem,
        "customer": request.customer,
        "status": "no_score" if score.no_score else "answered",
        "as_of": format_moment(score.as_of),
        "probability": score.probability,
        "supposing": None,
        "points": None,
        "label": None,
        "no_score": why_document(score.no_score),
        "model": case.loaded.name,
        "model_version": case.loaded.version,
    }
    if score.no_score is not None:
        return answer
    contract = case.scorer.model.contract
    events = [
        Supposed(
            each.event,
            checked(f"suppose.events[{i}]", each.__pydantic_extra__, contract.event_kinds, True),
            each.event_time,
        )
        for i, each in enumerate(request.suppose.events)
    ]
    about = checked(
        "suppose.attributes", request.suppose.attributes, contract.attribute_kinds, True
    )
    log, stated = journey.log, journey.attributes
    at = (score.as_of, score.known_time)
    found = what_if(case.scorer.model, log, stated, *at, events, about)
    return {**answer, "supposing": found.supposing, "points": found.points, "label": found.label}


def recorded_document(recorded: Recorded) -> Document:
    """A score of the ledger, in a list."""
    return {
        "score_id": recorded.score_id,
        "problem": recorded.problem,
        "as_of": format_moment(recorded.as_of),
        "probability": recorded.probability,
        "percentile": recorded.percentile,
        "band": recorded.band,
        "no_score": recorded.no_score,
        "model": recorded.model,
        "model_version": recorded.version,
    }


def event_document(journey: Journey, place: int) -> Document:
    """One event of a journey, with its properties."""
    log = journey.log
    return {
        "event_id": journey.ids[place] if journey.ids else None,
        "event": log.event.levels[log.event.codes[place]],
        "event_time": format_moment(int(log.event_time[place])),
    }


def _touchpoint(journey: Journey, removal: Removal) -> Document:
    return {
        **event_document(journey, removal.position),
        "points": removal.points,
        "no_score_without": removal.outside,
    }


def _arrived(journey: Journey, arrived: Arrived) -> Document:
    return {
        **event_document(journey, arrived.position),
        "points": arrived.points,
        "late": arrived.late,
    }
