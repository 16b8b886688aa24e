"""What was read lately and is still so: journeys that need not be read again.

Takes values with tags that say what they were made of; forgets them when something of a tag
changes, and the oldest when too many events are held. Knows nothing about where values come from.
"""

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any

MOST_EVENTS = 400_000
"""Events that are held: some 50 MB."""


@dataclass(frozen=True)
class Held:
    """A value, its size and what it was made of."""

    value: Any
    n_events: int
    tags: tuple[Hashable, ...]


class Recent:
    """Values by key; safe to share between threads."""

    def __init__(self, most: int = MOST_EVENTS) -> None:
        self.arrival: int | None = None
        """The commit up to which all that is held is known to be so."""
        self._most, self._size = most, 0
        self._held: OrderedDict[Hashable, Held] = OrderedDict()
        self._of: defaultdict[Hashable, set[Hashable]] = defaultdict(set)
        """The keys whose values were made of a tag."""
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Any:
        """The value of a key; None where there is none."""
        with self._lock:
            found = self._held.get(key)
            if found is None:
                return None
            self._held.move_to_end(key)
            return found.value

    def put(self, key: Hashable, held: Held, arrival: int) -> None:
        """Hold a value that was read after a commit was seen, unless another was seen since."""
        with self._lock:
            if arrival != self.arrival or key in self._held:
                return
            self._held[key] = held
            self._size += held.n_events
            for tag in held.tags:
                self._of[tag].add(key)
            while self._size > self._most:
                self._drop(next(iter(self._held)))

    def forget(self, tags: Iterable[Hashable] | None, arrival: int) -> None:
        """Drop what was made of something that a commit has changed; None drops all."""
        with self._lock:
            if tags is None:
                self._held.clear()
                self._of.clear()
                self._size = 0
            for tag in tags or ():
                for key in tuple(self._of.get(tag, ())):
                    self._drop(key)
            self.arrival = arrival

    def _drop(self, key: Hashable) -> None:
        held = self._held.pop(key)
        self._size -= held.n_events
        for tag in held.tags:
            self._of[tag].discard(key)
            if not self._of[tag]:
                del self._of[tag]
