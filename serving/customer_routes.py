"""`/v1/customers/{id}` and `/v1/problems`: what is known, and what can be asked.

Takes requests; answers from the store, the ledger and the champions of the caller's workspace.
"""

import base64
import binascii
from typing import Annotated, Any

import msgspec
from fastapi import FastAPI, Path, Query, Request
from fastapi.responses import Response

from features.durations import BEGINNING, DAY, format_moment
from features.errors import MilepostError
from models.question import asked_of, question
from serving.access import tenant_of
from serving.answers import ENCODE
from serving.errors import ModelUnavailableError, NotFoundError, documented
from serving.explaining import recorded_document
from serving.schemas_scores import CustomerOut, Problems
from serving.state import State, Tenant

Customer = Annotated[str, Path(min_length=1, max_length=300, examples=["555"])]
Limit = Annotated[int, Query(ge=1, le=1000, description="how many events")]
Cursor = Annotated[str | None, Query(max_length=1000, description="`next` of the page before")]

Row = tuple[int, int, str, str, str]
"""Event time, recorded time, event, id, properties as JSON."""


class CursorError(MilepostError):
    """A cursor that no page gave."""

    code = "request_invalid"


def add(app: FastAPI, state: State) -> None:
    """Add the routes."""

    @app.get(
        "/v1/customers/{customer}", response_model=None, tags=["customers"],
        summary="A customer's journey, attributes and scores",
        responses={200: {"model": CustomerOut}, **documented(404, 422, 503)},
    )  # fmt: skip
    def customer(
        request: Request, customer: Customer, limit: Limit = 100, cursor: Cursor = None
    ) -> Response:
        tenant = tenant_of(request, state, "read")
        events, statements = tenant.kept.journeys.rows(customer)
        if not events and not statements:
            raise NotFoundError(
                "customer_unknown", "No event or attribute of that customer is stored."
            )
        newest = sorted(events, key=_place, reverse=True)
        if cursor is not None:
            before = _read_cursor(cursor)
            newest = [row for row in newest if _place(row) < before]
        page, more = newest[:limit], len(newest) > limit
        scores = state.ledger.of_customer(tenant.kept.workspace, customer)
        return _json(
            {
                "customer": customer,
                "n_events": len(events),
                "events": [_event(row) for row in page],
                "next": _write_cursor(page[-1]) if more else None,
                "attributes": [_event(row) for row in sorted(statements, key=_place, reverse=True)],
                "scores": [recorded_document(score) for score in scores],
            }
        )

    @app.get(
        "/v1/problems", response_model=None, tags=["scores"],
        summary="The questions that this workspace answers",
        responses={200: {"model": Problems}, **documented(503)},
    )  # fmt: skip
    async def problems(request: Request) -> Response:
        tenant = tenant_of(request, state, "read")
        return _json({"problems": [_problem(tenant, name) for name in tenant.business.problems]})


def _problem(tenant: Tenant, name: str) -> dict[str, Any]:
    problem = tenant.business.problems[name]
    answer: dict[str, Any] = {
        "problem": name,
        "question": question(problem),
        "asked_of": asked_of(problem),
        "horizon_days": problem.horizon and problem.horizon / DAY,
        "model": None,
        "model_version": None,
        "features": [],
        "why_not": None,
    }
    try:
        loaded, scorer = tenant.scorer(name)
    except ModelUnavailableError as error:
        return {**answer, "why_not": str(error)}
    return {
        **answer,
        "model": loaded.name,
        "model_version": loaded.version,
        "features": scorer.model.contract.names,
    }


def _event(row: Row) -> dict[str, Any]:
    happened, recorded, event, event_id, properties = row
    return {
        "event_id": event_id,
        "event": event,
        "event_time": _moment(happened),
        "recorded_time": _moment(recorded),
        "properties": msgspec.Raw(properties.encode()),
    }


def _moment(moment: int) -> str | None:
    """A moment as text; None of what holds from the beginning."""
    return None if moment <= BEGINNING else format_moment(moment)


def _place(row: Row) -> tuple[int, str]:
    """Where an event stands in the list, which no other event changes."""
    return row[0], row[3]


def _write_cursor(row: Row) -> str:
    return base64.urlsafe_b64encode(f"{row[0]} {row[3]}".encode()).decode()


def _read_cursor(cursor: str) -> tuple[int, str]:
    try:
        moment, _, event_id = base64.urlsafe_b64decode(cursor.encode()).decode().partition(" ")
        return int(moment), event_id
    except (ValueError, binascii.Error):
        raise CursorError("cursor: give what `next` of the page before said.") from None


def _json(document: dict[str, Any]) -> Response:
    return Response(ENCODE(document), media_type="application/json")
