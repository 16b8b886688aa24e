"""How long each stage of a run takes.

Takes a way to say a line; gives seconds by stage. Knows nothing about what the stages do.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter, time


class Clock:
    """Seconds a stage, and a line when each one ends."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.seconds: dict[str, float] = {}
        self._say = say

    @contextmanager
    def stage(self, name: str) -> Iterator[list[str]]:
        """Time a stage; what the body appends is told beside its name."""
        told: list[str] = []
        start = perf_counter()
        yield told
        self.seconds[name] = round(perf_counter() - start, 3)
        self._say(f"  {name:<10} {self.seconds[name]:6.1f} s  {'; '.join(told)}")


def now_ms() -> int:
    """Milliseconds since 1970, UTC: MLflow's unit."""
    return int(time() * 1000)
