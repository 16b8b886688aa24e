"""`/sign-in`: a person opens pages with a key, or with a link that works once.

Gives the browser a session cookie that scripts can't read and other sites can't send.
"""

from urllib.parse import parse_qs

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, Response

from serving.bodies import read_bytes
from serving.pages import sign_in_page
from serving.sessions import COOKIE, LASTS
from serving.state import State

FORM = ("application/x-www-form-urlencoded",)
PLACES = ("/at-risk", "/docs")
"""Where a sign-in may lead; an address of the request's own choosing could lead anywhere."""


def add(app: FastAPI, state: State) -> None:
    """Add signing in and out."""

    @app.get("/sign-in", include_in_schema=False)
    async def form(link: str = "", to: str = PLACES[0]) -> Response:
        if not link:
            return sign_in_page("", 200)
        number = await run_in_threadpool(state.links.use, link[:200])
        if number is not None and state.ring.find(number) is None:
            await run_in_threadpool(state.ring.refresh)  # the key may be as new as its link
        key = None if number is None else state.ring.find(number)
        if key is None:
            return sign_in_page("This link was used already, or is too old.", 401)
        return _signed_in(state.sessions.begin(key), to)

    @app.post("/sign-in", include_in_schema=False)
    async def sign_in(request: Request) -> Response:
        body = (await read_bytes(request, FORM))[:1000].decode("utf-8", "replace")
        key = state.ring.check(parse_qs(body).get("key", [""])[0].strip())
        if key is None:
            return sign_in_page("There is no such key, or it works no more.", 401)
        return _signed_in(state.sessions.begin(key), PLACES[0])

    @app.post("/sign-out", include_in_schema=False)
    async def sign_out() -> Response:
        response = Response(status_code=303, headers={"Location": "/sign-in"})
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return response


def _signed_in(text: str, to: str) -> HTMLResponse:
    place = to if to in PLACES else PLACES[0]
    response = HTMLResponse(status_code=303, headers={"Location": place})
    response.set_cookie(COOKIE, text, max_age=LASTS, httponly=True, samesite="strict")
    return response
