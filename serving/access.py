"""Who may ask what: the caller of a request, its scopes and its workspace.

Takes a request that the edge has put a caller into; gives the caller's tenant, or refuses.
Another workspace's things do not exist for a caller. Knows nothing about keys.
"""

from starlette.requests import Request

from features.errors import MilepostError
from serving.keys import Caller
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
    ("GET", "/v1/at-risk"): "read",
    ("GET", "/at-risk"): "read",
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
        When the caller lacks the scope, or its workspace is not served here.
    """
    caller: Caller | None = request.scope.get("caller")
    if caller is None:
        raise UnauthorizedError("Send an API key: Authorization: Bearer mp_…")
    if scope not in caller.scopes:
        raise ForbiddenError(f"The key lacks the scope {scope}.")
    tenant = state.tenants.get(caller.workspace)
    if tenant is None:
        raise ForbiddenError("The key's workspace is not served here.")
    return tenant
