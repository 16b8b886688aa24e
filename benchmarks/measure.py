"""One engine, timed in a process of its own.

    python benchmarks/measure.py MODULE FORMULATION FILE [--repeat N] [--result FILE] [--one]

loads the columns, runs a formulation several times, writes its matrix when asked and prints one
JSON object. Knows nothing about the engines: a peer is a module with `PACKAGES`, `load(table)`,
`FORMULATIONS` (name → function of what `load` gave), and perhaps
`fetch`, `close` and `ONE` (name → function of the table of one customer that gives a call).
"""

import argparse
import importlib
import json
import time
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from workload import mapped

LEAST_SECONDS = 3.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("module")
    parser.add_argument("formulation")
    parser.add_argument("file", type=Path)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--result", type=Path)
    parser.add_argument("--one", action="store_true", help="time one customer's vector")
    chosen = parser.parse_args()
    peer = importlib.import_module(chosen.module)
    try:
        found = one(peer, chosen) if chosen.one else many(peer, chosen)
    finally:
        if hasattr(peer, "close"):
            peer.close()
    found["versions"] = {name: version(name) for name in peer.PACKAGES}
    print(json.dumps(found), flush=True)


def many(peer: ModuleType, chosen: argparse.Namespace) -> dict[str, Any]:
    """Seconds of each run; the last one's matrix is the one that is checked, and written when
    nothing is timed any more: a disk that is busy with it would slow the next run.

    What may run more than once runs for `LEAST_SECONDS`, so that a pause of the machine does not
    decide between engines that take a tenth of a second.
    """
    data = peer.load(mapped(chosen.file))
    seconds, matrix = [], None
    least = LEAST_SECONDS if chosen.repeat > 1 else 0.0
    n_bytes = 2 * chosen.file.stat().st_size
    while len(seconds) < chosen.repeat or sum(seconds) < least:
        matrix = None  # or the next run's peak would hold two
        back(n_bytes)
        start = time.perf_counter()
        matrix = peer.FORMULATIONS[chosen.formulation](data)
        seconds.append(time.perf_counter() - start)
    if chosen.result is not None:
        kept(peer, matrix, chosen.result)
    return {"seconds": seconds, "n_rows": len(matrix) if isinstance(matrix, np.ndarray) else None}


def back(n_bytes: int) -> None:
    """Touch as much memory as a matrix takes, about, and give it back.

    A virtual machine's host takes back what lies idle; the first touch of 3.6 GB took 13 s on one
    that the second one took 0.4 s on. That is no engine's doing.
    """
    np.empty(n_bytes, np.uint8).fill(0)


def one(peer: ModuleType, chosen: argparse.Namespace) -> dict[str, Any]:
    """Median and 99th percentile of the time for one customer's vector."""
    call = peer.ONE[chosen.formulation](mapped(chosen.file))
    kept(peer, call(), chosen.result)
    seconds, until = [], time.perf_counter() + 10
    while len(seconds) < 100 or (len(seconds) < 5_000 and time.perf_counter() < until):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    half, late = np.quantile(seconds, [0.5, 0.99])
    return {"median": float(half), "p99": float(late), "runs": len(seconds)}


def kept(peer: ModuleType, matrix: Any, path: Path) -> None:
    """Write a matrix for the comparison."""
    np.save(path, matrix if isinstance(matrix, np.ndarray) else peer.fetch(matrix))


if __name__ == "__main__":
    main()
