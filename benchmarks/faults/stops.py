"""Stops and kills under load: SIGTERMs that lose no accepted request, workers that come back.

`python benchmarks/faults/stops.py CONFIG --workspace DIR [--stops 50] [--kills 20] [--back 2]`
prints counts and ends with 1 when a promise is broken. A request counts as accepted when its
connection stood. A kill -9 of one of the workers may cost each client the one request that was
under way there, and nobody else anything; all workers are there again within `back` seconds.
"""

import argparse
import asyncio
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path

from served import Connection, Served, served

CLIENTS = 8
REACTION = 0.5
"""Seconds that a balancer needs to see that a service is not ready; the service waits for 1."""


class Seen:
    """What clients saw during one round."""

    def __init__(self) -> None:
        self.answers: Counter[int] = Counter()
        self.lost: list[str] = []
        self.not_ready_at = 0.0
        self.refused_at = 0.0
        self.done = False

    @property
    def over(self) -> bool:
        """Whether nothing more is asked, as a balancer would send nothing more."""
        if self.done:
            return True
        told = self.not_ready_at and time.monotonic() > self.not_ready_at + REACTION
        return bool(told or self.refused_at)


async def load(port: int, request: bytes, seen: Seen) -> None:
    """Ask until a balancer would stop."""
    connection = Connection(port)
    while not seen.over:
        try:
            status, _, _ = await connection.ask(request)
            seen.answers[status] += 1
        except ConnectionRefusedError:
            seen.refused_at = seen.refused_at or time.monotonic()
        except (OSError, asyncio.IncompleteReadError) as error:
            seen.lost.append(type(error).__name__)
    connection.close()


async def watch(service: Served, seen: Seen) -> None:
    """Ask for readiness as a balancer does, on connections of its own."""
    request = service.request("GET", "/readyz")
    while not seen.over:
        connection = Connection(service.port)
        try:
            status, _, _ = await connection.ask(request)
            if status == 503 and not seen.not_ready_at:
                seen.not_ready_at = time.monotonic()
        except OSError:
            seen.refused_at = seen.refused_at or time.monotonic()
        connection.close()
        await asyncio.sleep(0.02)


async def stop_once(service: Served, request: bytes) -> Seen:
    """One SIGTERM while clients ask."""
    seen = Seen()
    tasks = [asyncio.create_task(load(service.port, request, seen)) for _ in range(CLIENTS)]
    tasks.append(asyncio.create_task(watch(service, seen)))
    await asyncio.sleep(0.3)
    service.process.send_signal(signal.SIGTERM)
    await asyncio.gather(*tasks)
    await asyncio.to_thread(service.process.wait, 40)
    return seen


async def kill_once(service: Served, request: bytes) -> tuple[float, Seen]:
    """One kill -9 of a worker while clients ask: seconds until as many answer as before."""
    seen = Seen()
    tasks = [asyncio.create_task(load(service.port, request, seen)) for _ in range(CLIENTS)]
    await asyncio.sleep(0.3)
    before = service.workers()
    began = time.monotonic()
    os.kill(before[0], signal.SIGKILL)
    while time.monotonic() - began < 60:
        now = service.workers()
        whole = len(now) == len(before) and before[0] not in now
        if whole and await asyncio.to_thread(service.ready) == 200:
            break
        await asyncio.sleep(0.01)
    back = time.monotonic() - began
    seen.done = True
    await asyncio.gather(*tasks)
    return back, seen


def is_kept(seen: Seen) -> bool:
    """Whether a kill cost no more than what was under way at the worker that was killed."""
    return (
        len(seen.lost) <= CLIENTS and not seen.refused_at and set(seen.answers) <= {200, 503}
        and seen.answers[200] > 0
    )  # fmt: skip


def told(kills: list[tuple[float, Seen]]) -> str:
    """What all kills cost."""
    back = sorted(seconds for seconds, _ in kills)
    answers = sum((seen.answers for _, seen in kills), Counter[int]())
    most = max(len(seen.lost) for _, seen in kills)
    return (
        f"{len(kills)} kill -9 under load: {answers.total():,} answers {dict(answers)}, {most} "
        f"lost at most of {CLIENTS} clients; back in {back[len(back) // 2]:.2f} s median, "
        f"{back[-1]:.2f} s at most"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--workspace", type=Path, default=Path("workspace"))
    parser.add_argument("--stops", type=int, default=50)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--workers", default="2")
    parser.add_argument("--back", type=float, default=2)
    chosen = parser.parse_args()
    lost, answers, first = 0, Counter[int](), 0
    quiet = {"MILEPOST_LOG_REQUESTS": "0"}
    place = (chosen.config, chosen.workspace, "--workers", chosen.workers)
    with served(*place, **quiet) as service:
        request = service.request("GET", "/v1/at-risk?limit=3")
        for number in range(chosen.stops):
            if number:
                service.start()
            seen = asyncio.run(stop_once(service, request))
            answers += seen.answers
            lost += len(seen.lost)
            first += bool(seen.not_ready_at) and not 0 < seen.refused_at < seen.not_ready_at
    print(f"{chosen.stops} SIGTERMs: {sum(answers.values()):,} answers {dict(answers)}, "
          f"{lost} lost; readiness first in {first}")  # fmt: skip
    kills = []
    if chosen.kills:
        with served(*place, **quiet) as service:
            kills = [asyncio.run(kill_once(service, request)) for _ in range(chosen.kills)]
        print(told(kills))
    stood = all(back <= chosen.back and is_kept(seen) for back, seen in kills)
    return 0 if not lost and first == chosen.stops and stood else 1


if __name__ == "__main__":
    sys.exit(main())
