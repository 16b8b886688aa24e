"""`POST /v1/worklist`: what is decided about customers of the list.

Takes a decision; keeps it, for all of the customers or for none.
"""

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from serving.access import tenant_of
from serving.at_risk_routes import problem_of
from serving.bodies import described, read_model
from serving.deciding import Decision, decide
from serving.errors import documented, json_answer
from serving.examples import shown
from serving.schemas_worklist import EXAMPLE, Decided, DecisionIn, begin_of
from serving.sight import sight_of
from serving.state import State


def add(app: FastAPI, state: State) -> None:
    """Add the route."""

    @app.post(
        "/v1/worklist", response_model=None, tags=["lists"],
        summary="Leave customers out for now, plan what is next, say who looks after them",
        openapi_extra=described(DecisionIn, EXAMPLE),
        responses={200: shown(Decided, {"customers": 1}), **documented(404, 422)},
    )  # fmt: skip
    async def decided(request: Request) -> Response:
        tenant = tenant_of(request, state, "ingest")
        given = await read_model(request, DecisionIn)
        decision = Decision(
            problem_of(tenant, given.problem), given.customers, given.do, begin_of(given.until),
            given.kind, begin_of(given.due), given.owner,
        )  # fmt: skip
        caller = request.scope["caller"]
        many = await run_in_threadpool(decide, sight_of(request, tenant), caller, decision)
        return json_answer(Decided(customers=many))
