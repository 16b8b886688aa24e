"""The pages that people open in a browser.

Takes a request; answers with HTML of the caller's workspace.
"""

from importlib.resources import files

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from fastapi.staticfiles import StaticFiles

from serving.access import tenant_of
from serving.answers import at_risk_answer
from serving.at_risk_routes import Limit, ProblemName
from serving.pages import at_risk_page, docs_page
from serving.state import State


def add(app: FastAPI, state: State) -> None:
    """Add the pages and what they load."""
    here = files("serving") / "static"
    app.mount("/static", StaticFiles(directory=str(here)), name="static")
    swagger = files("fastapi_offline") / "static"
    app.mount("/swagger", StaticFiles(directory=str(swagger)), name="swagger")

    @app.get("/", include_in_schema=False)
    async def home() -> Response:
        return Response(status_code=307, headers={"Location": "/at-risk"})

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return docs_page()

    @app.get("/at-risk", include_in_schema=False)
    async def at_risk(
        request: Request, problem: ProblemName = None, limit: Limit = 50
    ) -> HTMLResponse:
        tenant = tenant_of(request, state, "read")
        scorer = tenant.scorer(problem)
        shown = at_risk_answer(scorer, limit)
        return at_risk_page(tenant.business, scorer.registered.model.contract, shown)
