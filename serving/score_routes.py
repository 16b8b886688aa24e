"""`/v1/scores`, `/v1/scores/batch`, `/v1/what-if`: scores of stored and given customers.

Takes requests; checks what crosses the edge and hands over to the scoring thread.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Annotated, Any

from fastapi import FastAPI, Path, Request
from fastapi.responses import Response, StreamingResponse

from features.errors import MilepostError
from serving.access import tenant_of
from serving.at_risk_routes import book_of
from serving.batching import Together
from serving.bodies import described, fitted, is_lines, read_lines, read_model, strict_json
from serving.book_names import LONGEST
from serving.book_scores import find
from serving.errors import documented, problem_of, unforeseen
from serving.examples import BATCH_BODY, BATCH_LINES, JSON, NDJSON, SCORE, WHAT_IF, shown
from serving.explaining import Asked
from serving.refusals import NotFoundError
from serving.schemas_lists import BookScore
from serving.schemas_scores import (
    INLINE,
    MOST_CUSTOMERS,
    STORED,
    BatchLine,
    BatchRequest,
    LooseBatch,
    ScoreAnswer,
    ScoreRequest,
    WhatIfAnswer,
    WhatIfRequest,
)
from serving.sight import Sight, sight_of
from serving.state import State


class Lines(StreamingResponse):
    """NDJSON."""

    media_type = NDJSON


ScoreId = Annotated[str, Path(max_length=LONGEST, examples=[SCORE["score_id"]])]

AT_ONCE = 64
"""Requests of one batch that are under way together, so that others get their turn."""


def add(app: FastAPI, state: State, together: Together[Asked, bytes]) -> None:
    """Add the routes of scores, which come from the thread that does them together."""

    @app.post(
        "/v1/scores", response_model=None, tags=["scores"], summary="Score one customer",
        responses={200: shown(ScoreAnswer, SCORE), **documented(404, 422)},
        openapi_extra=described(ScoreRequest, STORED),
    )  # fmt: skip
    async def score(request: Request) -> Response:
        tenant = tenant_of(request, state, "score")
        asked = await read_model(request, ScoreRequest)
        return Response(await together.do(Asked(sight_of(request, tenant), asked)), media_type=JSON)

    @app.post(
        "/v1/what-if", response_model=None, tags=["scores"],
        summary="What a score would be with events or attributes that have not come about",
        responses={200: shown(WhatIfAnswer, WHAT_IF), **documented(404, 422)},
        openapi_extra=described(
            WhatIfRequest, {**STORED, "suppose": {"events": [{"event": "campaign_received"}]}}
        ),
    )  # fmt: skip
    async def what_if(request: Request) -> Response:
        tenant = tenant_of(request, state, "score")
        asked = await read_model(request, WhatIfRequest)
        return Response(await together.do(Asked(sight_of(request, tenant), asked)), media_type=JSON)

    @app.post(
        "/v1/scores/batch", response_model=None, tags=["scores"],
        summary="Score many customers; a line of NDJSON each, in the order of the requests",
        response_class=Lines,
        responses={
            200: shown(BatchLine, BATCH_LINES, "A line for each request", NDJSON),
            **documented(422),
        },
        openapi_extra=described(BatchRequest, {"requests": [STORED, INLINE]}, BATCH_BODY),
    )  # fmt: skip
    async def batch(request: Request) -> Response:
        tenant = tenant_of(request, state, "score")
        given = await _given(request)
        number = request.scope["request_id"]
        return Lines(_lines(together, sight_of(request, tenant), given, number))

    @app.get(
        "/v1/scores/{score_id}", response_model=None, tags=["scores"],
        summary="A score that was given, as it was given",
        responses={
            200: {**shown(ScoreAnswer, SCORE), "model": ScoreAnswer | BookScore},
            **documented(404, 422, missing="score"),
        },
    )  # fmt: skip
    def recorded(request: Request, score_id: ScoreId) -> Response:
        tenant = tenant_of(request, state, "read")
        found = find(book_of(tenant), score_id) or state.ledger.wait_for(
            tenant.kept.workspace, score_id
        )
        if found is None or not sight_of(request, tenant).of(found[0].customer):
            raise NotFoundError("score_unknown", "There is no score of that name.")
        return Response(found[1], media_type=JSON)


async def _given(request: Request) -> Iterator[ScoreRequest | MilepostError]:
    """The requests of a batch; one that does not fit is its own error."""
    if is_lines(request):
        lines = await read_lines(request, MOST_CUSTOMERS)
        if len(lines) > MOST_CUSTOMERS:
            fitted({"requests": [None] * len(lines)}, LooseBatch)
        return map(_read_line, lines)
    return map(_read_value, (await read_model(request, LooseBatch)).requests)


def _read_line(line: bytes) -> ScoreRequest | MilepostError:
    try:
        return fitted(strict_json(line), ScoreRequest)
    except MilepostError as error:
        return error


def _read_value(value: Any) -> ScoreRequest | MilepostError:
    try:
        return fitted(value, ScoreRequest)
    except MilepostError as error:
        return error


async def _lines(
    together: Together[Asked, bytes], sight: Sight, given: Iterable[ScoreRequest | MilepostError],
    request: str,
) -> AsyncIterator[bytes]:  # fmt: skip
    """Answers in the order of the requests, of which a few are under way at a time."""
    waiting: deque[asyncio.Future[bytes] | MilepostError] = deque()
    rest, index = iter(given), 0
    try:
        while True:
            while len(waiting) < AT_ONCE and (one := next(rest, None)) is not None:
                if isinstance(one, ScoreRequest):
                    waiting.append(together.begin(Asked(sight, one)))
                else:
                    waiting.append(one)
            if not waiting:
                return
            yield await _line(index, waiting[0], request)
            waiting.popleft()
            index += 1
    finally:  # the client may have gone
        for left in waiting:
            if isinstance(left, asyncio.Future):
                left.cancel()


async def _line(index: int, answer: "asyncio.Future[bytes] | MilepostError", request: str) -> bytes:
    try:
        if isinstance(answer, MilepostError):
            raise answer
        return b'{"index":%d,"score":%b}\n' % (index, await answer)
    except MilepostError as error:
        document = problem_of(error).body
    except Exception as error:  # noqa: BLE001 - one line's fault is no other's
        document = problem_of(unforeseen(error, request, "POST", "/v1/scores/batch")).body
    return b'{"index":%d,"error":%b}\n' % (index, bytes(document))
