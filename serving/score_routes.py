"""`POST /v1/scores`: the score of one customer.

Takes a request; checks what crosses the edge and hands over to `serving.scoring`.
"""

from time import time

from fastapi import FastAPI, Request
from fastapi.responses import Response

from features.durations import SECOND
from serving.access import tenant_of
from serving.answers import score_answer
from serving.bodies import described, read_model
from serving.errors import NotFoundError, documented, json_answer
from serving.inline import InlineEvent, inline_journey
from serving.schemas import ScoreAnswer, ScoreRequest
from serving.scoring import Score, Scorer
from serving.state import State

BEYOND = ("beyond_history", "the stored histories end before as_of, so silence would mean nothing")


def add(app: FastAPI, state: State) -> None:
    """Add the routes of scores."""

    @app.post(
        "/v1/scores", response_model=None, tags=["scores"], summary="Score one customer",
        responses={200: {"model": ScoreAnswer}, **documented(400, 404, 413, 415, 422, 503)},
        openapi_extra=described(ScoreRequest),
    )  # fmt: skip
    async def score(request: Request) -> Response:
        tenant = tenant_of(request, state, "score")
        asked = await read_model(request, ScoreRequest)
        scorer = tenant.scorer(asked.problem)
        answered, unread = _score(scorer, asked)
        return json_answer(score_answer(asked, scorer, answered, unread))


def _score(scorer: Scorer, request: ScoreRequest) -> tuple[Score, list[str]]:
    """Score what the request names, and name what it holds that the model never reads."""
    unread: list[str] = []
    if request.events is None:
        journey = scorer.store.journey(request.customer or "")
        if journey is None:
            raise NotFoundError(
                "customer_unknown", "No event or attribute of that customer is stored."
            )
        as_of = scorer.store.end if request.as_of is None else request.as_of
        if as_of > scorer.store.end:
            return Score(as_of, None, no_score=BEYOND), unread
    else:
        given = [
            InlineEvent(e.event, e.event_time, e.recorded_time, e.__pydantic_extra__)
            for e in request.events
        ]
        contract = scorer.registered.model.contract
        journey, unread = inline_journey(contract, given, request.attributes or {})
        as_of = int(time() * SECOND) if request.as_of is None else request.as_of
    return scorer.score(journey, as_of, request.reasons, request.features), unread
