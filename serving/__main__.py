"""Start the service: `python -m serving CONFIG --host --port`."""

import argparse
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # idle threads must not spin between requests

import uvicorn

from features.config import read_config
from features.errors import MilepostError
from serving.app import create_app, load_state

BAD_INPUT = 2
LAST_SECONDS = 10
"""How long a stop waits for requests under way; a client that never finishes can't hold it up."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until stopped; 2 when a person has to mend something first."""
    parser = argparse.ArgumentParser(
        prog="python -m serving", description="Serve scores over HTTP."
    )
    parser.add_argument("config", type=Path, metavar="CONFIG", help="a journey.toml")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: loopback)"
    )
    parser.add_argument(
        "--port", type=_port, default=8000, help="port to listen on (default: 8000)"
    )
    parser.add_argument(
        "--workspace",
        type=Path,
        default=Path(os.environ.get("MILEPOST_WORKSPACE", "workspace")),
        help="where training kept its models (default: ./workspace)",
    )
    chosen = parser.parse_args(arguments)
    try:
        business = read_config(chosen.config)
        with socket.create_server((chosen.host, chosen.port)):
            pass  # better to hear now than after loading that the address can't be had
        app = create_app(load_state(business, chosen.workspace))
    except MilepostError as error:
        say(f"error: {error}")
        return BAD_INPUT
    except OSError as error:
        say(f"error: {chosen.host}:{chosen.port} can't be listened on: {error.strerror or error}.")
        return BAD_INPUT
    say(f"serving {business.name} on http://{chosen.host}:{chosen.port}; Ctrl-C stops")
    uvicorn.run(
        app,
        host=chosen.host,
        port=chosen.port,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=LAST_SECONDS,
    )
    return 0


def say(line: str) -> None:
    """A line for the person who started the service."""
    print(line, file=sys.stderr, flush=True)


def _port(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text} is no port; give a number from 1 to 65535")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
