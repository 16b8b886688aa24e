"""`/sign-in`: a person opens pages with a name and a password, a key, or a link that works once.

Gives the browser a session cookie that scripts can't read and other sites can't send. `/sign-out`
ends the session. The identity provider's way in is in `serving.provider_routes`.
"""

from contextlib import suppress

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from features.errors import MilepostError
from serving.database import StoreUnavailableError
from serving.entrance import SignInError
from serving.errors import status_of
from serving.forms import FormError, own_page, read_form
from serving.keys import Caller, Key
from serving.pages import message_page
from serving.people import User
from serving.sessions import COOKIE, FORM_COOKIE
from serving.signing_in import HOME, begun, cookie_of, forget, form_page, note
from serving.state import State

PLACES = (HOME, "/docs")
"""Where a sign-in may lead; an address of the request's own choosing could lead anywhere."""
NO_KEY = "There is no such key, or it works no more."
NO_LINK = "This link was used already, or is too old."


def add(app: FastAPI, state: State) -> None:
    """Add signing in and out."""

    @app.get("/sign-in", include_in_schema=False)
    async def form(request: Request, link: str = "", to: str = HOME) -> Response:
        if not link:
            return form_page(request, state)
        number = await run_in_threadpool(state.links.use, link[:200])
        if number is not None and state.ring.find(number) is None:
            await run_in_threadpool(state.ring.refresh)  # the key may be as new as its link
        key = None if number is None else state.ring.find(number)
        if key is None:
            return form_page(request, state, NO_LINK, 401)
        return _signed_in(request, state, key, to)

    @app.post("/sign-in", include_in_schema=False)
    async def sign_in(request: Request) -> Response:
        name = ""
        try:
            fields = await read_form(request, _token(request, state))
            name = fields.get("name", "")
            who = await _who(request, state, fields)
        except MilepostError as error:
            return form_page(request, state, str(error), status_of(error), name)
        if who is None:
            return form_page(request, state, NO_KEY, 401)
        return _signed_in(request, state, who, HOME)

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
            await run_in_threadpool(state.sessions.end, cookie_of(request, state, COOKIE))
        forget(response, request, state, COOKIE)
        return response


async def _who(request: Request, state: State, fields: dict[str, str]) -> User | Key | None:
    """The person or the living key of a form's fields; None where it is no key.

    Raises
    ------
    SignInError, RateLimitedError, OverloadedError, StoreUnavailableError
    """
    if "key" in fields:
        return await state.looks.key(fields["key"].strip())
    address = request.client.host if request.client else ""
    given = (fields.get("name", ""), fields.get("password", ""), address)
    try:
        return await run_in_threadpool(state.entrance.enter, *given)
    except SignInError as error:
        note(request, error.who)
        raise
    except MilepostError:
        with suppress(StoreUnavailableError):
            note(request, await run_in_threadpool(state.entrance.named, given[0]))
        raise


def _signed_in(request: Request, state: State, who: Key | User, to: str) -> Response:
    place = to if to in PLACES else HOME
    response = Response(status_code=303, headers={"Location": place})
    return begun(request, state, who, response)


def _token(request: Request, state: State) -> str:
    """The token that a form of this browser has; "" if another site sends it."""
    ours = own_page(dict(request.scope["headers"]))
    return state.sessions.token(cookie_of(request, state, FORM_COOKIE)) if ours else ""
