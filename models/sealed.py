"""Plain files that are checked before anyone parses them: names, sizes, checksums, digest.

Takes a folder, the names that its files must have and the digest that was registered; gives
bytes. Knows nothing about what the bytes mean.
"""

import hashlib
import json
import os
import re
import stat
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from features.errors import ModelFilesError

CHECKSUMS = "checksums.json"
"""Names every other file with its SHA-256; the SHA-256 of this one is the digest of them all."""

NO_NUMBER = re.compile(
    rb"^(?:(threshold)=[^\n]*?nan|(leaf_value|internal_value|shrinkage)=[^\n]*?(?:nan|inf))",
    re.I | re.M,
)
"""A line of LightGBM's text that holds something else than finite numbers. A threshold may be
infinite: it splits what is missing from all that is known."""

MOST_BYTES = 512 * 2**20
"""A file of a model is smaller; a larger one is not read."""


def seal(contents: Mapping[str, bytes]) -> tuple[bytes, str]:
    """The checksums of files and the digest that stands for all of them."""
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    text = json.dumps(sums, indent=1, sort_keys=True).encode()
    return text, hashlib.sha256(text).hexdigest()


def read_sealed(
    folder: Path, names: Collection[str], digest: str | None = None, more: Collection[str] = ()
) -> dict[str, bytes]:
    """The named files of a folder that holds these and nothing else, `CHECKSUMS` among them.

    Parameters
    ----------
    more
        Files that it may hold beside them.
    digest
        What `seal` gave; when present, the checksums themselves are checked against it.

    Raises
    ------
    ModelFilesError
        When a file is missing, too many, too large, no plain file, or altered.
    """
    wanted = [*names, CHECKSUMS]
    there = check_names(folder, wanted, more)
    contents = {name: _read(folder, name) for name in (*wanted, *there)}
    check_sealed(folder, contents, digest)
    return contents


def check_names(
    folder: Path, wanted: Collection[str], more: Collection[str] = ()
) -> tuple[str, ...]:
    """Raise `ModelFilesError` unless a folder holds these files and nothing else.

    Gives those of `more` that it holds too.
    """
    try:
        found = {entry.name for entry in os.scandir(folder)}
    except OSError as error:
        raise ModelFilesError(f"The model in {folder} can't be read: {error.strerror}.") from error
    for name in wanted:
        if name not in found:
            raise ModelFilesError(
                f"The model in {folder} has no {name}. It is incomplete, or another version "
                "trained it: train it again."
            )
    if strange := sorted(found - set(wanted) - set(more)):
        raise ModelFilesError(
            f"The model in {folder} holds {strange[0]!r}, which no model has. Nothing of it was "
            "read; register the model again."
        )
    return tuple(name for name in more if name in found)


def check_sealed(folder: Path, contents: Mapping[str, bytes], digest: str | None) -> None:
    """Raise `ModelFilesError` unless files are those that the checksums and the digest name."""
    sums = contents[CHECKSUMS]
    if digest is not None and hashlib.sha256(sums).hexdigest() != digest:
        raise ModelFilesError(
            f"{CHECKSUMS} in {folder} is not the one that was registered. Register the model again."
        )
    expected = _sums(folder, sums)
    if set(expected) != set(contents) - {CHECKSUMS}:
        raise ModelFilesError(
            f"{CHECKSUMS} in {folder} names {', '.join(sorted(expected)) or 'no file'}; a model "
            f"has {', '.join(sorted(set(contents) - {CHECKSUMS}))}. Train it again."
        )
    for name, found in expected.items():
        if hashlib.sha256(contents[name]).hexdigest() != found:
            raise ModelFilesError(
                f"{name} in {folder} was altered after the model was saved. Register it again."
            )


def read_json(text: bytes) -> Any:
    """JSON without NaN and infinity, which no number of a model may be; `ValueError` else."""
    return json.loads(text, parse_constant=_refuse)


def check_numbers(trees: bytes) -> None:
    """Raise `ValueError` when a number of LightGBM's text is none; it would be taken for zero."""
    found = NO_NUMBER.search(trees)
    if found is not None:
        name = (found[1] or found[2]).decode()
        raise ValueError(f"a {name} of the trees is no finite number")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number that a model may hold")


def _sums(folder: Path, text: bytes) -> dict[str, Any]:
    try:
        return dict(read_json(text))
    except (ValueError, TypeError, RecursionError) as error:
        raise ModelFilesError(
            f"{CHECKSUMS} in {folder} can't be read: {error}. Register the model again."
        ) from error


def _read(folder: Path, name: str) -> bytes:
    """A plain file's bytes; a link, a pipe or a device is not followed."""
    path = folder / name
    try:
        at = path.lstat()
        if not stat.S_ISREG(at.st_mode):
            raise ModelFilesError(f"{name} in {folder} is no plain file. Register the model again.")
        if at.st_size > MOST_BYTES:
            raise ModelFilesError(
                f"{name} in {folder} has {at.st_size:,} bytes, at most {MOST_BYTES:,} are read."
            )
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ModelFilesError(f"{name} in {folder} can't be read: {error.strerror}.") from error
