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
from serving.customer_events import event_document, stored_customer
from serving.errors import documented
from serving.examples import CUSTOMER, PROBLEMS, shown
from serving.explaining import recorded_document
from serving.refusals import ModelUnavailableError
from serving.schemas_scores import CustomerOut, Problems
from serving.sight import sight_of
from serving.state import State, Tenant

Customer = Annotated[str, Path(min_length=1, max_length=300, examples=["555"])]
Limit = Annotated[int, Query(ge=1, le=1000, description="how many events")]
Cursor = Annotated[str | None, Query(max_length=1000, description="`next` of the page before")]


def add(app: FastAPI, state: State) -> None:
    """Add the routes."""

    @app.get(
        "/v1/customers/{customer:path}", response_model=None, tags=["customers"],
        summary="A customer's journey, attributes and scores",
        responses={200: shown(CustomerOut, CUSTOMER), **documented(404, 422)},
    )  # fmt: skip
    def customer(
        request: Request, customer: Customer, limit: Limit = 100, cursor: Cursor = None
    ) -> Response:
        tenant = tenant_of(request, state, "read")
        stored = stored_customer(sight_of(request, tenant), customer)
        page, following = stored.page(limit, cursor)
        scores = state.ledger.of_customer(tenant.kept.workspace, customer)
        return _json(
            {
                "customer": customer,
                "n_events": len(stored.events),
                "events": [event_document(row) for row in page],
                "next": following,
                "attributes": [event_document(row) for row in stored.statements],
                "scores": [recorded_document(score) for score in scores],
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
