"""Who may ask what: the caller of a request, its scopes and its workspace.

Takes a request that the edge has put a caller into; gives the caller's tenant, or refuses, and
makes routes that look at who asks before what is asked.
Another workspace's things do not exist for a caller. Knows nothing about keys.
"""

import inspect
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from features.errors import MilepostError
from serving.keys import Caller
from serving.people import ADMIN, LEAD, MANAGER, ROLES, SCIENTIST
from serving.state import State, Tenant

SCOPE_OF = {
    ("POST", "/v1/scores"): "score",
    ("POST", "/v1/scores/batch"): "score",
    ("POST", "/v1/what-if"): "score",
    ("GET", "/v1/scores/{score_id}"): "read",
    ("GET", "/v1/customers/{customer}"): "read",
    ("GET", "/v1/problems"): "read",
    ("POST", "/v1/events"): "ingest",
    ("POST", "/v1/track"): "ingest",
    ("POST", "/v1/identify"): "ingest",
    ("POST", "/v1/page"): "ingest",
    ("POST", "/v1/screen"): "ingest",
    ("POST", "/v1/group"): "ingest",
    ("POST", "/v1/batch"): "ingest",
    ("GET", "/v1/quarantine"): "ingest",
    ("POST", "/v1/quarantine/replay"): "ingest",
    ("POST", "/v1/actions"): "ingest",
    ("POST", "/v1/actions/{action}/outcome"): "ingest",
    ("GET", "/v1/actions"): "read",
    ("POST", "/v1/notes"): "ingest",
    ("POST", "/v1/opinions"): "ingest",
    ("GET", "/v1/disagreements"): "read",
    ("GET", "/v1/at-risk"): "read",
    ("GET", "/v1/journey-map"): "read",
    ("GET", "/journey-map"): "read",
    ("GET", "/at-risk"): "read",
    ("GET", "/actions"): "read",
    ("POST", "/actions"): "ingest",
    ("POST", "/actions/outcome"): "ingest",
    ("POST", "/notes"): "ingest",
    ("POST", "/opinions"): "ingest",
    ("GET", "/disagreements"): "read",
    ("POST", "/at-risk"): "ingest",
    ("GET", "/my-week"): "read",
    ("POST", "/my-week"): "ingest",
    ("POST", "/views"): "read",
    ("POST", "/v1/worklist"): "ingest",
    ("GET", "/customers/{customer}"): "read",
    ("GET", "/personas"): "read",
    ("GET", "/v1/personas"): "read",
    ("GET", "/model"): "read",
    ("GET", "/v1/model"): "read",
    ("GET", "/metrics"): "read",
    ("GET", "/v1/export/book"): "read",
    ("GET", "/v1/export/predictive-scores"): "read",
    ("POST", "/v1/webhooks"): "admin",
    ("GET", "/v1/webhooks"): "admin",
    ("GET", "/v1/webhooks/{webhook}"): "admin",
    ("DELETE", "/v1/webhooks/{webhook}"): "admin",
    ("POST", "/v1/webhooks/{webhook}/test"): "admin",
    ("GET", "/v1/webhooks/{webhook}/deliveries"): "admin",
    ("POST", "/v1/webhooks/{webhook}/replay"): "admin",
    ("GET", "/openapi.json"): "read",
    ("GET", "/docs"): "read",
    ("GET", "/"): "read",
}
"""The scope of every route that is not open; a test holds every route to it."""

ACTING = (MANAGER, LEAD, ADMIN)
"""The roles that write down what they did."""

