"""`GET /v1/at-risk`: the customers with the highest scores.

Takes a query; answers from the scored book of the caller's workspace.
"""

from typing import Annotated

from fastapi import FastAPI, Query, Request
from fastapi.responses import Response

from serving.access import tenant_of
from serving.answers import at_risk_answer
from serving.errors import documented, json_answer
from serving.schemas import AtRisk
from serving.state import State

ProblemName = Annotated[str | None, Query(max_length=64, description="the first problem if absent")]
Limit = Annotated[int, Query(ge=1, le=1000, description="how many customers")]


def add(app: FastAPI, state: State) -> None:
    """Add the list."""

    @app.get(
        "/v1/at-risk", response_model=None, tags=["scores"],
        summary="The customers with the highest scores",
        responses={200: {"model": AtRisk}, **documented(404, 422, 503)},
    )  # fmt: skip
    async def at_risk(request: Request, problem: ProblemName = None, limit: Limit = 20) -> Response:
        tenant = tenant_of(request, state, "read")
        return json_answer(at_risk_answer(tenant.scorer(problem), limit))
