"""Stops under load: SIGTERMs that lose no accepted request, and workers that come back.

`python benchmarks/faults/stops.py CONFIG --workspace DIR [--stops 50] [--kills 20]` prints counts
and ends with 1 when a promise is broken. A request counts as accepted when its connection stood.
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
BACK_WITHIN = 2.0


class Seen:
    """What clients saw during one round."""

    def __init__(self) -> None:
        self.answers: Counter[int] = Counter()
        self.lost: list[str] = []
        self.not_ready_at = 0.0
        self.refused_at = 0.0

    @property
    def over(self) -> bool:
        """Whether a balancer would send nothing more."""
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


def kill_once(service: Served) -> float:
    """Seconds until as many workers answer as before one was killed."""
    before = service.workers()
    began = time.monotonic()
    os.kill(before[0], signal.SIGKILL)
    while time.monotonic() - began < 60:
        now = service.workers()
        if len(now) == len(before) and before[0] not in now and service.ready() == 200:
            break
        time.sleep(0.01)
    return time.monotonic() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--workspace", type=Path, default=Path("workspace"))
    parser.add_argument("--stops", type=int, default=50)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--workers", default="2")
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
    back = []
    if chosen.kills:
        with served(*place, **quiet) as service:
            back = [kill_once(service) for _ in range(chosen.kills)]
        print(f"{chosen.kills} kill -9: back in {sorted(back)[len(back) // 2]:.2f} s median, "
              f"{max(back):.2f} s at most")  # fmt: skip
    kept = not lost and first == chosen.stops and all(b <= BACK_WITHIN for b in back)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
