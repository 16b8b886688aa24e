"""The service: route modules put together behind the edge.

Takes a state; gives the application. Holds no route of its own.
"""

from functools import partial

from fastapi import FastAPI, Request
from fastapi.responses import Response

from serving import (
    action_page_routes,
    action_routes,
    at_risk_routes,
    customer_page_routes,
    customer_routes,
    event_routes,
    export_routes,
    health_routes,
    hook_routes,
    insight_routes,
    journey_map_routes,
    list_page_routes,
    opinion_routes,
    page_routes,
    provider_routes,
    score_routes,
    sign_in_routes,
    worklist_routes,
)
from serving.access import checked
from serving.batching import Together
from serving.bodies import DEFINITIONS
from serving.edge import Edge
from serving.errors import documented, install
from serving.examples import SHOWN
from serving.keys import Caller
from serving.pages import message_page
from serving.schemas import ProblemDocument
from serving.scores import answer_all
from serving.state import State

ROUTES = (
    customer_routes, event_routes, at_risk_routes, health_routes, page_routes,
    export_routes, hook_routes, sign_in_routes, provider_routes, action_routes, list_page_routes,
    worklist_routes, insight_routes, journey_map_routes,
)  # fmt: skip
SCORING = (score_routes, customer_page_routes, action_page_routes, opinion_routes)
"""Routes that ask for scores: one thread does them all, so that a page and the API agree."""

ANYWHERE = (400, 401, 403, 405, 408, 413, 415, 429, 431, 503)
"""What the edge may answer in the place of any route."""


def create_app(state: State) -> FastAPI:
    """The application."""

    app = FastAPI(
        title="Milepost",
        description="Scores of customer journeys, with reasons.",
        version="0.1.0",
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        responses=documented(*ANYWHERE),
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.router.route_class = checked(state)
    install(app, partial(_error_page, state))
    together = Together(partial(answer_all, ledger=state.ledger))
    state.ends.append(together.stop)
    # Routes are looked at in turn: what is asked most stands first. Behind the fifty others a
    # score took half as much again of the event loop.
    for scoring in SCORING:
        scoring.add(app, state, together)
    for module in ROUTES:
        module.add(app, state)
    _complete_description(app)
    app.add_middleware(Edge, state=state)
    return app


def _error_page(state: State, request: Request, status: int, says: str) -> Response:
    """What went wrong, for a person who signed in or not."""
    caller: Caller | None = request.scope.get("caller")
    tenant = None if caller is None else state.tenants.get(caller.workspace)
    return message_page(caller, "" if tenant is None else tenant.business.name, status, says)


def _complete_description(app: FastAPI) -> None:
    """Put error documents and keys into the OpenAPI schema, where the routes refer to them."""
    made = app.openapi

    def openapi() -> dict[str, object]:
        schema = made()
        parts = schema["components"]
        parts["schemas"].update(DEFINITIONS)
        parts["schemas"]["ProblemDocument"] = ProblemDocument.model_json_schema()
        parts["examples"] = SHOWN
        parts["securitySchemes"] = {
            "key": {"type": "http", "scheme": "bearer", "description": "An API key, mp_…"},
            "basic": {"type": "http", "scheme": "basic", "description": "The key as user name"},
        }
        schema["security"] = [{"key": []}, {"basic": []}]
        return schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI documents this as its hook
