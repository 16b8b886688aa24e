"""A real MLflow tracking server for tests, over PostgreSQL where it is installed."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from conftest import free_port

DRIVER = "postgresql+psycopg"


def postgres_programs() -> Path | None:
    """The folder of PostgreSQL's server programs; Debian keeps them off the PATH."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).parent
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return places[-1].parent if places else None


@contextmanager
def postgres() -> Iterator[str]:
    """The URI of a new, empty PostgreSQL that is stopped and removed afterwards."""
    programs = postgres_programs()
    assert programs is not None
    folder = Path(tempfile.mkdtemp(prefix="milepost-postgres-"))
    port, owner = free_port(), getpass.getuser()
    prefix: list[str] = []
    if os.getuid() == 0:  # PostgreSQL refuses to run as root
        owner, prefix = "postgres", ["runuser", "-u", "postgres", "--"]
        shutil.chown(folder, "postgres")
    data = folder / "data"
    subprocess.run(
        [*prefix, programs / "initdb", "-D", data, "-A", "trust", "-U", owner, "--no-sync"],
        check=True, stdout=subprocess.DEVNULL, cwd=folder,
    )  # fmt: skip
    server = subprocess.Popen(
        [*prefix, programs / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k",
         folder, "-F"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder, start_new_session=True,
    )  # fmt: skip
    try:
        _until_open(port, server)
        yield f"{DRIVER}://{owner}:unused@127.0.0.1:{port}/postgres"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGINT)
        server.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


class TrackingServer:
    """`mlflow server` on loopback, which can be killed and started again at its address."""

    def __init__(self, backend: str, folder: Path) -> None:
        self.backend, self.folder, self.port = backend, folder, free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW")}
        environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", self.backend,
             "--serve-artifacts", "--artifacts-destination", str(self.folder / "artefacts"),
             "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"],
            cwd=self.folder, start_new_session=True, stdout=subprocess.DEVNULL,
            stderr=(self.folder / "log").open("ab"),
            env={**environment, "MLFLOW_DISABLE_TELEMETRY": "true",
                 "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        )  # fmt: skip
        deadline = time.monotonic() + 120
        while True:
            with suppress(OSError):
                urllib.request.urlopen(f"{self.address}/health", timeout=5).close()
                return
            log = (self.folder / "log").read_text
            assert self.process.poll() is None and time.monotonic() < deadline, log()
            time.sleep(0.2)

    def kill(self) -> None:
        """End it with all its workers, without a goodbye."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(20)
            self.process = None


def _until_open(port: int, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            time.sleep(0.5)  # it takes connections a moment before it answers
            return
        time.sleep(0.1)
    raise RuntimeError("PostgreSQL did not start")
