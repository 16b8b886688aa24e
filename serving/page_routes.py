"""What every page loads, the way in, and the API documentation.

Takes a request; answers with HTML or files.
"""

from importlib.resources import files

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from fastapi.staticfiles import StaticFiles

from serving.pages import docs_page
from serving.state import State


def add(app: FastAPI, _: State) -> None:
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
