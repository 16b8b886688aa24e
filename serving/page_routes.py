"""The pages that people open in a browser.

Takes a request; answers with HTML of the caller's workspace.
"""

from importlib.resources import files
from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import FastAPI, Query, Request
from fastapi.responses import HTMLResponse, Response
from fastapi.staticfiles import StaticFiles

from serving.access import tenant_of
from serving.at_risk import BookMissingError, page
from serving.at_risk_routes import (
    By,
    Cursor,
    Limit,
    Name,
    Prefix,
    ProblemName,
    book_of,
    list_answer,
    question_of,
)
from serving.pages import at_risk_page, docs_page
from serving.sight import sight_of
from serving.state import State

PageBand = Annotated[Literal["", "low", "medium", "high", "very high"], Query()]
"""A form sends an empty text for all bands."""


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
    async def docs(request: Request) -> HTMLResponse:
        return docs_page(request.scope.get("caller"))

    @app.get("/at-risk", include_in_schema=False)
    def at_risk(
        request: Request, problem: ProblemName = None, by: By = None, band: PageBand = "",
        stage: Name = "", persona: Name = "", owner: Name = "", search: Prefix = "",
        limit: Limit = 50, cursor: Cursor = None,
    ) -> HTMLResponse:  # fmt: skip
        tenant = tenant_of(request, state, "read")
        bands, stages, personas, owners = (
            [name] if name else [] for name in (band, stage, persona, owner)
        )
        question = question_of(
            sight_of(request, tenant), problem, by, bands, stages, personas, owners, search, limit,
            cursor,
        )  # fmt: skip
        viewer = request.scope.get("caller")
        try:
            shown = list_answer(page(book_of(tenant), question), question)
        except BookMissingError:
            return at_risk_page(viewer, tenant.business, question, None, "", "")
        following = _link(request, shown.next) if shown.next else ""
        first = _link(request, None) if cursor else ""
        return at_risk_page(viewer, tenant.business, question, shown, following, first)


def _link(request: Request, cursor: str | None) -> str:
    """The page with the same filters at another place of the list."""
    kept = [(name, value) for name, value in request.query_params.multi_items() if value]
    asked = [(name, value) for name, value in kept if name != "cursor"]
    return f"/at-risk?{urlencode([*asked, ('cursor', cursor)] if cursor else asked)}"
