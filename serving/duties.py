"""Duties: what a process does again and again beside answering.

Each duty fails alone: what went wrong goes to the log, once as long as it is the same, and the
duty is tried again with its next turn. Knows nothing about what duties do.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

LOG = logging.getLogger("milepost.serving")

Duty = Callable[[], None]


class Duties:
    """Some duties, done in turn."""

    def __init__(self, duties: Iterable[Duty]) -> None:
        self._duties = tuple(duties)
        self._failing: dict[Duty, str] = {}

    def do(self) -> None:
        """Do each once, whatever becomes of the others."""
        for duty in self._duties:
            try:
                duty()
            except Exception as error:  # noqa: BLE001 - the others have to be done all the same
                self._tell(duty, error)
            else:
                self._failing.pop(duty, None)

    def _tell(self, duty: Duty, error: Exception) -> None:
        said = repr(error)
        if self._failing.get(duty) != said:
            self._failing[duty] = said
            name = getattr(duty, "__qualname__", "a duty")
            with suppress(OSError, ValueError):
                LOG.error("%s failed and is tried again", name, exc_info=error)


class Rounds:
    """Groups of duties, each in a thread of its own: one that hangs holds up its group alone."""

    def __init__(self, groups: Sequence[Iterable[Duty]], every: float) -> None:
        self._over = threading.Event()
        self._every = every
        self._threads = [
            threading.Thread(target=self._go, args=(Duties(group),), name="duties", daemon=True)
            for group in groups
        ]

    def start(self) -> None:
        """Begin; the first round is due after the first wait."""
        for thread in self._threads:
            thread.start()

    def stop(self, patience: float) -> None:
        """End after the round under way, or leave a thread behind that hangs."""
        self._over.set()
        for thread in self._threads:
            thread.join(patience)

    def _go(self, duties: Duties) -> None:
        while not self._over.wait(self._every):
            duties.do()
