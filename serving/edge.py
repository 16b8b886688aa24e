"""The edge: what every request passes before any route sees it.

Takes an ASGI application; gives one that knows who is asking (`scope["caller"]`), refuses
everybody else, bounds bodies and concurrency, and puts a request id and security headers on every
answer. One line a request goes to the log. Knows nothing about routes.
"""

import base64
import itertools
import os
import re
from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from time import perf_counter, time
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.responses import Response

from features.errors import MilepostError
from serving import tracing
from serving.access import UnauthorizedError, is_open
from serving.audit import Asked
from serving.bodies import MediaTypeError, UnreadableError
from serving.errors import problem_of, unforeseen
from serving.forms import cookie, own_page
from serving.guard import HEALTH
from serving.keys import Caller
from serving.pages import HEADERS, message_page
from serving.refusals import BodyTooLargeError, HostError, OverloadedError, RateLimitedError
from serving.sessions import COOKIE
from serving.state import State

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

SECURITY = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
SANE = re.compile(rb"[A-Za-z0-9._-]{1,64}")
"""A request id that a caller may choose; it stands in logs and headers."""
WANTED = frozenset(
    (
        b"accept",
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"cookie",
        b"host",
        b"origin",
        b"x-request-id",
    )
)
SIGN_OUT = "/sign-out"
"""Open to everybody, and yet a session that is to end must be found."""
GONE = 499
"""What stands in the log where a client went away before it had sent its body."""
NO_KEY = "Send an API key: Authorization: Bearer mp_…"


