"""The histories that the book is scored from, as buckets.

Takes a business; gives a folder of buckets, and says when it has changed. Knows nothing about
scores.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from features.buckets import Buckets, write_buckets
from features.config import Business
from features.sources import read_histories


@dataclass(frozen=True)
class Copy:
    """The histories as they were at a commit of the store."""

    buckets: Buckets
    arrival: int
    end: int
    """The moment up to which they reach, microseconds UTC."""


class Histories(Protocol):
    """Where a keeper gets histories from."""

    def state(self) -> tuple[int, int] | None:
        """The last commit and the end of the histories; None before there are any."""

    def copy(self) -> Copy:
        """The histories of now, as buckets."""


class FromSources:
    """The business's sources, read once: they do not change while a service runs."""

    def __init__(self, business: Business, folder: Path) -> None:
        self._business, self._folder = business, folder
        self._copy: Copy | None = None

    def state(self) -> tuple[int, int]:
        made = self.copy()
        return made.arrival, made.end

    def copy(self) -> Copy:
        if self._copy is None:
            histories = read_histories(self._business)
            buckets = write_buckets(self._business, histories, self._folder)
            self._copy = Copy(buckets, 0, histories.end)
        return self._copy
