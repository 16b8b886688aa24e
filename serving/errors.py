"""Errors over HTTP: RFC 9457 problem documents with a stable code, and pages for browsers.

Takes domain errors and gives answers; the only place that knows which status an error has.
An answer never echoes the request and never shows a traceback.
"""

import logging
from collections.abc import Callable

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.routing import Match

from features.errors import MilepostError
from models.what_if import WhatIfError
from serving.bodies import places_of
from serving.refusals import NotFoundError, UnforeseenError
from serving.schemas import ProblemDocument

MEDIA_TYPE = "application/problem+json"
NO_PAGE = "There is no page at this address."

Page = Callable[[Request, int, str], Response]
"""Makes a page of a status and a sentence, for who asked."""

LOG = logging.getLogger("milepost.serving")


STATUS: dict[str, int] = {
    "unauthorized": 401,
    "forbidden": 403,
    "form_refused": 403,
    "sign_in_refused": 401,
    "provider_unavailable": 503,
    "host_unknown": 400,
    "request_unreadable": 400,
    "body_too_large": 413,
    "media_type_unsupported": 415,
    "request_invalid": 422,
    "history_invalid": 422,
    "rate_limited": 429,
    "store_unavailable": 503,
    "overloaded": 503,
    "internal_error": 500,
    "model_unavailable": 503,
    "registry_unavailable": 503,
    "book_unavailable": 503,
    "cursor_expired": 410,
    "id_used": 409,
    "target_refused": 422,
    "worklist_invalid": 422,
}
"""The status of a domain error's code; codes of things that do not exist are `NotFoundError`s."""

OWN_CODES: dict[type[MilepostError], int] = {NotFoundError: 404, WhatIfError: 422}
"""Errors that say by their code what exactly is wrong, and their status."""

TITLES = {
    400: "The request can't be read",
    401: "Who is asking?",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    408: "Too slow",
    409: "Used already",
    410: "Not there any more",
    413: "Too large",
    415: "Not a kind of body that is read here",
    422: "The request does not fit",
    429: "Too many requests",
    431: "Too many headers",
    500: "An error of the service",
    503: "Not available now",
}

EXAMPLES = {
    400: ("request_unreadable", "The body is not valid JSON in UTF-8."),
    401: ("unauthorized", "Send an API key: Authorization: Bearer mp_…"),
    403: ("forbidden", "The key lacks the scope score."),
    404: ("{}_unknown", "There is no {} of that name."),
    405: ("method_not_allowed", "Method Not Allowed"),
    408: ("too_slow", "The request took too long to arrive."),
    409: ("id_used", "The id was used for something else. Open the page anew to write more."),
    410: ("cursor_expired", "The list has been made anew since. Begin without a cursor."),
    413: ("body_too_large", "A body has at most 10,000,000 bytes."),
    415: ("media_type_unsupported", "Send the body as Content-Type: application/json, in UTF-8."),
    422: ("request_invalid", "The request does not fit. body.problem: Field required."),
    429: ("rate_limited", "This key asks too often; try again in a second."),
    431: ("headers_too_large", "The headers are too large."),
    503: ("overloaded", "All places are taken; try again in a second."),
}
"""A code and a sentence of each status, for the documentation."""


def answer(
    status: int, code: str, detail: str, errors: list[dict[str, str]] | None = None
) -> Response:
    """A problem document."""
    document = _document(status, code, detail, errors)
    headers = {"Retry-After": "1"} if status in (429, 503) else None
    return Response(
        document.model_dump_json(exclude_none=True), status, headers, media_type=MEDIA_TYPE
    )


def problem_bytes(status: int, code: str, detail: str) -> bytes:
    """The body of a problem document, for what is refused before it is a request."""
    return bytes(answer(status, code, detail).body)


def problem_of(error: MilepostError) -> Response:
    """A domain error as a problem document."""
    return answer(status_of(error), error.code, str(error), getattr(error, "places", None))


