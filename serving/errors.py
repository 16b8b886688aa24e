"""Errors over HTTP: RFC 9457 problem documents with a stable code.

Takes domain errors and gives answers; the only place that knows which status an error has.
An answer never echoes the request and never shows a traceback.
"""

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from features.errors import MilepostError
from serving.schemas import ProblemDocument

MEDIA_TYPE = "application/problem+json"
LOG = logging.getLogger("milepost.serving")


class NotFoundError(MilepostError):
    """Something named in a request does not exist."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class ModelUnavailableError(MilepostError):
    """No model is loaded for the problem."""

    code = "model_unavailable"


STATUS: dict[str, int] = {
    "unauthorized": 401,
    "forbidden": 403,
    "history_invalid": 422,
    "model_unavailable": 503,
    "registry_unavailable": 503,
    "store_unavailable": 503,
    "book_unavailable": 503,
    "cursor_expired": 410,
    "target_refused": 422,
}
"""The status of a domain error's code; codes of things that do not exist are `NotFoundError`s."""

TITLES = {
    400: "The request can't be read",
    401: "Who is asking?",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    410: "Not there any more",
    422: "The request does not fit",
    500: "An error of the service",
    503: "Not available now",
}


def answer(
    status: int, code: str, detail: str, errors: list[dict[str, str]] | None = None
) -> Response:
    """A problem document."""
    document = ProblemDocument(
        type=f"urn:milepost:problem:{code}",
        title=TITLES.get(status, "Error"),
        status=status,
        detail=detail,
        code=code,
        errors=errors,
    )
    return Response(document.model_dump_json(exclude_none=True), status, media_type=MEDIA_TYPE)


def problem_of(error: MilepostError) -> Response:
    """A domain error as a problem document."""
    status = 404 if isinstance(error, NotFoundError) else STATUS.get(error.code, 500)
    return answer(status, error.code, str(error))


def json_answer(document: BaseModel) -> Response:
    """An answer without FastAPI's second validation, which costs more than the score."""
    return Response(document.model_dump_json(), media_type="application/json")


def documented(*statuses: int) -> dict[int | str, dict[str, object]]:
    """The `responses` of a route that can answer with these problem documents."""
    return {
        status: {
            "description": TITLES[status],
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
        }
        for status in statuses
    }


def install(app: FastAPI) -> None:
    """Make every error of the app a problem document."""

    @app.exception_handler(MilepostError)
    async def domain_error(_: Request, error: MilepostError) -> Response:
        return problem_of(error)

    @app.exception_handler(RequestValidationError)
    async def bad_request(_: Request, error: RequestValidationError) -> Response:
        places = _places(error)
        if any(fault["type"] == "json_invalid" for fault in error.errors()):
            return answer(400, "request_unreadable", "The body is not valid JSON.", places)
        first = f"{places[0]['place']}: {places[0]['reason']}"
        return answer(422, "request_invalid", f"The request does not fit. {first}.", places)

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: HTTPException) -> Response:
        codes = {404: "not_found", 405: "method_not_allowed", 400: "request_unreadable"}
        response = answer(
            error.status_code, codes.get(error.status_code, "http_error"), str(error.detail)
        )
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, error: Exception) -> Response:
        LOG.error("unforeseen error on %s", request.url.path, exc_info=error)
        return answer(500, "internal_error", "The service failed to answer; its log says why.")


def _places(error: RequestValidationError) -> list[dict[str, str]]:
    """Where a request does not fit and why, without its values."""
    return [
        {
            "place": _clean(".".join(str(step) for step in fault["loc"])),
            "reason": _clean(str(fault["msg"]).removeprefix("Value error, ")),
        }
        for fault in error.errors()[:20]
    ]


def _clean(text: str) -> str:
    """Text that can be encoded; a request's own keys may hold lone surrogates."""
    return text.encode(errors="replace").decode()[:300]
