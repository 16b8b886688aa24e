"""A command, its answer, and the most memory that it and its children took at once.

Takes a command that prints one JSON object; gives the object and two peaks in bytes. Reads
/proc, so it measures on Linux alone. Knows nothing about engines.
"""

import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PAUSE = 0.05
"""Seconds between two looks."""


@dataclass(frozen=True)
class Finished:
    """What a command left."""

    answer: dict[str, Any] | None
    """The JSON object on its last line, or None when it failed."""
    why: str
    """The last line of its messages, when it failed."""
    peak_rss: int
    """Bytes, mapped files included."""
    peak_anonymous: int
    """Bytes, without mapped files, whose pages the system can drop."""


def memory_of_machine() -> int:
    """Bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def watch(command: list[str], limit: float, folder: Path) -> Finished:
    """Run a command in its own group of processes, for `limit` seconds at most."""
    settings = {**os.environ, "PYTHONPATH": str(folder), "OMP_WAIT_POLICY": "passive"}
    running = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=settings,
        start_new_session=True,
    )  # fmt: skip
    rss = anonymous = 0
    until = time.monotonic() + limit
    out = err = ""
    while True:
        try:
            out, err = running.communicate(timeout=PAUSE)
            break
        except subprocess.TimeoutExpired:
            now = [_memory(process) for process in family(running.pid)]
            rss = max(rss, sum(whole for whole, _ in now))
            anonymous = max(anonymous, sum(own for _, own in now))
        if time.monotonic() > until:
            os.killpg(running.pid, signal.SIGKILL)
            running.communicate()
            return Finished(None, f"took more than {limit:,.0f} s", rss, anonymous)
    lines = [line for line in out.splitlines() if line.startswith("{")]
    if running.returncode or not lines:
        return Finished(None, (err.strip().splitlines() or ["no answer"])[-1], rss, anonymous)
    return Finished(json.loads(lines[-1]), "", rss, anonymous)


def family(process: int) -> list[int]:
    """A process and all that it started, and theirs."""
    found = [process]
    for parent in found:
        for file in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += [int(child) for child in file.read_text().split()]
            except OSError:  # it ended meanwhile
                continue
    return found


def _memory(process: int) -> tuple[int, int]:
    """Resident bytes of a process: all, and what is not a mapped file."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0, 0
    sizes = {}
    for line in status.splitlines():
        name, _, rest = line.partition(":")
        if name in ("VmRSS", "RssFile"):
            sizes[name] = int(rest.split()[0]) * 1024
    return sizes.get("VmRSS", 0), sizes.get("VmRSS", 0) - sizes.get("RssFile", 0)
