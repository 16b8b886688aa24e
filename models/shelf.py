"""The shelf: models as plain files in the workspace, and which of them is champion.

`WORKSPACE/shelf/NAME/VERSION-DIGEST/` holds one version's files; `champion.json` beside them
points to one. Takes checked bytes, gives checked models. Whatever moment a process is killed at,
a version is there whole or not at all, and the pointer names the old one or the new one: files
are written under another name, brought to disk and then renamed. One process writes, any number
read. Knows nothing about MLflow or HTTP.
"""

import fcntl
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from features.errors import ModelFilesError, RegistryError
from models.files import parse, read
from models.fitted import FittedModel
from models.registry import model_name
from models.sealed import read_json

FOLDER, POINTER, REPORT = "shelf", "champion.json", "watch.json"
DESCRIBED = "described.json"
"""What the registry says of the champion and the challenger."""
NEW, OLD = ".new-", ".old-"
"""Names of what is not whole yet, and of what was replaced."""
DIGEST_LETTERS = 12
KEPT = 20
"""So many versions stay, so that scores of some time ago can be replayed."""

NAME = re.compile(r"[\w-]{1,200}")
VERSION = re.compile(r"\d{1,12}")
DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Standing:
    """A version and the digest of its files."""

    version: str
    digest: str

    def __post_init__(self) -> None:
        if not VERSION.fullmatch(self.version) or not DIGEST.fullmatch(self.digest):
            raise ModelFilesError(
                f"{self.version!r:.80} with the digest {self.digest!r:.80} is no version of a "
                "model. Register the model again."
            )

    @property
    def folder(self) -> str:
        return f"{self.version}-{self.digest[:DIGEST_LETTERS]}"


@dataclass(frozen=True)
class Pointer:
    """Which version is champion, and which was before it."""

    champion: Standing
    since: int
    """When the pointer moved, microseconds UTC."""
    previous: Standing | None = None


@dataclass(frozen=True)
class Report:
    """What the watcher found when it last asked the registry."""

    at: int
    """Microseconds UTC."""
    trouble: str = ""
    """Why the registry gave no champion; empty when it did."""
    refused: str = ""
    """Which version was refused and why, while the one before it stays champion."""