def status_of(error: MilepostError) -> int:
    """The HTTP status of a domain error."""
    own = next((s for kind, s in OWN_CODES.items() if isinstance(error, kind)), None)
    return own or STATUS.get(error.code, 500)


def unforeseen(error: Exception, request: str, method: str, route: str) -> UnforeseenError:
    """What to answer to what nobody foresaw, which the log is told and the caller is not.

    Parameters
    ----------
    request
        Its id.
    route
        Its template, which holds no customer's name.
    """
    told = {"request": request, "method": method, "route": route}
    LOG.error("a fault that nobody foresaw", exc_info=error, extra={"told": told})
    return UnforeseenError("The service failed to answer; its log says why.")


def json_answer(document: BaseModel) -> Response:
    """An answer without FastAPI's second validation, which costs more than the score."""
    return Response(document.model_dump_json(), media_type="application/json")


def documented(*statuses: int, missing: str = "customer") -> dict[int | str, dict[str, object]]:
    """The `responses` of a route that can answer with these problem documents.

    Parameters
    ----------
    missing
        What a 404 says that there is none of.
    """
    schema = {"$ref": "#/components/schemas/ProblemDocument"}
    found: dict[int | str, dict[str, object]] = {}
    for status in statuses:
        code, detail = (text.format(missing) for text in EXAMPLES[status])
        example = _document(status, code, detail).model_dump(exclude_none=True)
        content = {MEDIA_TYPE: {"schema": schema, "example": example}}
        found[status] = {"description": TITLES[status], "content": content}
    return found


def _document(
    status: int, code: str, detail: str, errors: list[dict[str, str]] | None = None
) -> ProblemDocument:
    return ProblemDocument(
        type=f"urn:milepost:problem:{code}",
        title=TITLES.get(status, "Error"),
        status=status,
        detail=detail,
        code=code,
        errors=errors,
    )


def install(app: FastAPI, page: Page) -> None:
    """Make every error of the app a problem document, or a page for who reads pages."""

    @app.exception_handler(MilepostError)
    async def domain_error(request: Request, error: MilepostError) -> Response:
        return _as_read(request, problem_of(error), str(error), page)

    @app.exception_handler(RequestValidationError)
    async def bad_request(request: Request, error: RequestValidationError) -> Response:
        places = places_of(error.errors())
        if any(fault["type"] == "json_invalid" for fault in error.errors()):
            return answer(400, "request_unreadable", "The body is not valid JSON.", places)
        says = f"The request does not fit. {places[0]['place']}: {places[0]['reason']}."
        return _as_read(request, answer(422, "request_invalid", says, places), says, page)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        codes = {404: "not_found", 405: "method_not_allowed", 400: "request_unreadable"}
        says = str(error.detail)
        response = answer(error.status_code, codes.get(error.status_code, "http_error"), says)
        response.headers.update(error.headers or {})
        if error.status_code == 405:
            response.headers["Allow"] = ", ".join(sorted(_methods(app, request)))
        return _as_read(request, response, NO_PAGE if error.status_code == 404 else says, page)


def _as_read(request: Request, document: Response, says: str, page: Page) -> Response:
    """A problem document, or the page that says the same: a browser would show the JSON raw."""
    if request.method != "GET" or "text/html" not in request.headers.get("accept", ""):
        return document
    shown = page(request, document.status_code, says)
    for name in ("Allow", "Retry-After"):
        if name in document.headers:
            shown.headers[name] = document.headers[name]
    return shown


def _methods(app: FastAPI, request: Request) -> set[str]:
    """The methods of all routes of a path; Starlette tells of the first one's alone."""
    matching = [r for r in app.router.routes if r.matches(request.scope)[0] is not Match.NONE]
    path = getattr(matching[0], "path", None)
    same = [route for route in matching if getattr(route, "path", None) == path]
    return {method for route in same for method in getattr(route, "methods", None) or ()}
