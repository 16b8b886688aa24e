"""Events in: `POST /v1/events`, Segment's calls, and the quarantine.

Takes requests; hands rows to intake and answers with what became of each. Bodies are read
strictly; a row that can't be read is refused alone wherever the others can be told from it.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import FastAPI, Query, Request
from fastapi.responses import Response

from features.durations import format_moment
from serving.access import tenant_of
from serving.bodies import (
    DEFINITIONS,
    InvalidRequestError,
    UnreadableError,
    is_lines,
    is_longer,
    read_bytes,
    read_json,
    read_lines,
    read_model,
    strict_json,
)
from serving.errors import documented, json_answer
from serving.examples import QUARANTINE, RESULTS, SOME_REFUSED, TRIED_AGAIN, shown
from serving.freshness import broken_sentence
from serving.intake import CANONICAL, CUT, Taken, Unreadable
from serving.quarantine import page, place_of, read_place, replay
from serving.schemas_events import (
    BATCH,
    EVENT,
    EVENTS_BODY,
    PLACE,
    QuarantinePage,
    QuarantineRow,
    Replayed,
    ReplayRequest,
    ResultsOut,
    segment_example,
)
from serving.segment import KINDS
from serving.state import State

MOST_ROWS = 10_000
"""Rows of one request."""
FEW = 100
"""So many rows are checked where the request is read; more are in a thread of their own."""

LARGE = 100_000
"""Bytes of a body from which on its rows are read in a thread."""

Given = TypeVar("Given")
Cursor = Annotated[str | None, Query(max_length=64, pattern=PLACE)]
Limit = Annotated[int, Query(ge=1, le=1000, description="how many rows")]


def add(app: FastAPI, state: State) -> None:
    """Add the routes of events, Segment's calls and the quarantine."""
    _add_events(app, state)
    _add_segment(app, state)
    _add_quarantine(app, state)


def _add_events(app: FastAPI, state: State) -> None:
    @app.post(
        "/v1/events", response_model=None, tags=["events"], openapi_extra=EVENTS_BODY,
        summary="Send one event, an array, or lines",
        responses={
            200: shown(ResultsOut, RESULTS, "Every row is stored"),
            207: shown(ResultsOut, SOME_REFUSED, "Some rows are not", name="SomeRefused"),
            **documented(422),
        },
    )  # fmt: skip
    async def events(request: Request) -> Response:
        tenant_of(request, state, "ingest")
        if is_lines(request):
            lines = await read_lines(request, MOST_ROWS)
            _check_count(len(lines))
            rows = await _aside(_read_all, lines, sum(map(len, lines)))
        else:
            raw = await read_bytes(request)
            rows = await _aside(_rows, raw, len(raw))
        return _answer(await _kept(request, state, rows, [CANONICAL] * len(rows)), 207)


def _add_segment(app: FastAPI, state: State) -> None:
    for kind in KINDS:
        _add_call(app, state, kind)

    @app.post(
        "/v1/batch", response_model=None, tags=["segment"], openapi_extra=BATCH,
        summary="Many of Segment's messages",
        responses={200: shown(ResultsOut, RESULTS), **documented(422)},
    )  # fmt: skip
    async def batch(request: Request) -> Response:
        tenant_of(request, state, "ingest")
        body = await read_json(request)
        rows = body.get("batch") if isinstance(body, dict) else None
        if not isinstance(rows, list):
            raise InvalidRequestError([{"place": "body.batch", "reason": "must be an array"}])
        _check_count(len(rows))
        shared = {name: body[name] for name in ("sentAt", "context") if name in body}
        rows = [{**shared, **row} if isinstance(row, dict) else row for row in rows]
        return _answer(await _kept(request, state, rows, ["segment:"] * len(rows)), 200)


def _add_call(app: FastAPI, state: State, kind: str) -> None:
    @app.post(
        f"/v1/{kind}", response_model=None, tags=["segment"], name=kind,
        openapi_extra=segment_example(kind), summary=f"Segment's {kind}",
        responses={200: shown(ResultsOut, RESULTS), **documented(422)},
    )  # fmt: skip
    async def call(request: Request) -> Response:
        tenant_of(request, state, "ingest")
        message = await read_json(request)
        if not isinstance(message, dict):
            raise InvalidRequestError([{"place": "body", "reason": "must be an object"}])
        return _answer(await _kept(request, state, [message], [f"segment:{kind}"]), 200)


