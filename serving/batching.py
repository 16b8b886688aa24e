"""Work that waits is done together, by one thread, without waiting for more.

Takes pieces of work from coroutines; gives each its own answer or error. A piece whose asker
has gone is dropped. Knows nothing about what the work is.
"""

import asyncio
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Generic, TypeAlias, TypeVar

from serving.tracing import here, together

Piece = TypeVar("Piece")
Result = TypeVar("Result")

MOST = 32
"""Pieces done together: more gain little, and the first one waits for the last."""

STOP = None

Waiting: TypeAlias = tuple[Piece, "asyncio.Future[Result]", Any]
"""A piece, its answer to come, and where its asker stands in a trace."""


class Together(Generic[Piece, Result]):
    """One thread that does all work that is waiting in one call."""

    def __init__(
        self, work: Callable[[Sequence[Piece]], Sequence[Result | Exception]], most: int = MOST
    ) -> None:
        """Prepare; the thread starts with the first piece.

        Parameters
        ----------
        work
            Gives a result or an error for each piece, in their order.
        """
        self._work, self._most = work, most
        self._waiting: SimpleQueue[Waiting[Piece, Result] | None] = SimpleQueue()
        self._thread: Thread | None = None

    async def do(self, piece: Piece) -> Result:
        """Have a piece done."""
        return await self.begin(piece)

    def begin(self, piece: Piece) -> "asyncio.Future[Result]":
        """Have a piece done, and wait for it later; to be called in the event loop."""
        if self._thread is None:
            self._thread = Thread(target=self._run, name="scoring", daemon=True)
            self._thread.start()
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.put((piece, future, here()))
        return future

    def stop(self) -> None:
        """End the thread when what waits is done."""
        if self._thread is not None:
            self._waiting.put(STOP)
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while (first := self._waiting.get()) is not STOP:
            taken, stop = [first], False
            while len(taken) < self._most:
                try:
                    more = self._waiting.get_nowait()
                except Empty:
                    break
                if more is STOP:
                    stop = True
                    break
                taken.append(more)
            self._do(taken)
            if stop:
                return

    def _do(self, taken: "Sequence[Waiting[Piece, Result]]") -> None:
        taken = [one for one in taken if not one[1].cancelled()]
        if not taken:
            return
        try:
            with together("score", [place for _, _, place in taken]):
                results = self._work([piece for piece, _, _ in taken])
        except Exception as error:  # noqa: BLE001 - it is the askers', not the thread's
            results = [error] * len(taken)
        pairs = [(future, result) for (_, future, _), result in zip(taken, results, strict=True)]
        loop = taken[0][1].get_loop()
        if not loop.is_closed():
            loop.call_soon_threadsafe(_deliver, pairs)


def _deliver(pairs: "Sequence[tuple[asyncio.Future[Result], Result | Exception]]") -> None:
    for future, result in pairs:
        if future.done():
            continue
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)