ROLES_OF = {
    ("GET", "/"): ROLES,
    ("GET", "/at-risk"): ROLES,
    ("POST", "/at-risk"): ACTING,
    ("GET", "/my-week"): ROLES,
    ("POST", "/my-week"): ACTING,
    ("POST", "/views"): ROLES,
    ("POST", "/v1/worklist"): ACTING,
    ("GET", "/customers/{customer}"): ROLES,
    ("GET", "/actions"): ROLES,
    ("POST", "/actions"): ACTING,
    ("POST", "/actions/outcome"): ACTING,
    ("POST", "/notes"): ACTING,
    ("POST", "/opinions"): ACTING,
    ("GET", "/disagreements"): ROLES,
    ("GET", "/docs"): ROLES,
    ("GET", "/openapi.json"): ROLES,
    ("GET", "/v1/problems"): ROLES,
    ("GET", "/v1/at-risk"): ROLES,
    ("GET", "/v1/journey-map"): ROLES,
    ("GET", "/journey-map"): ROLES,
    ("GET", "/v1/customers/{customer}"): ROLES,
    ("GET", "/v1/export/book"): ROLES,
    ("GET", "/v1/export/predictive-scores"): ROLES,
    ("GET", "/v1/scores/{score_id}"): ROLES,
    ("POST", "/v1/scores"): ROLES,
    ("POST", "/v1/scores/batch"): ROLES,
    ("POST", "/v1/what-if"): ROLES,
    ("POST", "/v1/actions"): ACTING,
    ("POST", "/v1/actions/{action}/outcome"): ACTING,
    ("GET", "/v1/actions"): ROLES,
    ("POST", "/v1/notes"): ACTING,
    ("POST", "/v1/opinions"): ACTING,
    ("GET", "/v1/disagreements"): ROLES,
    ("GET", "/personas"): ROLES,
    ("GET", "/v1/personas"): ROLES,
    ("GET", "/model"): (LEAD, SCIENTIST, ADMIN),
    ("GET", "/v1/model"): (LEAD, SCIENTIST, ADMIN),
    ("GET", "/metrics"): (SCIENTIST, ADMIN),
    ("GET", "/v1/quarantine"): (SCIENTIST, ADMIN),
    ("POST", "/v1/quarantine/replay"): (ADMIN,),
    ("GET", "/v1/webhooks"): (ADMIN,),
    ("POST", "/v1/webhooks"): (ADMIN,),
    ("GET", "/v1/webhooks/{webhook}"): (ADMIN,),
    ("DELETE", "/v1/webhooks/{webhook}"): (ADMIN,),
    ("POST", "/v1/webhooks/{webhook}/test"): (ADMIN,),
    ("GET", "/v1/webhooks/{webhook}/deliveries"): (ADMIN,),
    ("POST", "/v1/webhooks/{webhook}/replay"): (ADMIN,),
}
"""The roles that may ask each route; what is not here is for keys alone, such as sending events.
Of which customers a route tells, `serving.sight` says."""

OPEN = ("/livez", "/readyz", "/static", "/swagger", "/sign-in", "/sign-out")
"""What answers without a key, with all that lies beneath it."""


class UnauthorizedError(MilepostError):
    """Nobody in particular is asking."""

    code = "unauthorized"


class ForbiddenError(MilepostError):
    """The caller may not ask this."""

    code = "forbidden"


def is_open(path: str) -> bool:
    """Whether a path answers without a key."""
    return any(path == place or path.startswith(f"{place}/") for place in OPEN)


def tenant_of(request: Request, state: State, scope: str) -> Tenant:
    """The workspace of the caller, who must have the scope.

    Raises
    ------
    UnauthorizedError
        When nobody known is asking.
    ForbiddenError
        When the caller lacks the scope, its role may not ask the route, or its workspace is not
        served here.
    """
    caller: Caller | None = request.scope.get("caller")
    if caller is None:
        raise UnauthorizedError("Send an API key: Authorization: Bearer mp_…")
    if caller.role:
        asked = request.method, request.scope["route"].path_format
        if caller.role not in ROLES_OF.get(asked, ()):
            raise ForbiddenError(f"This is not for the role {caller.role}.")
    elif scope not in caller.scopes:
        raise ForbiddenError(f"The key lacks the scope {scope}.")
    tenant = state.tenants.get(caller.workspace)
    if tenant is None:
        raise ForbiddenError("The workspace of who asks is not served here.")
    return tenant


def may(caller: Caller, method: str, path: str) -> bool:
    """Whether a caller may ask a route, as its page wants to know before it offers it."""
    if caller.role:
        return caller.role in ROLES_OF.get((method, path), ())
    return SCOPE_OF.get((method, path)) in caller.scopes


def checked(state: State) -> type[APIRoute]:
    """The class of the service's routes: a stranger learns nothing of what a route reads."""

    class Checked(APIRoute):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            if _is_plain(self.endpoint):
                self.app = _direct(self.get_route_handler())

        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = self.endpoint if _is_plain(self.endpoint) else super().get_route_handler()
            path, guarded = self.path_format, self.path.startswith("/v1/")

            async def answer(request: Request) -> Response:
                scope = SCOPE_OF.get((request.method, path)) if guarded else None
                if scope is not None:
                    tenant_of(request, state, scope)
                response: Response = await handle(request)
                return response

            return answer

    return Checked


def _direct(answer: Callable[[Request], Coroutine[Any, Any, Response]]) -> ASGIApp:
    """A route's application without FastAPI's stacks of dependencies, of which it has none.

    What goes wrong is answered by the application's own handler of errors, as elsewhere.
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        response = await answer(Request(scope, receive, send))
        await response(scope, receive, send)

    return app


def _is_plain(endpoint: Callable[..., Any]) -> bool:
    """Whether an endpoint takes the request alone and gives a response.

    Such a one is called as it is: FastAPI's search for arguments, of which there are none, takes
    longer than all that the edge does.
    """
    signature = inspect.signature(endpoint)
    taken = [parameter.annotation for parameter in signature.parameters.values()]
    gives = signature.return_annotation is Response
    return inspect.iscoroutinefunction(endpoint) and taken == [Request] and gives
