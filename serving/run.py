"""`python -m serving run CONFIG …`: start the service and stop it gracefully.

Takes settings; listens before it loads, so that a taken port is told at once.
"""

import argparse
import os
import socket
import sys

import uvicorn

from features.config import read_config
from features.errors import MilepostError
from serving.app import create_app
from serving.settings import declare_place, read_settings
from serving.state import load_state

LAST_SECONDS = 10
"""How long a stop waits for requests under way; a client that never finishes can't hold it up."""


class ListenError(MilepostError):
    """The address can't be had."""

    code = "address_unavailable"


def declare(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    declare_place(parser)
    parser.add_argument("--host", help="address to listen on (default: loopback)")
    parser.add_argument("--port", help="port to listen on (default: 8000)")
    parser.add_argument("--workers", help="processes that answer (default: 1)")


def run(chosen: argparse.Namespace) -> int:
    """Serve until stopped."""
    settings = read_settings(
        os.environ,
        workspace=chosen.workspace, database=chosen.database,
        host=chosen.host, port=chosen.port, workers=chosen.workers,
    )  # fmt: skip
    businesses = [read_config(path) for path in chosen.config]
    try:
        with socket.create_server((settings.host, settings.port)):
            pass  # better to hear now than after loading that the address can't be had
    except OSError as error:
        place = f"{settings.host}:{settings.port}"
        raise ListenError(f"{place} can't be listened on: {error.strerror or error}.") from error
    app = create_app(load_state(businesses, settings))
    names = ", ".join(business.name for business in businesses)
    say(f"serving {names} on http://{settings.host}:{settings.port}; Ctrl-C stops")
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=LAST_SECONDS,
    )
    return 0


def say(line: str) -> None:
    """A line for the person who started the service."""
    print(line, file=sys.stderr, flush=True)
