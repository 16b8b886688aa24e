"""`GET /v1/journey-map` and the page `/journey-map`: how journeys flow and where they break.

Takes a query; answers from the map that the champion carries. It names no customer, so everybody
who may read sees the whole of it.
"""

from typing import Annotated

from fastapi import FastAPI, Query, Request
from fastapi.responses import HTMLResponse, Response

from features.errors import MilepostError
from serving.access import tenant_of
from serving.at_risk_routes import ProblemName, problem_of
from serving.errors import documented, json_answer, status_of
from serving.examples import JOURNEY_MAP, shown
from serving.journey_map import map_answer, map_view
from serving.pages import journey_map_page, message_page
from serving.schemas_map import JourneyMapOut
from serving.state import State, Tenant

Part = Annotated[
    str | None, Query(max_length=200, description="one of persona, channel, period at a time")
]


def add(app: FastAPI, state: State) -> None:
    """Add the map and its page."""

    @app.get(
        "/v1/journey-map", response_model=None, tags=["lists"],
        summary="How customers flow through the stages, where they leak out, and what hurts",
        responses={
            200: shown(JourneyMapOut, JOURNEY_MAP),
            **documented(404, 422, missing="problem"),
        },
    )  # fmt: skip
    def journey_map(
        request: Request, problem: ProblemName = None, persona: Part = None,
        channel: Part = None, period: Part = None,
    ) -> Response:  # fmt: skip
        tenant = tenant_of(request, state, "read")
        return json_answer(_answer(tenant, problem, persona, channel, period))

    @app.get("/journey-map", include_in_schema=False)
    def page(
        request: Request, problem: ProblemName = None, persona: Part = None,
        channel: Part = None, period: Part = None,
    ) -> HTMLResponse:  # fmt: skip
        tenant = tenant_of(request, state, "read")
        viewer = request.scope.get("caller")
        try:
            found = _answer(tenant, problem or None, persona, channel, period)
        except MilepostError as error:
            return message_page(viewer, tenant.business.name, status_of(error), str(error))
        return journey_map_page(viewer, tenant.business, map_view(found))


def _answer(
    tenant: Tenant, problem: str | None, persona: str | None, channel: str | None,
    period: str | None,
) -> JourneyMapOut:  # fmt: skip
    name = problem_of(tenant, problem)
    loaded = tenant.scorer(name)[0]
    return map_answer(name, loaded, {"persona": persona, "channel": channel, "period": period})
