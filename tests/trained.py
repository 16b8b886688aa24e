"""Workspaces that are trained once a test run, however many workers share it.

The first worker that asks trains; the others wait, and each gets a copy of its own: tests
serve from it and write to it. MLflow's store holds absolute paths, which the copy's name itself.
"""

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock

from features.durations import SECOND
from models.files import load, read, save
from models.shelf import Shelf, Standing

Run = tuple[Path, subprocess.CompletedProcess[str]]
WORKSPACE, TOLD = "ws", "told.json"


def shared_by_workers(base: Path) -> Path:
    """The folder that all workers of a run share, from pytest's base folder of this one."""
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@dataclass(frozen=True)
class Trained:
    """A training that was made once, and how a worker gets at it.

    Attributes
    ----------
    folder
        Where the command was started, and what it left there: nothing but its workspace. Read
        it only: what all workers share does not change any more.
    done
        The command that trained, as it ended.
    """

    folder: Path
    done: subprocess.CompletedProcess[str]

    def copied(self, workspace: Path) -> Run:
        """A workspace of one's own, and what the command would have printed there."""
        old, new = str(self.folder / WORKSPACE), str(workspace)
        shutil.copytree(old, new, symlinks=True)
        _move(workspace, old, new)
        told = self.done
        return workspace, subprocess.CompletedProcess(
            told.args, told.returncode, told.stdout.replace(old, new), told.stderr.replace(old, new)
        )


def trained_once(
    shared: Path, name: str, train: Callable[[Path], subprocess.CompletedProcess[str]]
) -> Trained:
    """What `train` makes of a new workspace in a new folder, made by the first that asks."""
    folder, told = shared / name, shared / f"{name}-{TOLD}"
    with FileLock(shared / f"{name}.lock"):
        if not told.exists():
            folder.mkdir()
            done = train(folder / WORKSPACE)
            told.write_text(json.dumps([done.args, done.returncode, done.stdout, done.stderr]))
    done = subprocess.CompletedProcess(*json.loads(told.read_text()))
    assert done.returncode == 0, done.stderr
    return Trained(folder, done)


def made_once(shared: Path, name: str, make: Callable[[Path], Path]) -> Path:
    """What `make` writes into a new folder, written by the first that asks."""
    done = shared / f"{name}.done"
    with FileLock(shared / f"{name}.lock"):
        if not done.exists():
            done.write_text(str(make(shared / name)))
    return Path(done.read_text())


def _move(workspace: Path, old: str, new: str) -> None:
    """Let the copy of a store name its own files, wherever it names a path."""
    with closing(sqlite3.connect(workspace / "mlflow.db")) as store, store:
        for (table,) in store.execute("select name from sqlite_master where type = 'table'"):
            for _, column, kind, *_ in store.execute(f"pragma table_info('{table}')").fetchall():
                if "CHAR" in kind or kind == "TEXT":
                    store.execute(
                        f'update "{table}" set "{column}" = replace("{column}", ?, ?) '
                        f'where instr("{column}", ?)',
                        (old, new, old),
                    )
    for path in workspace.glob("artifacts/**/MLmodel"):
        path.write_text(path.read_text().replace(old, new))


def put_on_shelf(model: Path, workspace: Path, name: str) -> None:
    """The shop's model as the champion of a business of that name."""
    found = load(model)
    folder = workspace / "made" / name
    digest = save(replace(found, contract=replace(found.contract, business=name)), folder)
    shelf, version = Shelf(workspace, f"{name}-churn"), Standing("1", digest)
    shelf.put(version, read(folder))
    shelf.point(version, 1_000_000 * SECOND)
