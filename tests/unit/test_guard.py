"""The guard of connections: who takes nothing of an answer keeps no place."""

import asyncio
import socket
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn

from serving.guard import Budget, guarded, sweep

MEGABYTE = bytes(2**20)


def test_who_never_reads_keeps_no_place() -> None:
    """An answer that is larger than all buffers ends, though its client takes nothing of it."""

    async def ask() -> None:
        ended = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(64):
                await send({"type": "http.response.body", "body": MEGABYTE, "more_body": True})
            ended.set()

        limited = guarded(Budget(1), 60, 60, 0.2, 10)
        config = uvicorn.Config(app, http=limited, lifespan="off", log_level="critical")
        server = uvicorn.Server(config)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            reader, writer = await asyncio.open_connection(*listener.getsockname(), limit=1024)
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            sweeping = asyncio.create_task(sweep(server.server_state.connections, 0.05))
            await asyncio.wait_for(ended.wait(), 60)
            assert not server.server_state.connections
            writer.transport.abort()
            sweeping.cancel()
            server.should_exit = True
            await serving
        assert not reader.at_eof()

    asyncio.run(ask())


@pytest.mark.parametrize(
    ("held", "aborted"),
    [
        ([90] * 5, True),
        ([0] * 9, False),
        ([90, 90, 80, 80, 70, 70, 60, 60], False),  # slow, and going on
        ([90, 90, 0, 90, 90, 0, 90, 90], False),  # one answer after the other
        ([90, 80, 90, 90, 90], True),
    ],
)
def test_a_slow_reader_is_waited_for(held: list[int], aborted: bool) -> None:
    """Three seconds without a byte taken are too long, however little a byte is."""
    ended: list[int] = []
    kind = guarded(Budget(1), 60, 60, 3.0, 10)
    protocol: Any = kind.__new__(kind)  # without uvicorn's state: it has no request under way
    protocol.cycle = None
    protocol.timeout_keep_alive_task = object()  # it waits for its next request
    left = iter(held)
    protocol.transport = SimpleNamespace(
        get_write_buffer_size=lambda: next(left), abort=lambda: ended.append(1),
        is_closing=lambda: False, get_extra_info=lambda name: None,
    )  # fmt: skip
    for second in range(len(held)):
        protocol.sweep(100.0 + second)
    assert aborted == bool(ended)
