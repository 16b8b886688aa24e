"""The service's commands: `python -m serving COMMAND …`; `--help` lists them.

Each command is a module with `declare(parser)` and `run(chosen) -> int`; it is imported only
when it is chosen. A fault that a person can mend ends with exit code 2 and one paragraph.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # idle threads must not spin between requests

from features.compiled import tell_if_compiling
from features.errors import MilepostError

BAD_INPUT = 2

COMMANDS = {
    "run": ("serving.run", "answer over HTTP until stopped"),
    "import": ("serving.importing", "read a business's sources into the store"),
    "export": ("serving.exporting", "write the store's histories to a folder, for training"),
    "keys": ("serving.keys_command", "make, list and revoke API keys"),
    "users": ("serving.users_command", "add, list and change the people who sign in"),
    "audit": ("serving.audit_command", "show who asked what of a workspace"),
    "replay": ("serving.replay", "compute recorded scores again and compare every bit"),
    "score": ("serving.score_command", "write everybody's score to a Parquet or CSV file"),
    "keep-book": ("serving.keeper", "keep the list of everybody's score up to date"),
    "digest": ("serving.digests", "send people what is new in their book, now or every week"),
    "courier": ("serving.courier", "deliver webhooks"),
}
"""Each command: its module, and what it does."""

SCORING = ("run", "replay", "score")
"""Commands that a person waits for and that ask models, whose passes may have to be compiled."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 2 when a person has to mend something first."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(
        prog="python -m serving", description="Events in, scores out, over HTTP."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, says) in COMMANDS.items():
        command = commands.add_parser(name, help=says, description=f"{says.capitalize()}.")
        if given[:1] == [name]:
            if name in SCORING:
                tell_if_compiling()
            import_module(module).declare(command)
    chosen = parser.parse_args(given)
    try:
        return int(import_module(COMMANDS[chosen.command][0]).run(chosen))
    except MilepostError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return BAD_INPUT


if __name__ == "__main__":
    sys.exit(main())
