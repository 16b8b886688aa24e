"""Versions of a model that must be refused: each kind is one way a version can be broken.

Takes the files of a sound model; leaves an MLflow-like folder and gives the digest that the
registry is told. Half of the kinds are altered after they were registered; the other half carry
checksums and a digest that fit, as a faulty trainer or a forger would leave them.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from models.files import CALIBRATION, CONTRACT, FILES, INSIDE, TREES, WEEKLY_RISK
from models.sealed import CHECKSUMS, seal

Contents = dict[str, bytes]
Alter = Callable[[Contents], Contents]
Spoil = Callable[[Path], None]


def lay(folder: Path, contents: Contents, spoil: Spoil | None = None) -> str:
    """Write sealed files as they lie inside an MLflow model, then spoil them; give the digest."""
    place = folder / INSIDE
    place.mkdir(parents=True)
    sums, digest = seal({k: v for k, v in contents.items() if k != CHECKSUMS})
    for name, content in {**contents, CHECKSUMS: contents.get(CHECKSUMS, sums)}.items():
        (place / name).write_bytes(content)
    if spoil is not None:
        spoil(place)
    return digest


def plain(contents: Contents) -> Contents:
    """The files without their checksums, which are made anew."""
    return {name: contents[name] for name in FILES}


def flipped(name: str) -> Spoil:
    def spoil(place: Path) -> None:
        content = bytearray((place / name).read_bytes())
        content[len(content) // 2] ^= 4
        (place / name).write_bytes(content)

    return spoil


def without(name: str) -> Spoil:
    return lambda place: (place / name).unlink()


def beside(name: str, content: bytes) -> Spoil:
    return lambda place: (place / name).write_bytes(content) and None


def cut(place: Path) -> None:
    content = (place / TREES).read_bytes()
    (place / TREES).write_bytes(content[: len(content) // 2])


def link(place: Path) -> None:
    target = place.parent.parent / "outside"
    (place / TREES).rename(target)
    (place / TREES).symlink_to(target)


def oversized(place: Path) -> None:
    os.truncate(place / TREES, 2**40)  # a sparse file: nothing is written


def swapped(place: Path) -> None:
    one, two = (place / CONTRACT).read_bytes(), (place / CALIBRATION).read_bytes()
    (place / CONTRACT).write_bytes(two)
    (place / CALIBRATION).write_bytes(one)


def pipe(place: Path) -> None:
    (place / WEEKLY_RISK).unlink()
    os.mkfifo(place / WEEKLY_RISK)


def nothing(place: Path) -> None:
    shutil.rmtree(place)


def edited(name: str, change: Callable[[dict], None]) -> Alter:
    def alter(contents: Contents) -> Contents:
        data = json.loads(contents[name])
        change(data)
        return {**plain(contents), name: json.dumps(data).encode()}

    return alter


def replaced(name: str, old: bytes, new: bytes) -> Alter:
    return lambda contents: {**plain(contents), name: contents[name].replace(old, new)}


def set_key(key: str, value: object) -> Callable[[dict], None]:
    return lambda data: data.update({key: value})


def nan_leaves(contents: Contents) -> Contents:
    lines = contents[TREES].split(b"\n")
    lines = [
        b"leaf_value=" + b" ".join([b"nan"] * len(line.split())) if line.startswith(b"leaf_value=")
        else line
        for line in lines
    ]  # fmt: skip
    return {**plain(contents), TREES: b"\n".join(lines)}


def nan_thresholds(contents: Contents) -> Contents:
    lines = contents[TREES].split(b"\n")
    lines = [
        b"threshold=" + b" ".join([b"nan"] * len(line.split())) if line.startswith(b"threshold=")
        else line
        for line in lines
    ]  # fmt: skip
    return {**plain(contents), TREES: b"\n".join(lines)}


def named_outside(contents: Contents) -> Contents:
    sums = json.loads(seal(plain(contents))[0])
    sums["../../../../etc/passwd"] = "0" * 64
    return {**plain(contents), CHECKSUMS: json.dumps(sums).encode()}


ALTERED: dict[str, Spoil] = {
    **{f"a bit of {name} flipped": flipped(name) for name in (*FILES, CHECKSUMS)},
    **{f"no {name}": without(name) for name in (*FILES, CHECKSUMS)},
    "trees cut short": cut,
    "empty trees": lambda place: (place / TREES).write_bytes(b"") and None,
    "two files swapped": swapped,
    "a pickle beside": beside("model.pkl", b"\x80\x04N."),
    "code beside": beside("loader.py", b"raise SystemExit"),
    "trees that are a link out of the folder": link,
    "a file of a terabyte": oversized,
    "a pipe instead of a file": pipe,
    "no files at all": nothing,
}
"""What happens to files after they were registered: the digest is that of the sound ones."""

FORGED: dict[str, Alter] = {
    "leaves that are no numbers": nan_leaves,
    "thresholds that are no numbers": nan_thresholds,
    "trees that are something else": lambda c: {**plain(c), TREES: b"tree\nversion=v4\n"},
    "a contract of another format": edited(CONTRACT, set_key("format", 999)),
    "a contract of another business": edited(CONTRACT, set_key("business", "somebody else")),
    "a contract of another problem": edited(CONTRACT, set_key("problem_name", "another")),
    "a column too many": edited(CONTRACT, lambda d: d["features"].append(d["features"][0])),
    "columns in another order": edited(CONTRACT, lambda d: d["features"].reverse()),
    "a contract that is a list": lambda c: {**plain(c), CONTRACT: b"[]"},
    "a contract nested without end": lambda c: {**plain(c), CONTRACT: b"[" * 200_000},
    "NaN in the calibration": lambda c: {
        **plain(c), CALIBRATION: b'{"curve": {"kind": "sigmoid", "slope": NaN, "intercept": 0},'
        b' "interval": null}'},
    "a falling calibration": lambda c: {
        **plain(c), CALIBRATION: b'{"curve": {"kind": "sigmoid", "slope": -1.0, "intercept": 0.0},'
        b' "interval": null}'},
    "percentiles beyond all numbers": edited(
        CONTRACT, lambda d: d.update(score_quantiles=[*d["score_quantiles"][:-1], 1e300])),
    "checksums that name a file elsewhere": named_outside,
}  # fmt: skip
"""Files that fit their checksums: the digest is that of these very files."""


def lay_broken(folder: Path, kind: str, contents: Contents) -> str:
    """Leave a broken version of one kind; give the digest that the registry is told."""
    if kind in ALTERED:
        return lay(folder, plain(contents), ALTERED[kind])
    if kind == WRONG_DIGEST:
        lay(folder, plain(contents))
        return "0" * 64
    altered = FORGED[kind](contents)
    digest = lay(folder, altered)
    if CHECKSUMS in altered:
        return hashlib.sha256(altered[CHECKSUMS]).hexdigest()
    return digest


WRONG_DIGEST = "another model's digest"
KINDS = (*ALTERED, *FORGED, WRONG_DIGEST)
