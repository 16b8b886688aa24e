"""Looks into the store on the way to an answer: for a key or a session that memory does not know.

Takes what reads; does that in a thread of its own, one reading at a time that all who wait share,
so that a slow or locked store holds up neither the event loop nor whoever is known. Few may wait;
the others are refused at once. Knows nothing about HTTP.
"""

import asyncio
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Generic, TypeVar

from serving.database import StoreUnavailableError
from serving.keys import Caller, Key, Ring
from serving.people import Roster
from serving.refusals import OverloadedError
from serving.sessions import OF_PERSON, Sessions

AGAIN_SECONDS = 0.2
"""The store is read again at most this often."""
PATIENCE = 2.0
"""Seconds after which nobody waits any more for a reading under way."""
SHARE = 8
"""One part in so many of a worker's places may wait for each table."""


T = TypeVar("T")


class Look(Generic[T]):
    """One reading of the store that all who ask at a time share."""

    def __init__(self, read: Callable[[], T], most: int) -> None:
        """Name a reading.

        Parameters
        ----------
        read
            Reads; what it gives is for all who wait.
        most
            How many may wait for that at a time.
        """
        self._read, self._most = read, most
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="look")
        self._reading: asyncio.Future[T] | None = None
        self._began = -math.inf
        self._waiting = 0

    async def again(self) -> T:
        """What is read now, or was read a moment ago.

        Raises
        ------
        OverloadedError
            When too many wait already.
        StoreUnavailableError
            When the store can't be read, or not within `PATIENCE`.
        """
        reading = self._reading
        if reading is None or reading.done():
            if reading is not None and monotonic() - self._began < AGAIN_SECONDS:
                return reading.result()  # a store that could not be read says so again
            reading = self._begin()
        left = self._began + PATIENCE - monotonic()
        if left <= 0:
            raise StoreUnavailableError(SLOW)
        if self._waiting >= self._most:
            raise OverloadedError("Too many wait for the store already; try again in a second.")
        self._waiting += 1
        try:
            return await asyncio.wait_for(asyncio.shield(reading), left)
        except TimeoutError:
            raise StoreUnavailableError(SLOW) from None
        finally:
            self._waiting -= 1

    def _begin(self) -> "asyncio.Future[T]":
        self._began = monotonic()
        loop = asyncio.get_running_loop()
        reading = self._reading = loop.run_in_executor(self._thread, self._read)
        reading.add_done_callback(asyncio.Future.exception)  # there may be nobody to hear it
        return reading


SLOW = "The store does not answer; try again."


class Looks:
    """Keys and sessions that memory does not know."""

    def __init__(self, ring: Ring, roster: Roster, sessions: Sessions, places: int) -> None:
        self.ring, self.sessions = ring, sessions
        most = max(1, places // SHARE)
        self._keys, self._people = Look(ring.read, most), Look(roster.read, most)

    async def key(self, text: str) -> Key | None:
        """The living key of a text, None when there is none.

        Raises
        ------
        OverloadedError, StoreUnavailableError
            When it is not known, and can't be looked up now.
        """
        if self.ring.is_strange(text):
            await self._keys.again()
        return self.ring.check(text)

    async def session(self, text: str) -> Caller | None:
        """Who a living session is of, None when there is none.

        Raises
        ------
        OverloadedError, StoreUnavailableError
            When it is not known, and can't be looked up now.
        """
        if self.sessions.is_strange(text):
            await (self._people if text.startswith(f"{OF_PERSON}.") else self._keys).again()
        return self.sessions.check(text)
