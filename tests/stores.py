"""Stores that tests write to: a file, and a real PostgreSQL."""

import ctypes
import fcntl
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from threading import Thread

import psycopg
from tracking_server import postgres

from serving.database import Database
from serving.event_store import EventStore, TenantStore
from serving.intake import CANONICAL, Intake, Result
from serving.migrations import upgrade


@contextmanager
def addresses(kind: str, folder: Path) -> Iterator[str]:
    """The URL of a new, empty database of a kind."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'milepost.db'}"
    else:
        with postgres() as url:
            yield url


def opened(url: str, name: str = "shop", groups: tuple[str, ...] = ()) -> TenantStore:
    """A workspace's store in a database that is brought up to date."""
    database = Database(url)
    upgrade(database)
    return EventStore(database).workspace(name, groups)


def sent(
    intake: Intake, store: TenantStore, rows: list[object], form: str = CANONICAL
) -> list[Result]:
    """What became of rows that are sent together."""
    return intake.take(store, rows, [form] * len(rows)).result(60).results


def held(url: str) -> AbstractContextManager[None]:
    """Keep everybody from reading keys and people."""
    return held_file(Path(url[10:] + "-shm")) if "sqlite" in url else held_tables(url)


@contextmanager
def held_file(shared: Path) -> Iterator[None]:
    """All locks of SQLite's log, which whoever reads has to share: the bytes 120 to 127."""
    with shared.open("r+b") as file:
        deadline = time.monotonic() + 30
        while True:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 8, 120)
                break
            except BlockingIOError:  # somebody reads just now
                assert time.monotonic() < deadline
        yield


@contextmanager
def held_tables(url: str) -> Iterator[None]:
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        connection.execute("lock table keys, users in access exclusive mode")
        yield


class Cable:
    """A way to a server on loopback that can be cut: then no packet is answered, as when a host
    or a network is gone, and no connection is told of it."""

    DROP_ALL = struct.pack("HBBI", 6, 0, 0, 0)
    """A socket filter of one instruction: keep nothing of any packet."""
    ATTACH, DETACH = 26, 27
    """`SO_ATTACH_FILTER` and `SO_DETACH_FILTER` of Linux, which Python does not name."""

    def __init__(self, port: int) -> None:
        self._to = ("127.0.0.1", port)
        self._door = socket.create_server(("127.0.0.1", 0))
        self._ends: list[socket.socket] = []
        self.port = int(self._door.getsockname()[1])
        Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Answer nobody, neither those who are connected nor those who come."""
        code = ctypes.create_string_buffer(self.DROP_ALL)
        program = struct.pack("HL", 1, ctypes.addressof(code))
        for end in (self._door, *self._ends):
            end.setsockopt(socket.SOL_SOCKET, self.ATTACH, program)

    def mend(self) -> None:
        """Let those in who come."""
        self._door.setsockopt(socket.SOL_SOCKET, self.DETACH, 0)

    def close(self) -> None:
        """Let nobody in any more."""
        self._door.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._door.accept()
                far = socket.create_connection(self._to)
                self._ends.append(near)
                for one, other in ((near, far), (far, near)):
                    Thread(target=_carry, args=(one, other), daemon=True).start()


def _carry(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while some := one.recv(65536):
            other.sendall(some)
    with suppress(OSError):
        other.shutdown(socket.SHUT_WR)
