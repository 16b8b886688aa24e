"""The guard of connections: what uvicorn's protocol leaves open.

Slow headers and slow bodies are answered 408 and closed, endless headers 431; a client that takes
nothing of its answer loses the connection, so that its place is free; requests beyond the
budget are marked before they wait in the loop, so that they can be refused at once; while the
service stops, a connection that was just made may still send its request. Knows nothing about
routes, keys or bodies.
"""

import asyncio
import struct
import sys
from time import monotonic
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from serving.errors import MEDIA_TYPE, problem_bytes

if sys.platform == "linux":
    import fcntl
    import termios

MOST_HEADERS = 32_768
"""Bytes of all header lines and the URL together."""
HEALTH = frozenset(("/livez", "/readyz", "/metrics"))
"""Cheap routes with a budget of their own: they answer when nothing else does."""
LAST_CALL = 1.0
"""Seconds that a connection without a request has to send one when the service stops."""


class Budget:
    """How many requests a worker has taken on and not answered yet."""

    def __init__(self, most: int, most_health: int = 64) -> None:
        self.free, self.free_health = most, most_health
        self.stopping = False
        self.shed = 0

    def take(self, path: str) -> bool:
        """Take a place; False when there is none."""
        if path in HEALTH:
            self.free_health -= 1
            if self.free_health >= 0:
                return True
            self.free_health += 1
        else:
            self.free -= 1
            if self.free >= 0:
                return True
            self.free += 1
        self.shed += 1
        return False

    def give(self, path: str) -> None:
        """Give a place back."""
        if path in HEALTH:
            self.free_health += 1
        else:
            self.free += 1


class Guarded(HttpToolsProtocol):
    """uvicorn's protocol within limits, which `guarded` sets."""

    budget: Budget
    header_seconds: float
    body_seconds: float
    write_seconds: float
    most: int
    began: float = 0.0
    size: int = 0
    left: int = 0
    """Bytes of answers that the client had not taken when it was last looked at."""
    moved: float = 0.0
    """When it was last seen to take any."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.began = monotonic()
        if len(self.connections) > self.most:
            self._refuse(503, "overloaded", "Too many connections; try again soon.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.began, self.size = monotonic(), 0

    def on_url(self, url: bytes) -> None:
        self._weigh(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._weigh(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self.began = monotonic()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - it may hold the request
        if not self.transport.is_closing():
            self._refuse(400, "request_unreadable", "The request is not valid HTTP.")

    def resume_writing(self) -> None:
        self.moved = monotonic()
        super().resume_writing()

    def shutdown(self) -> None:
        cycle: RequestResponseCycle | None = self.cycle
        fresh = cycle is None and monotonic() - self.began < LAST_CALL
        if fresh and not self.transport.is_closing():
            self.loop.call_later(LAST_CALL, self._close_unused)
        else:
            super().shutdown()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if self.budget.stopping:
            cycle.keep_alive = False
        scope: Any = cycle.scope
        scope["admitted"] = self.budget.take(scope["path"])
        super()._start_asgi_task(cycle, app)

    def _close_unused(self) -> None:
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None and not self.transport.is_closing():
            self.transport.close()

    def _weigh(self, count: int) -> None:
        self.size += count
        if self.size > MOST_HEADERS and not self.transport.is_closing():
            self._refuse(431, "headers_too_large", "The headers are too large.")

    def _refuse(self, status: int, code: str, detail: str) -> None:
        body = problem_bytes(status, code, detail)
        retry = b"retry-after: 1\r\n" if status == 503 else b""
        self.transport.write(
            b"HTTP/1.1 %d Refused\r\ncontent-type: %b\r\ncontent-length: %d\r\n%b"
            b"connection: close\r\n\r\n%b" % (status, MEDIA_TYPE.encode(), len(body), retry, body)
        )
        self.transport.close()

    def sweep(self, now: float) -> None:
        """Close the connection if its headers, its body or taking its answer last too long."""
        if self._stalled(now):
            self.transport.abort()
            return
        cycle: RequestResponseCycle | None = self.cycle
        waiting = cycle is None or cycle.response_complete
        reading = cycle is not None and not waiting and cycle.more_body
        limit = self.header_seconds if waiting else self.body_seconds
        if (waiting or reading) and not self.transport.is_closing():
            if self._idle(waiting) or now - self.began < limit:
                return
            if waiting or cycle is None or not cycle.response_started:
                self._refuse(408, "too_slow", "The request took too long to arrive.")
            else:
                self.transport.close()

    def _stalled(self, now: float) -> bool:
        """Whether nothing of an answer that waits has been taken for too long."""
        left = self.transport.get_write_buffer_size()
        if left:
            left += _in_kernel(self.transport.get_extra_info("socket"))
        if not left or not self.left or left < self.left:
            self.moved = now
        self.left = left
        return now - self.moved >= self.write_seconds

    def _idle(self, waiting: bool) -> bool:
        """Whether a kept connection waits for its next request; uvicorn's own timer ends it."""
        return waiting and self.timeout_keep_alive_task is not None


def _in_kernel(socket: Any) -> int:
    """Bytes that the kernel has and the client does not; a slow client empties that first."""
    if sys.platform != "linux" or socket is None or socket.fileno() < 0:
        return 0
    return int(struct.unpack("i", fcntl.ioctl(socket.fileno(), termios.TIOCOUTQ, bytes(4)))[0])


def guarded(
    budget: Budget, header_seconds: float, body_seconds: float, write_seconds: float, most: int
) -> type[HttpToolsProtocol]:
    """The protocol with these limits; `most` is how many connections a worker keeps."""
    limits = {
        "budget": budget, "header_seconds": header_seconds, "body_seconds": body_seconds,
        "write_seconds": write_seconds, "most": most,
    }  # fmt: skip
    return type("Limited", (Guarded,), limits)


async def sweep(connections: set[Any], every: float = 1.0) -> None:
    """Look after all connections of a worker until cancelled."""
    while True:
        await asyncio.sleep(every)
        now = monotonic()
        for connection in list(connections):
            connection.sweep(now)
