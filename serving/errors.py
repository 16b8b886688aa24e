"""Errors over HTTP: RFC 9457 problem documents with a stable code.

Takes domain errors and gives answers; the only place that knows which status an error has.
An answer never echoes the request and never shows a traceback.
"""

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from features.errors import HistoryError, MilepostError, RegistryError
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


STATUS = {NotFoundError: 404, HistoryError: 422, ModelUnavailableError: 503, RegistryError: 503}

TITLES = {
    400: "The request can't be read",
    404: "Not found",
    405: "Method not allowed",
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
        status = next((s for kind, s in STATUS.items() if isinstance(error, kind)), 500)
        return answer(status, error.code, str(error))

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
