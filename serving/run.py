"""`python -m serving run CONFIG …`: start the service.

Takes settings; listens before it loads, so that a taken port is told at once; imports what workers
need once, then leaves the work to them.
"""

import argparse
import os
import secrets
import shutil
import socket
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from pathlib import Path

from features.config import Business, read_config
from features.errors import MilepostError
from features.log_lines import log_in_lines
from models.registry import models_of
from serving.children import Child, say
from serving.metrics import prepare
from serving.settings import Settings, declare_place, read_settings

BAD_INPUT = 2


class ListenError(MilepostError):
    """The address can't be had."""

    code = "address_unavailable"


class WithoutPandas(MetaPathFinder):
    """Lets pandas be one that is not installed: nothing that answers reads a DataFrame.

    pyarrow imports it for the first array that it makes, if it can. That would be a third of the
    start, and 40 MB a worker.
    """

    def find_spec(self, name: str, *_: object) -> None:
        """Refuse pandas and leave all else to others."""
        if name == "pandas":
            raise ModuleNotFoundError("pandas is left out of the service", name=name)


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
    if not settings.secret:
        settings = settings.model_copy(update={"secret": secrets.token_hex(32)})
    businesses = [read_config(path) for path in chosen.config]
    log_in_lines()
    listener = listen(settings)
    models_of(businesses)  # before the watcher is asked for models that two would share
    counts = prepare()
    children = [Child(command) for command in commands(chosen.config, settings)]
    for child in children:
        child.start()
    try:
        return _serve(businesses, settings, listener)
    finally:
        for child in children:
            child.stop()
        listener.close()
        shutil.rmtree(counts, ignore_errors=True)


def listen(settings: Settings) -> socket.socket:
    """The socket that all workers share."""
    try:
        return socket.create_server((settings.host, settings.port), backlog=2048)
    except OSError as error:
        place = f"{settings.host}:{settings.port}"
        raise ListenError(f"{place} can't be listened on: {error.strerror or error}.") from error


def commands(configs: Sequence[Path], settings: Settings) -> list[list[str]]:
    """The processes beside the service: champions, the book, webhooks."""
    # By the environment: everybody on the machine can read a command, passwords included.
    os.environ["MILEPOST_WORKSPACE"] = str(settings.workspace)
    os.environ["MILEPOST_DATABASE"] = settings.database_url
    parent = ["--parent", str(os.getpid())]
    serving, named = [sys.executable, "-m", "serving"], [str(path) for path in configs]
    post = [[*serving, "digest", *named, "--serve", *parent]] if settings.digest_day else []
    return [
        watch_command(configs, settings.workspace),
        [*serving, "keep-book", *named, *parent],
        [*serving, "courier", *parent],
        *post,
    ]


def watch_command(configs: Sequence[Path], workspace: Path) -> list[str]:
    """What brings champions from the registry: a process of its own, because MLflow is heavy."""
    named = [str(path) for path in configs]
    return [
        sys.executable, "-m", "models", "watch", *named, "--workspace", str(workspace),
        "--parent", str(os.getpid()),
    ]  # fmt: skip


def _serve(businesses: Sequence[Business], settings: Settings, listener: socket.socket) -> int:
    sys.meta_path.insert(0, WithoutPandas())
    from features.engine import warm_up  # after `prepare`, and before a worker is forked
    from serving.app import create_app
    from serving.state import load_state
    from serving.tracing import begin as begin_tracing
    from serving.workers import Workers, work

    warm_up()

    def begin() -> int:
        try:
            state = load_state(businesses, settings)
            state.ends.append(begin_tracing())
            state.refresh()
            work(create_app(state), state, listener)
        except MilepostError as error:
            say(f"error: {error}")
            return BAD_INPUT
        return 0

    names = ", ".join(business.name for business in businesses)
    say(f"serving {names} on http://{settings.host}:{settings.port}; Ctrl-C stops")
    return Workers(settings.workers, begin).run()
