"""What all ways of signing in share: the page with its form, the session's cookie, the audit.

Takes a request and who was let in; gives responses that carry cookies. Knows nothing about who may
come in.
"""

from typing import Literal

from fastapi import Request
from fastapi.responses import Response

from serving.forms import cookie, fresh
from serving.keys import Caller, Key
from serving.pages import sign_in_page
from serving.people import User
from serving.sessions import COOKIE, FORM_COOKIE, LASTS
from serving.state import State

HOME = "/at-risk"
"""Where a sign-in leads."""


def form_page(
    request: Request, state: State, problem: str = "", status: int = 200, name: str = ""
) -> Response:
    """The page with its form, whose token only this browser has."""
    given = cookie_of(request, state, FORM_COOKIE)
    value = given if 20 <= len(given) <= 100 else fresh()
    provider = state.provider.called if state.provider.offered else ""
    response = sign_in_page(state.sessions.token(value), problem, status, name, provider)
    keep(response, request, state, FORM_COOKIE, value, LASTS)
    return response


def begun(request: Request, state: State, who: Key | User, response: Response) -> Response:
    """The response, with a new session's cookie."""
    called = who.id if isinstance(who, Key) else who.called
    request.scope["audited"] = Caller(called, who.workspace, ())
    keep(response, request, state, COOKIE, state.sessions.begin(who), LASTS)
    return response


def note(request: Request, who: User | None) -> None:
    """Have the audit name whose door was tried, who is not the caller for that."""
    if who is not None:
        request.scope["audited"] = Caller(who.called, who.workspace, ())


def cookie_of(request: Request, state: State, name: str) -> str:
    """What a browser brings of a cookie; "" if nothing."""
    header = request.headers.get("cookie", "").encode("latin-1", "replace")
    return cookie(header, state.settings.cookie(name, request.scope["scheme"]))


def keep(
    response: Response, request: Request, state: State, name: str, value: str, seconds: int,
    from_elsewhere: Literal["lax", "strict"] = "strict",
) -> None:  # fmt: skip
    """Give the browser a cookie.

    Parameters
    ----------
    from_elsewhere
        "lax" if the browser brings it when another site leads here; else "strict".
    """
    scheme = request.scope["scheme"]
    response.set_cookie(
        state.settings.cookie(name, scheme), value, max_age=seconds, httponly=True,
        samesite=from_elsewhere, secure=state.settings.secure(scheme),
    )  # fmt: skip


def forget(
    response: Response, request: Request, state: State, name: str,
    from_elsewhere: Literal["lax", "strict"] = "strict",
) -> None:  # fmt: skip
    """Have the browser forget a cookie."""
    scheme = request.scope["scheme"]
    response.delete_cookie(
        state.settings.cookie(name, scheme), path="/", httponly=True,
        samesite=from_elsewhere, secure=state.settings.secure(scheme),
    )  # fmt: skip
