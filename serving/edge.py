"""The edge: what every request passes before any route sees it.

Takes an ASGI application; gives one that knows who is asking (`scope["caller"]`), refuses
everybody else, and puts security headers on every answer. Knows nothing about routes.
"""

import base64
import binascii
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from serving.access import Caller, UnauthorizedError, is_open
from serving.errors import problem_of
from serving.pages import HEADERS
from serving.state import State

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

SECURITY = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]


class Edge:
    """The guard around an application."""

    def __init__(self, app: Application, state: State) -> None:
        self.app, self.state = app, state

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = {name for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(pair for pair in SECURITY if pair[0] not in names),
                ]
            await send(message)

        scope["caller"] = self._caller(scope)
        if scope["caller"] is None and not is_open(scope["path"]):
            refusal = problem_of(UnauthorizedError("Send an API key: Authorization: Bearer mp_…"))
            refusal.headers["WWW-Authenticate"] = 'Basic realm="milepost"'
            await refusal(scope, receive, guarded)
            return
        await self.app(scope, receive, guarded)

    def _caller(self, scope: MutableMapping[str, Any]) -> Caller | None:
        text = credential(dict(scope["headers"]).get(b"authorization", b""))
        key = self.state.keys.check(text) if text.startswith("mp_") else None
        return None if key is None else Caller(key.id, key.workspace, key.scopes)


def credential(header: bytes) -> str:
    """The key of an Authorization header: a bearer's, or the user name of Basic; "" if none."""
    kind, _, rest = header.decode("latin-1").strip().partition(" ")
    if kind.lower() == "bearer":
        return rest.strip()
    if kind.lower() == "basic":
        try:
            return base64.b64decode(rest, validate=True).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return ""