def _add_quarantine(app: FastAPI, state: State) -> None:
    @app.get(
        "/v1/quarantine", response_model=None, tags=["events"], summary="Rows that were set aside",
        responses={200: shown(QuarantinePage, QUARANTINE), **documented(422)},
    )  # fmt: skip
    def listed(
        request: Request, limit: Limit = 100, after: Cursor = None, replayed: bool = False
    ) -> Response:
        store = tenant_of(request, state, "ingest").kept
        place = None
        if after is not None:
            place = read_place(after)
        rows, more = page(store, limit, place, replayed)
        following = place_of(rows[-1]) if more else None
        shown = [
            QuarantineRow(
                row=r.row, arrived=format_moment(r.arrived), source=r.source, reason=r.reason,
                detail=r.detail, body=r.body, cut=r.form == CUT,
                replayed=None if r.replayed is None else format_moment(r.replayed),
            )
            for r in rows
        ]  # fmt: skip
        return json_answer(QuarantinePage(rows=shown, next=following))

    @app.post(
        "/v1/quarantine/replay", response_model=None, tags=["events"],
        summary="Try rows that were set aside again", openapi_extra=EVENT["replay"],
        responses={200: shown(Replayed, TRIED_AGAIN), **documented(422)},
    )  # fmt: skip
    async def again(request: Request) -> Response:
        store = tenant_of(request, state, "ingest").kept
        asked = await read_model(request, ReplayRequest)
        place = None if asked.after is None else read_place(asked.after)
        done, following = await asyncio.to_thread(replay, store, state.intake, asked.rows, place)
        counts = {name: done[name] for name in Replayed.model_fields if name != "next"}
        return json_answer(Replayed(**counts, next=following))


async def _aside(read: Callable[[Given], list[Any]], given: Given, size: int) -> list[Any]:
    """What is read of a body: of a large one in a thread, so that others are answered."""
    return await asyncio.to_thread(read, given) if size > LARGE else read(given)


def _rows(raw: bytes) -> list[Any]:
    """The rows of a JSON body: one, or an array of them."""
    if is_longer(raw, MOST_ROWS):
        _check_count(MOST_ROWS + 1)
    try:
        value = strict_json(raw)
    except UnreadableError:
        return _read_all(_apart(raw))
    return value if isinstance(value, list) else [value]


def _apart(raw: bytes) -> list[bytes]:
    """The elements of an array of which one can't be read; raises what is wrong otherwise."""
    try:
        return [bytes(each) for each in msgspec.json.decode(raw, type=list[msgspec.Raw])]
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        strict_json(raw)
        raise


def _read_all(rows: list[bytes]) -> list[Any]:
    return [_read(row) for row in rows]


def _read(raw: bytes) -> Any:
    try:
        return strict_json(raw)
    except UnreadableError as error:
        return Unreadable(str(error))


async def _kept(request: Request, state: State, rows: list[Any], forms: list[str]) -> Taken:
    """What became of the rows, once it is on disk."""
    _check_count(len(rows))
    tenant = tenant_of(request, state, "ingest")
    given = tenant.kept, rows, forms, None, tenant.champions.event_names
    if len(rows) <= FEW:
        future = state.intake.take(*given)
    else:
        future = await asyncio.to_thread(state.intake.take, *given)
    return await asyncio.wrap_future(future)


def _check_count(count: int) -> None:
    if not 1 <= count <= MOST_ROWS:
        reason = f"must hold 1 to {MOST_ROWS:,} rows"
        raise InvalidRequestError([{"place": "body", "reason": reason}])


_encode = msgspec.json.Encoder().encode


def _answer(taken: Taken, otherwise: int) -> Response:
    """Counts, what became of each row, and whether the new events lie beyond the histories."""
    results, broken = taken.results, taken.broken
    counts = Counter(result.status for result in results)
    document = {
        "received": len(results),
        **{n: counts[n] for n in ("accepted", "duplicate", "quarantined", "refused")},
        "results": results,
    }
    if broken is not None:
        document["broken_off"] = {
            "until": format_moment(broken.until), "found": broken.found, "needed": broken.needed,
            "detail": broken_sentence(broken),
        }  # fmt: skip
    stored = counts["accepted"] + counts["duplicate"] == len(results)
    return Response(_encode(document), 200 if stored else otherwise, media_type="application/json")


DEFINITIONS.setdefault("Event", EVENT["schema"])