class Edge:
    """The guard around an application."""

    def __init__(self, app: Application, state: State) -> None:
        self.app, self.state = app, state
        self.most = state.settings.max_body
        self.hosts = state.settings.known_hosts
        self._numbers = itertools.count()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            quiet = scope["path"] in HEALTH
            with tracing.OFF if quiet else tracing.request(scope["headers"]):
                await self._answer(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self.app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, budget, path = perf_counter(), self.state.budget, scope["path"]
        admitted = scope.get("admitted")
        admitted = budget.take(path) if admitted is None else admitted
        headers = {name: value for name, value in scope["headers"] if name in WANTED}
        number = self._number(headers.get(b"x-request-id", b""))
        scope["request_id"] = number.decode()
        person = b"text/html" in headers.get(b"accept", b"")
        status, started = 500, False

        async def sent(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
                given = list(message["headers"])
                names = {name for name, _ in given}
                given += [pair for pair in SECURITY if pair[0] not in names]
                message["headers"] = [*given, (b"x-request-id", number)]
            await send(message)

        try:
            try:
                if not admitted:
                    raise OverloadedError("All places are taken; try again in a second.")
                await self._let_in(scope, headers)
                app = self.app
            except MilepostError as error:
                app = refusal(error, person)
            if path in HEALTH and scope["method"] == "HEAD":
                scope = {**scope, "method": "GET"}  # the server still sees HEAD, and sends no body
            await app(scope, self._bounded(receive), sent)
        except ClientDisconnect:
            status = GONE
        except Exception as error:  # noqa: BLE001 - answered like all else, and told in the log
            told = unforeseen(error, scope["request_id"], scope["method"], _template(scope))
            if not started:
                await refusal(told, person)(scope, receive, sent)
            status = 500  # one that had begun breaks off here: its connection is closed
        finally:
            if admitted:
                budget.give(path)
            self._note(scope, status, perf_counter() - began)

    async def _let_in(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        """Find out who asks; raises what the caller is refused for."""
        if self.hosts and _name(headers.get(b"host", b"")) not in self.hosts:
            raise HostError("This service does not go by that name.")
        caller = scope["caller"] = await self._caller(scope, headers)
        if caller is None:
            if not is_open(scope["path"]):
                raise UnauthorizedError(NO_KEY)
        elif not self.state.rates.take(caller.id):
            raise RateLimitedError("This key asks too often; try again in a second.")
        if "\0" in scope["path"] or b"%00" in scope["query_string"]:
            raise UnreadableError("The address holds the character NUL.")
        length = headers.get(b"content-length", b"0")
        if len(length) > 12 or int(length) > self.most:
            raise BodyTooLargeError(self.most)
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise MediaTypeError("Send the body uncompressed.")

    async def _caller(self, scope: Scope, headers: dict[bytes, bytes]) -> Caller | None:
        """Who asks; the store is asked of strangers alone, and only where somebody must be known.

        So `/livez` answers whatever key it is asked with, and however the store is.
        """
        state, path = self.state, scope["path"]
        if b"authorization" in headers:
            text = credential(headers[b"authorization"])
            if not text.startswith("mp_"):
                return state.tokens.check(text) if text else None
            key = state.ring.check(text)
            if key is None and not is_open(path):
                key = await state.looks.key(text)
            return None if key is None else Caller(key.id, key.workspace, key.scopes)
        if b"cookie" in headers and (scope["method"] in ("GET", "HEAD") or own_page(headers)):
            text = cookie(headers[b"cookie"], state.settings.cookie(COOKIE, scope["scheme"]))
            caller = state.sessions.check(text)
            if caller is None and (not is_open(path) or path == SIGN_OUT):
                caller = await state.looks.session(text)
            return caller
        return None

    def _bounded(self, receive: Receive) -> Receive:
        got, most = 0, self.most

        async def bounded() -> Message:
            nonlocal got
            message = await receive()
            got += len(message.get("body", b""))
            if got > most:
                raise BodyTooLargeError(most)
            return message

        return bounded

    def _number(self, given: bytes) -> bytes:
        if given and SANE.fullmatch(given):
            return given
        return b"%b-%x" % (PROCESS.of(os.getpid()), next(self._numbers))

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        caller: Caller | None = scope.get("audited") or scope.get("caller")
        route = _template(scope)
        self.state.metrics.count(route, status, seconds)
        tracing.answered(scope["method"], route, status)
        self.state.log.add(
            Asked(
                int(time() * 1e6), scope["request_id"], scope["method"], route, status,
                round(1e3 * seconds, 3), "" if caller is None else caller.id,
                "" if caller is None else caller.workspace,
            )
        )  # fmt: skip


class Process:
    """A random name of this process, made anew after a fork."""

    def __init__(self) -> None:
        self.pid, self.name = 0, b""

    def of(self, pid: int) -> bytes:
        """The name of the process that asks."""
        if pid != self.pid:
            self.pid, self.name = pid, os.urandom(6).hex().encode()
        return self.name


PROCESS = Process()


def refusal(error: MilepostError, person: bool) -> Application:
    """An application that answers with an error: a person with a page, or the way to sign in."""
    response = problem_of(error)
    if person and response.status_code == 401:
        response = Response(status_code=303, headers={"Location": "/sign-in"})
    elif person:
        later = {n: v for n, v in response.headers.items() if n == "retry-after"}
        told = page_of(response.status_code, str(error))
        response = Response(told, response.status_code, later, media_type="text/html")
    if response.status_code == 401:
        response.headers["WWW-Authenticate"] = 'Basic realm="milepost"'
    if response.status_code == 413:
        response.headers["Connection"] = "close"  # what is still coming is not read

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await response(scope, receive, send)

    return answer


@lru_cache(64)  # whoever is turned away must cost little, and errors of the edge are few
def page_of(status: int, says: str) -> bytes:
    """What went wrong, as a person reads it; the same for everybody."""
    return bytes(message_page(None, "", status, says).body)


def credential(header: bytes) -> str:
    """The key of an Authorization header: a bearer's, or the user name of Basic; "" if none."""
    kind, _, rest = header.decode("latin-1").strip().partition(" ")
    if kind.lower() == "bearer":
        return rest.strip()
    if kind.lower() == "basic":
        try:
            return base64.b64decode(rest, validate=True).decode().partition(":")[0]
        except ValueError:  # not Base64, not ASCII, or not UTF-8
            return ""
    return ""


def _template(scope: Scope) -> str:
    """The path of a request's route as it is documented, for a count or a line of log."""
    route = scope.get("route")
    found = getattr(route, "path_format", "") or getattr(route, "path", "")
    return str(found or "none")


def _name(host: bytes) -> str:
    """A host without its port."""
    return re.sub(r":\d*$", "", host.decode("latin-1").lower())
