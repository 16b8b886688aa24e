"""From requests to answers: the work of the scoring thread.

Takes requests that wait at one moment; reads the journeys they name, asks each model once for
all of its customers, gives an answer or an error for each request, and hands every answer to
the ledger. Knows nothing about HTTP and threads.
"""

from collections.abc import Sequence

import numpy as np

from features.actions import is_action
from features.cutoffs import AsOf
from features.durations import this_moment
from features.engine import Matrix
from features.errors import HistoryError, nearest
from models.contract import Contract
from serving.answers import ENCODE, score_document
from serving.champions import Loaded
from serving.explaining import Asked, Case, changed, resting, supposed_document, touchpoints
from serving.inline import InlineEvent, inline_journey
from serving.ledger import Given, Ledger, new_id
from serving.refusals import NotFoundError
from serving.schemas_scores import PLAIN, ScoreRequest, WhatIfRequest
from serving.scoring import Score, Scorer, joined
from serving.sight import UNKNOWN

BEYOND = ("beyond_history", "the stored histories end before as_of, so silence would mean nothing")


Answer = bytes | Exception


def answer_all(asked: Sequence[Asked], ledger: Ledger) -> list[Answer]:
    """An answer as JSON, or what went wrong, for each request in its order."""
    answers: list[Answer] = [b""] * len(asked)
    cases: dict[int, Case] = {}
    for place, one in enumerate(asked):
        try:
            cases[place] = prepare(one)
        except Exception as error:  # noqa: BLE001 - one request's fault is no other's
            answers[place] = error
    for places in _by_model(cases).values():
        try:
            score_together([cases[place] for place in places])
        except Exception as error:  # noqa: BLE001
            answers = [error if i in places else found for i, found in enumerate(answers)]
            continue
        for place in places:
            try:
                answers[place] = finish(cases[place], ledger)
            except Exception as error:  # noqa: BLE001
                answers[place] = error
    return answers


def _by_model(cases: dict[int, Case]) -> dict[int, list[int]]:
    """The places of the cases of each scorer."""
    groups: dict[int, list[int]] = {}
    for place, case in cases.items():
        groups.setdefault(id(case.scorer), []).append(place)
    return groups


def score_together(cases: Sequence[Case]) -> None:
    """Score cases of one scorer in one call."""
    found = joined([case.found for case in cases])
    scores = cases[0].scorer.scores(found, [case.asked.request.reasons for case in cases])
    for case, score in zip(cases, scores, strict=True):
        case.score = score


def prepare(asked: Asked) -> Case:
    """Read what a request names, and ask the model's questions of it.

    Raises
    ------
    NotFoundError, HistoryError, ModelUnavailableError, StoreUnavailableError
        When there is nothing to be scored.
    """
    tenant, request = asked.tenant, asked.request
    loaded, scorer = tenant.scorer(request.problem)
    contract = scorer.model.contract
    if isinstance(request.features, dict):
        as_of = _then(request)
        vector = vector_of(contract, request.features)
        return Case(asked, loaded, scorer, as_of, scorer.given(vector[None, :], as_of))
    if request.events is not None:
        given = [
            InlineEvent(e.event, e.event_time, e.recorded_time, e.__pydantic_extra__)
            for e in request.events
            if tenant.business.features.actions or not is_action(e.event)
        ]
        journey, unread = inline_journey(contract, given, request.attributes or {})
        as_of = _then(request)
    else:
        return _stored(asked, loaded, scorer)
    found = scorer.ask(journey.log, journey.attributes, as_of)
    return Case(asked, loaded, scorer, as_of, found, unread, journey)


def _then(request: ScoreRequest) -> AsOf:
    """The moment that a history or a vector in a request is asked about."""
    return AsOf.then(this_moment() if request.as_of is None else request.as_of)


def _stored(asked: Asked, loaded: Loaded, scorer: Scorer) -> Case:
    tenant, request, contract = asked.tenant, asked.request, scorer.model.contract
    asked.sight.check(request.customer or "")
    journey, here = tenant.kept.journeys.of_now(request.customer or "", contract)
    if journey is None:
        raise NotFoundError("customer_unknown", UNKNOWN)
    as_of = here if request.as_of is None else AsOf.then(request.as_of)
    found = scorer.ask(journey.log, journey.attributes, as_of)
    beyond = as_of.moment > here.moment
    return Case(asked, loaded, scorer, as_of, found, journey.unread, journey, beyond=beyond)


def finish(case: Case, ledger: Ledger) -> bytes:
    """The answer of a scored case as JSON; a copy of what it says goes to the ledger."""
    request, tenant, score = case.asked.request, case.asked.tenant, case.score
    stored = request.customer is not None
    if case.beyond:
        score = Score(case.as_of.moment, case.as_of.known_time, no_score=BEYOND)
    score_id = new_id(this_moment())
    if isinstance(request, WhatIfRequest):
        return ENCODE(supposed_document(case, score))
    document = score_document(
        score,
        score_id,
        request.problem,
        request.customer,
        (case.loaded.name, case.loaded.version),
        tenant.sources.at(case.as_of.moment) if stored else (),
        case.unread,
        case.scorer.model.contract.names if request.features is True else None,
        resting(case, score),
    )
    if request.touchpoints:
        document |= touchpoints(case, score)
    if request.changed:
        document["changed"] = changed(case, score, ledger)
    answer = ENCODE(document)
    ledger.note(_given(case, score, score_id, answer))
    return answer


def _given(case: Case, score: Score, score_id: str, answer: bytes) -> Given:
    loaded, request = case.loaded, case.asked.request
    return Given(
        workspace=case.asked.tenant.kept.workspace,
        score_id=score_id,
        customer=request.customer,
        problem=request.problem,
        as_of=score.as_of,
        known_time=score.known_time,
        model=loaded.name,
        version=loaded.version,
        digest=loaded.digest,
        probability=score.probability,
        percentile=score.percentile,
        band=score.band,
        no_score=score.no_score and score.no_score[0],
        vector=score.vector,
        contributions=score.contributions,
        replayable=request.customer is not None,
        answer=answer,
    )


def vector_of(contract: Contract, given: dict[str, float | str | None]) -> Matrix:
    """A vector in the contract's order from features by name.

    Raises
    ------
    HistoryError
        When a feature is missing, unknown, or of another kind.
    """
    names = contract.names
    values = list(map(given.get, names))
    if len(given) != len(names) or (None in values and given.keys() != set(names)):
        raise HistoryError(_which(names, given))
    if not PLAIN.issuperset(map(type, values)):
        values = [_number(contract, i, value) for i, value in enumerate(values)]
    return np.array(values, np.float64).astype(np.float32)


def _which(names: Sequence[str], given: dict[str, float | str | None]) -> str:
    absent = [name for name in names if name not in given]
    if absent:
        return (
            f"features lacks {len(absent)} of the model's {len(names)} features, among them "
            f"{absent[0]!r}. Name each of them, null where it is missing."
        )
    odd = next(name for name in given if name not in set(names))
    return f"features names {odd[:100]!r}, which the model does not read.{nearest(odd, names)}"


def _number(contract: Contract, place: int, value: float | str | None) -> float | None:
    """A feature's value as the trees read it: a level by its position."""
    feature, name = contract.features[place], contract.names[place]
    if isinstance(value, str):
        if not feature.is_position:
            raise HistoryError(f"features.{name} must be a number or null.")
        if value not in feature.levels:
            raise HistoryError(
                f"features.{name} has a level that training never saw; send null for missing."
                f"{nearest(value, feature.levels)}"
            )
        return float(feature.levels.index(value))
    return value if value is None else float(value)
