"""Servers of the benchmark: started on a free port, waited for, left alone until quiet, stopped."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 180.0
"""Seconds until a server must have answered."""
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("MILEPOST_")} | {
    "PYTHONPATH": str(ROOT),
    "OMP_NUM_THREADS": "1",  # one row gains nothing by more threads, and peers lose by them
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "BENTOML_DO_NOT_TRACK": "true",
}
PORT = "{port}"
"""Stands in a command for the port."""


class Server:
    """A process that listens on `port`; `ready` is how many seconds it took to answer."""

    def __init__(self, command: Sequence[str], path: str, **environment: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the server
        began = time.perf_counter()
        self.process = subprocess.Popen(
            [part.replace(PORT, str(self.port)) for part in command],
            env=ENVIRONMENT | environment, stdout=self.log, stderr=self.log,
            start_new_session=True,
        )  # fmt: skip
        try:
            self._wait(began + PATIENCE, path)
        except BaseException:
            self.stop()
            raise
        self.ready = time.perf_counter() - began

    def _wait(self, deadline: float, path: str) -> None:
        while not self._answers(path):
            if self.process.poll() is not None or time.perf_counter() > deadline:
                said = os.pread(self.log.fileno(), 3000, 0).decode(errors="replace")
                sys.exit(f"{self.process.args!r} does not answer: {said}")
            time.sleep(0.005)

    def _answers(self, path: str) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5):
                return True
        except OSError:
            return False

    def processes(self) -> list[int]:
        """The process and all below it."""
        parents: dict[int, list[int]] = {}
        for one in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = one.read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has ended
            parents.setdefault(int(fields[1]), []).append(int(one.parent.name))
        found = [self.process.pid]
        for number in found:
            found += parents.get(number, [])
        return found

    def cpu(self) -> float:
        """CPU seconds of all its processes so far."""
        ticks = 0
        for number in self.processes():
            try:
                fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def settle(self) -> None:
        """Wait until what it does at its start is done."""
        deadline, before = time.monotonic() + 60, self.cpu()
        while time.monotonic() < deadline:
            time.sleep(1)
            now = self.cpu()
            if now - before < 0.05:
                return
            before = now

    def stop(self) -> None:
        """End it and what it has started, whatever state it is in."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()


@contextmanager
def running(command: Sequence[str], path: str, **environment: str) -> Iterator[Server]:
    """A server that is stopped whatever happens."""
    server = Server(command, path, **environment)
    try:
        server.settle()
        yield server
    finally:
        server.stop()
