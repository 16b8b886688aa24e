"""`/sign-in/provider`: a person signs in at the identity provider of the settings.

Sends the browser there and, when it is back at `/sign-in/return`, lets in whom the provider
vouches for.
"""

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from features.errors import MilepostError
from serving.entrance import SignInError
from serving.errors import status_of
from serving.pages import arrived_page
from serving.provider import LASTS, RETURN
from serving.signing_in import HOME, begun, cookie_of, forget, form_page, keep, note
from serving.state import State

COOKIE = "milepost-away"
"""What a browser has that is signing in at the provider."""
NO_PROVIDER = "People sign in here with a name and a password; no identity provider is set."


def add(app: FastAPI, state: State) -> None:
    """Add signing in at the identity provider."""

    @app.get("/sign-in/provider", include_in_schema=False)
    async def leave(request: Request) -> Response:
        if not state.provider.offered:
            return form_page(request, state, NO_PROVIDER, 404)
        try:
            place, kept = await run_in_threadpool(state.provider.begin)
        except MilepostError as error:
            return form_page(request, state, str(error), status_of(error))
        response = Response(status_code=303, headers={"Location": place})
        keep(response, request, state, COOKIE, kept, LASTS, "lax")
        return response

    @app.get(RETURN, include_in_schema=False)
    async def come_back(request: Request) -> Response:
        if not state.provider.offered:
            return form_page(request, state, NO_PROVIDER, 404)
        kept = cookie_of(request, state, COOKIE)
        try:
            name = await run_in_threadpool(state.provider.finish, kept, request.query_params)
            who = await run_in_threadpool(state.entrance.vouched, name)
        except MilepostError as error:
            if isinstance(error, SignInError):
                note(request, error.who)
            response = form_page(request, state, str(error), status_of(error))
        else:
            response = begun(request, state, who, arrived_page(who.name, HOME))
        forget(response, request, state, COOKIE, "lax")
        return response
