"""Load from wrk: requests in rotation from some clients, and what they waited.

Takes requests as bytes and a port; gives requests/s and percentiles, or ends with what went
wrong: a figure with a refused request in it is none. Knows nothing about what is asked.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_name("rotate.lua")


def request(path: str, body: object, key: str = "") -> bytes:
    """A POST as bytes."""
    data = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(data)}\r\n"
    )
    head += f"Authorization: Bearer {key}\r\n" if key else ""
    return f"{head}\r\n".encode() + data


def keep(requests: Sequence[bytes], file: Path) -> Path:
    """Write requests as `rotate.lua` reads them."""
    file.write_bytes(b"".join(b"%d\n" % len(one) + one + b"\n" for one in requests))
    return file


def load(port: int, requests: Path, clients: int, seconds: float) -> dict[str, Any]:
    """What so many clients got and how long they waited; each asks again once it is answered."""
    command = [
        "wrk", "-t1", f"-c{clients}", f"-d{round(seconds)}s", "--timeout", "20s",
        "-s", str(SCRIPT), f"http://127.0.0.1:{port}/", "--", str(requests),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"wrk ended with {done.returncode}: {done.stdout} {done.stderr}")
    told: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    if told["refused"] or told["broken"] or not told["requests"]:
        sys.exit(f"not every request on port {port} was answered: {told}")
    return {**told, "per_second": told["requests"] / told["seconds"]}


def version() -> str:
    """wrk's version; ends with how to get it where it is not installed."""
    wrk = shutil.which("wrk")
    if wrk is None:
        sys.exit("wrk makes the load and is not installed: apt-get install -y wrk")
    said = subprocess.run([wrk, "-v"], capture_output=True, text=True).stdout
    return said.partition("[")[0].removeprefix("wrk").strip()
