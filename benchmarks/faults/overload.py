"""Overload: ten times the load that a worker takes on gets 200, or 503 with Retry-After at once.

`python benchmarks/faults/overload.py CONFIG --workspace DIR [--seconds 60] [--ratio 2]` prints the
statuses, the p99 of accepted requests beside that of a full but not overloaded service, and how
soon it has recovered. Ends with 1 when another answer was seen, when the p99 is more than `ratio`
times the unloaded one, or when it did not recover within a second.
"""

import argparse
import asyncio
import sys
import time
from collections import Counter
from pathlib import Path

from served import Connection, Served, served

PLACES = 8
"""Requests that the worker takes on at a time here; the unloaded run has so many clients."""


class Asking:
    """Clients that ask one after another until a moment."""

    def __init__(self, service: Served, clients: int, seconds: float) -> None:
        self.port, self.clients = service.port, clients
        self.request = service.request("GET", "/v1/at-risk?limit=3")
        self.until = time.monotonic() + seconds
        self.taken: list[float] = []
        self.answers: Counter[str] = Counter()

    async def one(self) -> None:
        """Ask; wait as long as a refusal says, scaled down so that the load stays ten times."""
        connection = Connection(self.port)
        while time.monotonic() < self.until:
            began = time.perf_counter()
            try:
                status, head, _ = await connection.ask(self.request)
            except (OSError, asyncio.IncompleteReadError) as error:
                self.answers[type(error).__name__] += 1
                continue
            if status == 200:
                self.taken.append(time.perf_counter() - began)
            else:
                await asyncio.sleep(0.02)
            told = status == 503 and b"retry-after" in head
            self.answers["503 + Retry-After" if told else str(status)] += 1
        connection.close()

    async def all(self) -> None:
        """Every client at once."""
        await asyncio.gather(*(self.one() for _ in range(self.clients)))

    def p99(self) -> float:
        """Of the accepted requests, seconds."""
        return sorted(self.taken)[int(0.99 * len(self.taken))] if self.taken else float("nan")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--workspace", type=Path, default=Path("workspace"))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--ratio", type=float, default=2)
    chosen = parser.parse_args()
    settings = {"MILEPOST_CONCURRENCY": str(PLACES), "MILEPOST_LOG_REQUESTS": "0"}
    with served(chosen.config, chosen.workspace, **settings) as service:
        calm = Asking(service, PLACES, max(2, chosen.seconds / 6))
        asyncio.run(calm.all())
        storm = Asking(service, 10 * PLACES, chosen.seconds)
        asyncio.run(storm.all())
        ended = time.monotonic()
        after = Asking(service, 1, 0.0)
        recovered = float("inf")
        while time.monotonic() - ended < 10:
            after.until = time.monotonic() + 0.001
            asyncio.run(after.one())
            if after.answers["200"]:
                recovered = time.monotonic() - ended
                break
    ratio = storm.p99() / calm.p99()
    print(
        f"{10 * PLACES} clients on {PLACES} places for {chosen.seconds:g} s: {dict(storm.answers)}"
    )
    print(f"p99 of accepted {1e3 * storm.p99():.1f} ms, unloaded {1e3 * calm.p99():.1f} ms: "
          f"{ratio:.2f} x (target {chosen.ratio:g}); recovered in {recovered:.2f} s")  # fmt: skip
    known = set(storm.answers) <= {"200", "503 + Retry-After"}
    return 0 if known and ratio <= chosen.ratio and recovered <= 1 else 1


if __name__ == "__main__":
    sys.exit(main())
