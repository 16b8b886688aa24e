"""`python -m models watch CONFIG …`: keep the workspace's shelf at the registry's champions."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from features.config import read_config
from features.errors import MilepostError
from models.registry import TRACKING_URI, models_of
from models.watch import say_to_stderr, watch

BAD_INPUT = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 2 when a person has to mend something first."""
    parser = argparse.ArgumentParser(prog="python -m models", description="Models on the shelf.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    says = "bring champions from the registry to the workspace's shelf until stopped"
    command = commands.add_parser("watch", help=says, description=f"{says.capitalize()}.")
    command.add_argument("config", type=Path, nargs="+", metavar="CONFIG", help="a journey.toml")
    command.add_argument(
        "--workspace",
        type=Path,
        default=Path(os.environ.get("MILEPOST_WORKSPACE", "workspace")),
        help="where training kept its models (default: ./workspace)",
    )
    command.add_argument("--tracking", help="MLflow's tracking server or database")
    command.add_argument("--once", action="store_true", help="look once and end")
    command.add_argument(
        "--parent", type=int, default=0, metavar="PID", help="end when this process has ended"
    )
    chosen = parser.parse_args(arguments)
    if chosen.tracking is not None:
        os.environ[TRACKING_URI] = chosen.tracking
    say_to_stderr()
    try:
        names = list(models_of([read_config(path) for path in chosen.config]))
        return watch(chosen.workspace, names, chosen.once, chosen.parent)
    except MilepostError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return BAD_INPUT
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
