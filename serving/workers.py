"""Workers: processes that answer on one socket, and the parent that keeps them.

A worker is forked after everything is imported, so that one that dies is back at once. The parent
answers nothing itself. On SIGTERM a worker says that it is not ready, waits, stops listening,
finishes what it took on, and ends.
"""

import asyncio
import ctypes
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

import uvicorn

from serving.duties import Duties, Rounds
from serving.edge import Application
from serving.guard import guarded, sweep
from serving.state import State

LOG = logging.getLogger("milepost.serving")

TICK = 0.5
"""Seconds between two readings of the keys."""
LAST_ROUND = 2.0
"""How long a stop waits for each group of duties."""
POLL = 0.02
"""Seconds between two looks at the workers."""
LAST_SECONDS = 10
"""How long a stop waits for requests under way; a client that never finishes can't hold it up."""
SHORTEST, LONGEST = 0.05, 10.0
"""Seconds until a worker that died is started again: at first, and at most."""
LONGEST_KILLED = 1.0
"""The most where somebody killed it: then its own start was not the fault."""
YOUNG = 10_000
"""Objects made since the last search for cycles among young ones; Python would take 700."""
MENDABLE = 2
"""The exit code of what a person has to mend."""


class Server(uvicorn.Server):
    """uvicorn, stopping gently: not ready first, then no new connections, then the end."""

    def __init__(self, config: uvicorn.Config, state: State) -> None:
        super().__init__(config)
        self.state = state
        self._tasks: list[asyncio.Task[None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and look after connections from now on."""
        await super().startup(sockets)
        self._loop = asyncio.get_running_loop()
        self._tasks.append(asyncio.create_task(sweep(self.server_state.connections)))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; a second signal ends at once."""
        if self.state.budget.stopping or self._loop is None:
            super().handle_exit(sig, frame)
            return
        self.state.budget.stopping = True
        wait = self.state.settings.stop_wait if sig == signal.SIGTERM else 0.0
        end = super().handle_exit
        self._loop.call_soon_threadsafe(self._loop.call_later, wait, end, sig, frame)


def work(app: Application, state: State, listener: socket.socket) -> None:
    """Answer until told to stop."""
    settings = state.settings
    config = uvicorn.Config(
        app,
        log_config=None,  # its loggers say what they say as the service does
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.proxies),  # nobody else is believed, loopback neither
        forwarded_allow_ips=settings.proxies,
        timeout_graceful_shutdown=LAST_SECONDS,
        timeout_keep_alive=settings.keep_alive_seconds,
        backlog=2048,
        http=guarded(
            state.budget,
            settings.header_seconds,
            settings.body_seconds,
            settings.write_seconds,
            settings.most_connections,
        ),
        loop="uvloop" if sys.platform != "win32" else "asyncio",
        ws="none",
        lifespan="off",
    )
    spare_collector()
    rounds = Rounds(state.duties(), TICK)
    rounds.start()
    try:
        Server(config, state).run(sockets=[listener])
    finally:
        rounds.stop(LAST_ROUND)
        state.end()
        Duties((state.log.keep, state.log.show)).do()


def spare_collector() -> None:
    """Leave what is loaded by now out of every search for cycles, and search less often.

    A full search of all imported code holds everybody's answer up for a tenth of a second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 20, 20)


class Workers:
    """The parent's view: `count` processes that each run `begin`, started again when they die."""

    def __init__(self, count: int, begin: Callable[[], int]) -> None:
        self.count, self.begin = count, begin
        self._pids: dict[int, float] = {}
        self._due: list[float] = [0.0] * count
        self._wait = SHORTEST
        self._proven = False
        self._signal = 0

    def run(self) -> int:
        """Keep the workers until a signal; gives the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)
        while not self._signal:
            self._start_due()
            code = self._reap()
            if code == MENDABLE and not self._proven:
                self._stop(signal.SIGTERM)
                return code
            time.sleep(POLL)
        self._stop(self._signal)
        return 0

    def _note(self, number: int, _: FrameType | None) -> None:
        self._signal = number

    def _start_due(self) -> None:
        now = time.monotonic()
        for due in [due for due in self._due if due <= now]:
            self._due.remove(due)
            pid = os.fork()
            if pid == 0:
                _end_with_parent()
                for number in (signal.SIGTERM, signal.SIGINT):
                    signal.signal(number, _leave)
                os._exit(_code_of(self.begin))
            self._pids[pid] = now

    def _reap(self) -> int:
        """Note who has died; gives the last exit code."""
        code = 0
        for pid, began in list(self._pids.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                self._proven = self._proven or time.monotonic() - began > LONGEST
                continue
            del self._pids[pid]
            code = os.waitstatus_to_exitcode(status)
            steady = time.monotonic() - began > 5
            longest = LONGEST_KILLED if code == -signal.SIGKILL else LONGEST
            self._wait = SHORTEST if steady else min(2 * self._wait, longest)
            self._due.append(time.monotonic() + self._wait)
            if code != MENDABLE:
                LOG.error("a worker ended with %s; again in %s s", code, self._wait)
        return code

    def _stop(self, number: int) -> None:
        deadline = time.monotonic() + LAST_SECONDS + 10
        for pid in self._pids:
            os.kill(pid, number)
        while self._pids:
            for pid in list(self._pids):
                if os.waitpid(pid, os.WNOHANG)[0]:
                    del self._pids[pid]
                elif time.monotonic() > deadline:
                    os.kill(pid, signal.SIGKILL)
            time.sleep(POLL)


def _code_of(begin: Callable[[], int]) -> int:
    try:
        return begin()
    except KeyboardInterrupt:
        return 0
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1
    except BaseException as error:  # noqa: BLE001 - the process ends here; its parent starts another
        with suppress(OSError, ValueError):
            sys.excepthook(type(error), error, error.__traceback__)
        return 1
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()


def _leave(_: int, __: FrameType | None) -> None:
    raise SystemExit(0)  # uvicorn raises the signal again when it has stopped


def _end_with_parent() -> None:
    """Ask Linux to end this process when its parent dies, however it dies."""
    if sys.platform == "linux":
        libc: Any = ctypes.CDLL(None)
        libc.prctl(1, signal.SIGTERM)
