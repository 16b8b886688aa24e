"""`/v1/customers/{id}` and `/v1/problems`: what is known, and what can be asked.

Takes requests; answers from the store, the ledger and the champions of the caller's workspace.
"""

from typing import Annotated, Any

from fastapi import FastAPI, Path, Query, Request
from fastapi.responses import Response

from features.durations import DAY
from models.question import asked_of, question
from serving.access import tenant_of
from serving.answers import ENCODE
from serving.customer_events import counted, event_document, rows_of
from serving.errors import documented
from serving.examples import CUSTOMER, PROBLEMS, shown
from serving.explaining import recorded_document
from serving.refusals import ModelUnavailableError
from serving.schemas_scores import CustomerOut, Problems
from serving.sight import sight_of
from serving.state import State, Tenant

Customer = Annotated[str, Path(min_length=1, max_length=300, examples=["555"])]
Limit = Annotated[int, Query(ge=1, le=5000, description="how many events, and how many statements")]
Cursor = Annotated[str | None, Query(max_length=1000, description="`next` of the page before")]
AttributesCursor = Annotated[
    str | None, Query(max_length=1000, description="`attributes_next` of the page before")
]
ScoresLimit = Annotated[int, Query(ge=1, le=1000, description="how many scores")]
ScoresCursor = Annotated[
    str | None, Query(max_length=64, description="`scores_next` of the page before")
]


def add(app: FastAPI, state: State) -> None:
    """Add the routes."""

    @app.get(
        "/v1/customers/{customer:path}", response_model=None, tags=["customers"],
        summary="A customer's journey, attributes and scores",
        responses={200: shown(CustomerOut, CUSTOMER), **documented(404, 422)},
    )  # fmt: skip
    def customer(
        request: Request, customer: Customer, limit: Limit = 500, cursor: Cursor = None,
        attributes_cursor: AttributesCursor = None, scores_limit: ScoresLimit = 20,
        scores_cursor: ScoresCursor = None,
    ) -> Response:  # fmt: skip
        tenant = tenant_of(request, state, "read")
        rows = rows_of(sight_of(request, tenant), customer)
        events, about = rows.events(limit, cursor), rows.statements(limit, attributes_cursor)
        n_events, uncounted = counted(rows)
        asked = (tenant.kept.workspace, customer, scores_limit + 1, scores_cursor)
        scores = state.ledger.newest(*asked)
        shown = scores[:scores_limit]
        return _json(
            {
                "customer": customer,
                "n_events": n_events,
                "uncounted": uncounted,
                "events": [event_document(row) for row in events.rows],
                "next": events.next,
                "attributes": [event_document(row) for row in about.rows],
                "attributes_next": about.next,
                "scores": [recorded_document(score) for score in shown],
                "scores_next": shown[-1].score_id if len(scores) > scores_limit else None,
            }
        )

    @app.get(
        "/v1/problems", response_model=None, tags=["scores"],
        summary="The questions that this workspace answers",
        responses={200: shown(Problems, PROBLEMS)},
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


def _json(document: dict[str, Any]) -> Response:
    return Response(ENCODE(document), media_type="application/json")
