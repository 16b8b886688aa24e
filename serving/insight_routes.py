"""`/personas` and `/model`, as pages and as documents: who the customers are, how good scores are.

Takes a request; answers from the champion, what the shelf says of it, and the book.
"""

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response

from features.errors import MilepostError
from serving.access import tenant_of
from serving.at_risk_routes import ProblemName, book_of, problem_of
from serving.errors import documented, json_answer, status_of
from serving.examples import MODEL_ANSWER, PERSONAS, shown
from serving.insight_pages import model_page, personas_page
from serving.model_view import model_answer, model_page_view
from serving.pages import message_page
from serving.persona_view import personas_answer
from serving.schemas_insight import ModelAnswer, PersonasAnswer
from serving.sight import Sight, sight_of
from serving.state import State


def add(app: FastAPI, state: State) -> None:
    """Add the routes."""
    mlflow = state.settings.mlflow_url

    @app.get(
        "/v1/personas", response_model=None, tags=["lists"], summary="Who the customers are",
        responses={
            200: shown(PersonasAnswer, PERSONAS), **documented(404, 422, missing="problem")
        },
    )  # fmt: skip
    def personas(request: Request, problem: ProblemName = None) -> Response:
        sight = sight_of(request, tenant_of(request, state, "read"))
        return json_answer(_personas(sight, problem_of(sight.tenant, problem)))

    @app.get("/personas", include_in_schema=False)
    def personas_shown(request: Request, problem: ProblemName = None) -> HTMLResponse:
        sight = sight_of(request, tenant_of(request, state, "read"))
        viewer, business = request.scope["caller"], sight.tenant.business
        try:
            name = problem_of(sight.tenant, problem)
            return personas_page(viewer, business, name, _personas(sight, name))
        except MilepostError as error:
            return message_page(viewer, business.name, status_of(error), str(error))

    @app.get(
        "/v1/model", response_model=None, tags=["lists"],
        summary="How good the model is that answers, and what waits beside it",
        responses={
            200: shown(ModelAnswer, MODEL_ANSWER), **documented(404, 422, missing="problem")
        },
    )  # fmt: skip
    def model(request: Request, problem: ProblemName = None) -> Response:
        tenant = tenant_of(request, state, "read")
        loaded = tenant.champions.of(problem_of(tenant, problem))
        return json_answer(model_answer(loaded, tenant.champions.shelf(loaded.problem), mlflow))

    @app.get("/model", include_in_schema=False)
    def model_shown(request: Request, problem: ProblemName = None) -> HTMLResponse:
        tenant = tenant_of(request, state, "read")
        viewer, business = request.scope["caller"], tenant.business
        try:
            loaded = tenant.champions.of(problem_of(tenant, problem))
            told = model_answer(loaded, tenant.champions.shelf(loaded.problem), mlflow)
            return model_page(viewer, business, told, model_page_view(told, loaded.model.contract))
        except MilepostError as error:
            return message_page(viewer, business.name, status_of(error), str(error))


def _personas(sight: Sight, problem: str) -> PersonasAnswer:
    tenant = sight.tenant
    loaded, store = tenant.champions.of(problem), book_of(tenant)
    return personas_answer(
        loaded.model.contract, (loaded.name, loaded.version), store, store.current(problem),
        sight.owners,
    )  # fmt: skip
