"""Random bit flips in a model's files: each must be refused before anything is parsed.

    python benchmarks/faults/flips.py FOLDER --flips 1000

FOLDER holds a model's files, such as WORKSPACE/shop/churn/model. Prints counts; exit code 1 when
a flip was not refused, a file was parsed first, or a pickling library was imported.
"""

import argparse
import hashlib
import random
import sys
import tempfile
from pathlib import Path

import models.files
from features.errors import ModelFilesError
from models.files import FILES, load, read
from models.sealed import CHECKSUMS

PICKLING = {"cloudpickle", "joblib", "dill", "skops"}


def count(folder: Path, flips: int, seed: int) -> tuple[int, int]:
    """How many flips were refused, and how many of them before parsing."""
    contents = read(folder)
    digest = hashlib.sha256(contents[CHECKSUMS]).hexdigest()
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    parsed: list[str] = []
    parse = models.files.parse
    models.files.parse = lambda found, where: parsed.append(where) or parse(found, where)
    refused = 0
    with tempfile.TemporaryDirectory() as place:
        for name, content in contents.items():
            Path(place, name).write_bytes(content)
        for _ in range(flips):
            name = chance.choice((*FILES, CHECKSUMS))
            altered = bytearray(contents[name])
            altered[chance.randrange(len(altered))] ^= 1 << chance.randrange(8)
            Path(place, name).write_bytes(altered)
            try:
                load(Path(place), digest)
            except ModelFilesError:
                refused += 1
            Path(place, name).write_bytes(contents[name])
    models.files.parse = parse
    return refused, refused - len(parsed)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--flips", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    before = set(sys.modules)
    refused, early = count(chosen.folder, chosen.flips, chosen.seed)
    pickling = sorted((set(sys.modules) - before) & PICKLING)
    print(
        f"{chosen.flips:,} bits flipped: {refused:,} refused, {early:,} of them before parsing; "
        f"pickling libraries imported by it: {', '.join(pickling) or 'none'}"
    )
    return int(not refused == early == chosen.flips or bool(pickling))


if __name__ == "__main__":
    sys.exit(main())
