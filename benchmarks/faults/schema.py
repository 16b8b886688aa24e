"""Requests made from the service's own description: all checks of schemathesis, stateful too.

`python benchmarks/faults/schema.py CONFIG --workspace DIR [--examples 100] [--database URL]`
starts the service and runs schemathesis' command against it; give a PostgreSQL for the other store.
Its cache goes to a folder that is removed afterwards.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from served import served


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--workspace", type=Path, default=Path("workspace"))
    parser.add_argument("--database", help="URL of the store (default: SQLite in the workspace)")
    parser.add_argument("--examples", type=int, default=100, help="for each operation and phase")
    chosen = parser.parse_args()
    flags = ("--database", chosen.database) if chosen.database else ()
    with (
        served(chosen.config.resolve(), chosen.workspace.resolve(), *flags) as service,
        tempfile.TemporaryDirectory() as folder,
    ):
        command = [
            str(Path(sys.executable).with_name("schemathesis")), "run",
            f"http://127.0.0.1:{service.port}/openapi.json",
            "--header", f"Authorization: Bearer {service.key}", "--checks", "all",
            "--max-examples", str(chosen.examples), "--seed", "5", "--no-color",
        ]  # fmt: skip
        return subprocess.run(command, cwd=folder, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
