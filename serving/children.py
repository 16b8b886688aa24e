"""Processes beside the service: started with it, started again when they die, ended with it.

Takes commands; knows nothing about what they do.
"""

import argparse
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

LOG = logging.getLogger("milepost.serving")

SHORTEST, LONGEST = 0.5, 30.0
"""Seconds until a child that died is started again: at first, and at most."""
STEADY = 60.0
"""A child that ran for so many seconds is thought well again."""
PATIENCE = 5.0
"""Seconds that a child has to end before it is killed."""


def declare_parent(parser: argparse.ArgumentParser) -> None:
    """The argument of a command that ends with whoever started it."""
    parser.add_argument(
        "--parent", type=int, metavar="PID", help="end when this process is no longer the parent"
    )


def orphaned(parent: int | None) -> bool:
    """Whether the process that started this one is gone."""
    return parent is not None and os.getppid() != parent


def say(line: str) -> None:
    """A line for the person who started the service; it serves on when nobody reads."""
    with suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)


class Child:
    """One command that is kept running."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = list(command)
        self._process: subprocess.Popen[bytes] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="child", daemon=True)

    @property
    def pid(self) -> int | None:
        """The process's number while it runs."""
        process = self._process
        return None if process is None or process.poll() is not None else process.pid

    def start(self) -> None:
        """Start it, and again whenever it ends."""
        self._process = self._begin()
        self._thread.start()

    def stop(self) -> None:
        """End it for good."""
        self._stop.set()
        process = self._process
        if process is not None:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
        self._thread.join(PATIENCE)

    def _begin(self) -> "subprocess.Popen[bytes]":
        # In a session of its own: Ctrl-C is for the service, which ends its children itself.
        return subprocess.Popen(  # noqa: S603 - this project's own commands
            self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip

    def _keep(self) -> None:
        wait = SHORTEST
        while self._process is not None:
            began = time.monotonic()
            code = self._process.wait()
            if self._stop.is_set():
                return
            wait = SHORTEST if time.monotonic() - began > STEADY else min(2 * wait, LONGEST)
            LOG.error("%s ended with %s; again in %s s", self._command[2:4], code, wait)
            if self._stop.wait(wait):
                return
            self._process = self._begin()
