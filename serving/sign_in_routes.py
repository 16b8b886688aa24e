"""`/sign-in`: a person opens pages with a name and a password, a key, or a link that works once.

Gives the browser a session cookie that scripts can't read and other sites can't send. `/sign-out`
ends the session.
"""

from contextlib import suppress

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from features.errors import MilepostError
from serving.database import StoreUnavailableError
from serving.entrance import SignInError
from serving.errors import status_of
from serving.forms import FormError, cookie, fresh, own_page, read_form
from serving.keys import Caller, Key
from serving.pages import message_page, sign_in_page
from serving.people import User
from serving.sessions import COOKIE, FORM_COOKIE, LASTS
from serving.state import State

PLACES = ("/at-risk", "/docs")
"""Where a sign-in may lead; an address of the request's own choosing could lead anywhere."""
NO_KEY = "There is no such key, or it works no more."
NO_LINK = "This link was used already, or is too old."


def add(app: FastAPI, state: State) -> None:
    """Add signing in and out."""

    @app.get("/sign-in", include_in_schema=False)
    async def form(request: Request, link: str = "", to: str = PLACES[0]) -> Response:
        if not link:
            return _form(request, state)
        number = await run_in_threadpool(state.links.use, link[:200])
        if number is not None and state.ring.find(number) is None:
            await run_in_threadpool(state.ring.refresh)  # the key may be as new as its link
        key = None if number is None else state.ring.find(number)
        if key is None:
            return _form(request, state, NO_LINK, 401)
        return _signed_in(request, state, key, to)

    @app.post("/sign-in", include_in_schema=False)
    async def sign_in(request: Request) -> Response:
        name = ""
        try:
            fields = await read_form(request, _token(request, state))
            name = fields.get("name", "")
            who = await _who(request, state, fields)
        except MilepostError as error:
            return _form(request, state, str(error), status_of(error), name)
        if who is None:
            return _form(request, state, NO_KEY, 401)
        return _signed_in(request, state, who, PLACES[0])

    @app.post("/sign-out", include_in_schema=False)
    async def sign_out(request: Request) -> Response:
        caller: Caller | None = request.scope.get("caller")
        response = Response(status_code=303, headers={"Location": "/sign-in"})
        if caller is None:
            return response
        try:
            await read_form(request)
        except FormError as error:
            return message_page(caller, "", status_of(error), str(error))
        with suppress(StoreUnavailableError):  # the browser forgets its session all the same
            await run_in_threadpool(state.sessions.end, _cookie(request, state, COOKIE))
        scheme = request.scope["scheme"]
        response.delete_cookie(
            state.settings.cookie(COOKIE, scheme), path="/", httponly=True, samesite="strict",
            secure=state.settings.secure(scheme),
        )  # fmt: skip
        return response


async def _who(request: Request, state: State, fields: dict[str, str]) -> User | Key | None:
    """The person or the living key of a form's fields; None where it is no key.

    Raises
    ------
    SignInError, RateLimitedError, OverloadedError, StoreUnavailableError
    """
    if "key" in fields:
        return state.ring.check(fields["key"].strip())
    address = request.client.host if request.client else ""
    given = (fields.get("name", ""), fields.get("password", ""), address)
    try:
        return await run_in_threadpool(state.entrance.enter, *given)
    except SignInError as error:
        _note(request, error.who)
        raise
    except MilepostError:
        with suppress(StoreUnavailableError):
            _note(request, await run_in_threadpool(state.entrance.named, given[0]))
        raise


def _note(request: Request, who: User | None) -> None:
    """Have the audit name whose door was tried, who is not the caller for that."""
    if who is not None:
        request.scope["audited"] = Caller(who.called, who.workspace, ())


def _signed_in(request: Request, state: State, who: Key | User, to: str) -> Response:
    called = who.id if isinstance(who, Key) else who.called
    request.scope["audited"] = Caller(called, who.workspace, ())
    place = to if to in PLACES else PLACES[0]
    response = Response(status_code=303, headers={"Location": place})
    _keep(response, request, state, COOKIE, state.sessions.begin(who))
    return response


def _form(
    request: Request, state: State, problem: str = "", status: int = 200, name: str = ""
) -> Response:
    """The page with its form, whose token only this browser has."""
    given = _cookie(request, state, FORM_COOKIE)
    value = given if 20 <= len(given) <= 100 else fresh()
    response = sign_in_page(state.sessions.token(value), problem, status, name)
    _keep(response, request, state, FORM_COOKIE, value)
    return response


def _token(request: Request, state: State) -> str:
    """The token that a form of this browser has; "" if another site sends it."""
    ours = own_page(dict(request.scope["headers"]))
    return state.sessions.token(_cookie(request, state, FORM_COOKIE)) if ours else ""


def _cookie(request: Request, state: State, name: str) -> str:
    header = request.headers.get("cookie", "").encode("latin-1", "replace")
    return cookie(header, state.settings.cookie(name, request.scope["scheme"]))


def _keep(response: Response, request: Request, state: State, name: str, value: str) -> None:
    """Give the browser a cookie."""
    scheme = request.scope["scheme"]
    response.set_cookie(
        state.settings.cookie(name, scheme), value, max_age=LASTS, httponly=True,
        samesite="strict", secure=state.settings.secure(scheme),
    )  # fmt: skip
