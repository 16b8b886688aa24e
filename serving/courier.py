"""The courier: tells subscribers what happened, until they have heard it.

A child process (`python -m serving courier`). Takes what waits in the store; posts it signed, again
and again with growing pauses, and gives up after `TRIES`. At least once: one that dies between
an answer and its note tells the same event, with the same id, again. Knows nothing about scores.
"""

import argparse
import asyncio
import contextlib
import os
import random
import signal
from collections import Counter
from collections.abc import Callable
from time import monotonic, time

import httpcore

from features.durations import DAY, SECOND, this_moment
from features.log_lines import log_in_lines
from serving.children import declare_parent, orphaned
from serving.database import Database, StoreUnavailableError
from serving.hook_store import DEAD, DELIVERED, WAITING, Due, Outcome, forget, settle, take
from serving.settings import Settings, read_settings
from serving.targets import TargetError, check_url, pool
from serving.webhooks import signed_headers

TRIES = 10
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 12 * 3600.0
"""Seconds: pauses grow fourfold from the first to the longest, over about two days."""
TIME_OUT = 10.0
"""Seconds a subscriber has, from looking its name up to the end of the answer's head."""
LEASE = 60.0
"""Seconds after which a delivery that was taken and not settled is taken again."""
AT_ONCE = 32
"""Tries under way at the same time."""
AT_ONCE_EACH = 8
"""About so many of them of one subscription, so that a slow one leaves room for the others."""
LOOK_AGAIN = 0.5
"""Seconds between looks when nothing waits."""
GATHER = 0.02
"""Seconds in which ended tries are gathered, to be written down together."""
SWEEP = 3600.0
"""Seconds between removals of what was delivered long ago."""
KEPT = 7 * DAY
"""How long delivered events are kept."""


class Courier:
    """Takes deliveries and tries them; several may run on one database."""

    def __init__(self, database: Database, private: bool = False, first_pause: float = FIRST_PAUSE):
        self._database, self._private, self._first_pause = database, private, first_pause
        self._pool = pool(private, AT_ONCE)
        self._stopping = asyncio.Event()
        self._under_way: dict[asyncio.Task[Outcome], Due] = {}

    def stop(self) -> None:
        """Finish what is under way, and take no more."""
        self._stopping.set()

    async def run(self, ended: Callable[[], bool] = lambda: False) -> None:
        """Deliver until stopped or ended; a store that is out of reach is tried again."""
        swept = -float("inf")
        while not self._stopping.is_set() and not ended():
            told = 0
            with contextlib.suppress(StoreUnavailableError):
                told = await self.round()
                if monotonic() - swept > SWEEP:
                    await asyncio.to_thread(forget, self._database, this_moment() - KEPT)
                    swept = monotonic()
            if not told:
                await self._pause()
        await self.finish()

    async def round(self) -> int:
        """Write down what came of tries, and begin others; gives how many of both."""
        settled = await self._settle()
        n_free = min(AT_ONCE - len(self._under_way), AT_ONCE_EACH)
        if n_free <= 0:
            return settled
        now, busy = this_moment(), Counter(due.subscription for due in self._under_way.values())
        full = [name for name, n in busy.items() if n > AT_ONCE_EACH]
        lease = now + int(LEASE * SECOND)
        taken = await asyncio.to_thread(take, self._database, now, lease, n_free, full)
        for due in taken:
            self._under_way[asyncio.create_task(self._try(due))] = due
        return settled + len(taken)

    async def finish(self) -> None:
        """Wait for what is under way, and write it down."""
        if self._under_way:
            await asyncio.wait(self._under_way)
        with contextlib.suppress(StoreUnavailableError):  # leases end, and it is told again
            await self._settle()
        await self._pool.aclose()

    async def _pause(self) -> None:
        """Until a try has ended, or for a while where none is under way."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=LOOK_AGAIN, return_when="FIRST_COMPLETED")
            await asyncio.sleep(GATHER)
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), LOOK_AGAIN)

    async def _settle(self) -> int:
        done = [task for task in self._under_way if task.done()]
        if done:
            await asyncio.to_thread(settle, self._database, [task.result() for task in done])
        for task in done:
            del self._under_way[task]
        return len(done)

    async def _try(self, due: Due) -> Outcome:
        status, error, gone = None, None, False
        try:
            async with asyncio.timeout(TIME_OUT):
                status = await self._post(due)
            gone = status == 410
            error = None if 200 <= status < 300 else f"answered {status}"
        except TargetError as refused:
            error, gone = str(refused), True
        except (TimeoutError, httpcore.TimeoutException):
            error = f"no answer within {TIME_OUT:.0f} s"
        except Exception as fault:  # noqa: BLE001 - whatever a subscriber does, the next one is told
            error = f"no connection ({type(fault).__name__})"
        state, again = self._verdict(due, error, gone)
        return Outcome(due, state, this_moment(), again, status, error)

    async def _post(self, due: Due) -> int:
        """The status of the answer; its body is not read."""
        check_url(due.url, self._private)
        body = due.body.encode()
        headers = signed_headers(due.secret, due.event, int(time()), body)
        async with self._pool.stream(
            "POST", due.url, headers=list(headers.items()), content=body
        ) as answer:
            return int(answer.status)

    def _verdict(self, due: Due, error: str | None, gone: bool) -> tuple[str, int]:
        if error is None:
            return DELIVERED, this_moment()
        if gone or due.tries + 1 >= TRIES:
            return DEAD, this_moment()
        pause = min(self._first_pause * 4**due.tries, LONGEST_PAUSE)
        jitter = random.uniform(0.5, 1.0)  # noqa: S311 - spreads tries, guards nothing
        return WAITING, this_moment() + int(pause * jitter * SECOND)


def declare(parser: argparse.ArgumentParser) -> None:
    """The command's arguments; private targets are allowed by MILEPOST_WEBHOOKS_PRIVATE."""
    parser.add_argument("--database", help="URL of the store")
    parser.add_argument("--workspace", help="where the default store lies")
    declare_parent(parser)


def run(chosen: argparse.Namespace) -> int:
    """Deliver until SIGTERM."""
    flags = {"database": chosen.database, "workspace": chosen.workspace}
    settings = read_settings(os.environ, **flags)
    log_in_lines()
    asyncio.run(_serve(settings, chosen.parent))
    return 0


async def _serve(settings: Settings, parent: int | None) -> None:
    courier = Courier(Database(settings.database_url), settings.webhooks_private)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, courier.stop)
    await courier.run(lambda: orphaned(parent))
