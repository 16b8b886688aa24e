"""Soak: many requests, and whether memory and file handles stay.

`python benchmarks/faults/soak.py CONFIG --workspace DIR [--requests 1000000]` prints the slope of a
worker's memory over the second half, and its file handles before and after.
"""

import argparse
import asyncio
import itertools
import os
import sys
import time
from pathlib import Path

import numpy as np
from served import Connection, served

CLIENTS = 8
SLOPE = 1.0
"""MB in ten minutes that memory may grow by."""


def resident(pid: int) -> float:
    """Memory of a process, MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def handles(pid: int) -> int:
    """Open files of a process."""
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - one list, no objects


async def soak(port: int, pid: int, request: bytes, count: int) -> list[tuple[float, float]]:
    """Ask so often; gives (seconds, MB) a thousand requests."""
    began, found, numbers = time.monotonic(), [], itertools.count()

    async def one() -> None:
        connection = Connection(port)
        while (number := next(numbers)) < count:
            await connection.ask(request)
            if number % 1000 == 0:
                found.append((time.monotonic() - began, resident(pid)))
        connection.close()

    await asyncio.gather(*(one() for _ in range(CLIENTS)))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--workspace", type=Path, default=Path("workspace"))
    parser.add_argument("--requests", type=int, default=1_000_000)
    chosen = parser.parse_args()
    with served(chosen.config, chosen.workspace, MILEPOST_LOG_REQUESTS="0") as service:
        pid = service.workers()[0]
        asyncio.run(soak(service.port, pid, service.request("GET", "/v1/at-risk?limit=1"), 1000))
        before = handles(pid)
        request = service.request("GET", "/v1/at-risk?limit=1")
        found = np.array(asyncio.run(soak(service.port, pid, request, chosen.requests)))
        time.sleep(1)
        after = handles(pid)
    half = found[len(found) // 2 :]
    slope = 600 * np.polyfit(half[:, 0], half[:, 1], 1)[0] if len(half) > 2 else 0.0
    print(f"{chosen.requests:,} requests in {found[-1, 0]:.0f} s: memory {found[0, 1]:.0f} to "
          f"{found[-1, 1]:.0f} MB, {slope:+.2f} MB in ten minutes over the second half; "
          f"file handles {before} and {after}")  # fmt: skip
    return 0 if slope < SLOPE and after <= before + 2 else 1


if __name__ == "__main__":
    sys.exit(main())
