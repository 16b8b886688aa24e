"""What fault benches share: the real service on a free port, a key, and a lean client."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


class Served:
    """A running service; `log` is its standard error."""

    def __init__(self, config: Path, workspace: Path, *flags: str, **settings: str) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MILEPOST")}
        self.environment = environment | settings | {"PYTHONPATH": str(ROOT)}
        place = [str(config), "--workspace", str(workspace)]
        if "--database" in flags:
            place += ["--database", flags[flags.index("--database") + 1]]
        brought = [sys.executable, "-m", "serving", "import", *place]
        subprocess.run(brought, env=self.environment, check=True, capture_output=True)
        make = [sys.executable, "-m", "serving", "keys", "create", *place]
        self.key = subprocess.check_output(make, env=self.environment, text=True).strip()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.command = [
            sys.executable, "-m", "serving", "run", str(config), "--workspace", str(workspace),
            "--port", str(self.port), *flags,
        ]  # fmt: skip
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the service
        self.start()

    def start(self) -> None:
        """Start it, or start it again."""
        self.process = subprocess.Popen(self.command, env=self.environment, stderr=self.log)
        deadline = time.monotonic() + 120
        while (status := self.ready()) != 200:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                said = os.pread(self.log.fileno(), 2000, 0).decode()
                sys.exit(f"the service did not become ready ({status}): {said}")
            time.sleep(0.05)

    def ready(self) -> int:
        """The status of /readyz; 0 when nobody answers."""
        try:
            address = f"http://127.0.0.1:{self.port}/readyz"
            with urllib.request.urlopen(address, timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def workers(self) -> list[int]:
        """The processes that answer."""
        number = self.process.pid
        try:
            pids = Path(f"/proc/{number}/task/{number}/children").read_text().split()
            lines = [(int(pid), Path(f"/proc/{pid}/cmdline").read_text()) for pid in pids]
        except OSError:
            return []
        return [pid for pid, line in lines if "serving\0run" in line]

    def request(self, method: str, path: str, body: object = None) -> bytes:
        """A request as bytes."""
        data = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self.key}\r\n"
        )
        if body is not None:
            head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n"
        return f"{head}\r\n".encode() + data

    def stop(self) -> None:
        """End it, whatever state it is in."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                self.process.kill()


@contextmanager
def served(config: Path, workspace: Path, *flags: str, **settings: str) -> Iterator[Served]:
    """A service that is stopped whatever happens."""
    service = Served(config, workspace, *flags, **settings)
    try:
        yield service
    finally:
        service.stop()


class Connection:
    """One kept connection; `ask` opens it anew when the service has closed it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def ask(self, request: bytes) -> tuple[int, bytes, bytes]:
        """Status, head and body of the answer.

        Raises
        ------
        ConnectionRefusedError
            When nobody listens: the request was never accepted.
        OSError, asyncio.IncompleteReadError
            When a request that was sent got no whole answer.
        """
        if self.writer is None or self.reader is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            self.writer.write(request)
            head = await self.reader.readuntil(b"\r\n\r\n")
            low = head.lower()
            if b"transfer-encoding: chunked" in low:
                body = await _chunks(self.reader)
            else:
                length = int(low.partition(b"content-length: ")[2].partition(b"\r")[0] or 0)
                body = await self.reader.readexactly(length)
        except BaseException:
            self.close()
            raise
        if b"connection: close" in low:
            self.close()
        return int(head[9:12]), low, body

    def close(self) -> None:
        """Forget the connection."""
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    """The body of an answer that is sent as it is made."""
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return body