class Shelf:
    """The versions of one registered model."""

    def __init__(self, workspace: Path, name: str) -> None:
        if not NAME.fullmatch(name):
            raise ModelFilesError(f"{name!r:.80} is no name of a registered model.")
        self.name = name
        self.folder = workspace / FOLDER / name

    def pointer(self) -> Pointer | None:
        """Which version is champion; None where none has been yet.

        Raises
        ------
        ModelFilesError
            When the pointer was altered.
        """
        data = _read(self.folder / POINTER)
        if data is None:
            return None
        try:
            previous = data["previous"]
            return Pointer(
                Standing(**data["champion"]),
                int(data["since"]),
                None if previous is None else Standing(**previous),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFilesError(f"{self.folder / POINTER} was altered: {error}.") from error

    def pointer_state(self) -> tuple[int, int] | None:
        """What changes when the pointer moves: a look at it costs one call to the system."""
        return _state(self.folder / POINTER)

    def load(self, standing: Standing) -> FittedModel:
        """A version's model, its files checked before they are parsed.

        Raises
        ------
        ModelFilesError
            When it is not on the shelf, or altered.
        """
        contents = self.read(standing)
        model = parse(contents, f"{self.name} version {standing.version}")
        check_name(self.name, model)
        return model

    def read(self, standing: Standing) -> dict[str, bytes]:
        """A version's files, checked; errors as `load`."""
        folder = self.folder / standing.folder
        if folder.is_symlink():
            raise ModelFilesError(f"{folder} is a link, and links are not followed.")
        return read(folder, standing.digest)

    def put(self, standing: Standing, contents: Mapping[str, bytes]) -> None:
        """Place a version's files, whose digest was checked; replaces files that were altered."""
        target = self.folder / standing.folder
        self.folder.mkdir(parents=True, exist_ok=True)
        new = self.folder / f"{NEW}{secrets.token_hex(8)}"
        new.mkdir()
        for name, content in contents.items():
            _write(new / name, content)
        _sync(new)
        if target.exists() or target.is_symlink():
            target.rename(self.folder / f"{OLD}{secrets.token_hex(8)}")
        new.rename(target)
        _sync(self.folder)

    def point(self, standing: Standing, now: int) -> None:
        """Make a version that is on the shelf the champion."""
        try:
            before = self.pointer()
        except ModelFilesError:
            before = None
        previous = None
        if before is not None:
            previous = before.previous if before.champion == standing else before.champion
        _replace(self.folder / POINTER, asdict(Pointer(standing, now, previous)))

    def report(self) -> Report | None:
        """What the watcher last found; None where it has not looked, or left something else."""
        try:
            data = _read(self.folder / REPORT)
            return None if data is None else Report(**data)
        except (ModelFilesError, TypeError):
            return None

    def tell(self, report: Report) -> None:
        """Leave what the watcher found; nothing is lost when it is."""
        self.folder.mkdir(parents=True, exist_ok=True)
        _replace(self.folder / REPORT, asdict(report), durable=False)

    def described(self) -> dict[str, Any]:
        """What the registry says of its aliases' versions; empty where nobody has asked.

        A description says what people read and nothing by which anybody is scored.
        """
        try:
            return _read(self.folder / DESCRIBED) or {}
        except ModelFilesError:
            return {}

    def described_state(self) -> tuple[int, int] | None:
        """What changes when the description does."""
        return _state(self.folder / DESCRIBED)

    def describe(self, described: Mapping[str, Any]) -> None:
        """Leave what the registry says; nothing is lost when it is."""
        self.folder.mkdir(parents=True, exist_ok=True)
        _replace(self.folder / DESCRIBED, dict(described), durable=False)

    def versions(self) -> list[str]:
        """Folders of the versions that are here, the one placed last first."""
        try:
            found = [
                e for e in os.scandir(self.folder) if e.is_dir() and not e.name.startswith(".")
            ]
        except OSError:
            return []
        return [e.name for e in sorted(found, key=lambda e: (-e.stat().st_mtime_ns, e.name))]

    def prune(self, keep: int = KEPT) -> None:
        """Remove what a killed process left, and all but the newest versions and the champions."""
        pointer = self.pointer()
        spared = {s.folder for s in (pointer.champion, pointer.previous) if s} if pointer else set()
        for name in self.versions()[keep:]:
            if name not in spared:
                shutil.rmtree(self.folder / name, ignore_errors=True)
        for path in self.folder.glob(".*"):
            if path.name.startswith((NEW, OLD)):
                shutil.rmtree(path, ignore_errors=True)


@contextmanager
def writer(workspace: Path) -> Iterator[bool]:
    """Whether this process alone may write the workspace's shelf, as long as it is within.

    The system takes the lock back when a process dies, however it dies.
    """
    folder = workspace / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise RegistryError(f"The workspace {workspace} can't be used ({error}).") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True


def check_name(name: str, model: FittedModel) -> None:
    """Raise `ModelFilesError` when a model is of another business or problem than its name says."""
    contract = model.contract
    if model_name(contract.business, contract.problem_name) != name:
        raise ModelFilesError(
            f"The files of {name} are a model of {contract.business}'s {contract.problem_name}. "
            "Register it under its own name."
        )


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return dict(read_json(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise ModelFilesError(f"{path} can't be read: {error}.") from error


def _state(path: Path) -> tuple[int, int] | None:
    try:
        at = path.stat()
    except OSError:
        return None
    return at.st_ino, at.st_mtime_ns


def _replace(path: Path, data: object, durable: bool = True) -> None:
    new = path.with_name(f"{NEW}{path.name}")
    _write(new, json.dumps(data, indent=1).encode(), durable)
    new.replace(path)
    if durable:
        _sync(path.parent)


def _write(path: Path, content: bytes, durable: bool = True) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        if durable:
            os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
