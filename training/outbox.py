"""Finished models that the tracker has not taken yet, each in a folder of the workspace.

Takes a record and the files of a run; keeps all that logging needs, the code that loads the
model among it, so that it can be logged later and byte for byte as it would have been.
Knows nothing about MLflow.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from features.config import slug
from features.errors import RegistryError
from models.judgement import JUDGEMENT
from training.logged_model import ARTEFACTS, CARD, MODEL, copy_code
from training.record import Record, record_from_json

OUTBOX, RECORD = "outbox", "record.json"
UNFINISHED = ".part"
"""How a folder ends that was not written to its end; nobody reads such a folder."""

REPORT = "report.html"
SHOWN = ("plots", "judged", "gate.json", REPORT, CARD, JUDGEMENT)
"""What of a run's folder is shown beside it in MLflow, where it exists."""


@dataclass(frozen=True)
class Entry:
    """A finished model and everything that logging needs."""

    folder: Path
    record: Record

    @property
    def model(self) -> Path:
        return self.folder / MODEL


def keep(folder: Path, record: Record) -> Entry:
    """Keep a finished run of which `folder` holds `model/` and what is shown.

    The folder of the entry gets its name when all is in it: after a crash there is a whole
    entry or none.
    """
    place = folder / OUTBOX / f"{record.finished:013d}-{record.id[:8]}"
    part = place.with_suffix(UNFINISHED)
    (part / ARTEFACTS).mkdir(parents=True)
    shutil.copytree(folder / MODEL, part / MODEL)
    for name in SHOWN:
        if (folder / name).is_dir():
            shutil.copytree(folder / name, part / ARTEFACTS / name)
        elif (folder / name).is_file():
            shutil.copyfile(folder / name, part / ARTEFACTS / name)
    manifest = json.dumps(record.manifest, indent=1, sort_keys=True)
    (part / ARTEFACTS / "data.json").write_text(manifest)
    copy_code(part)
    (part / RECORD).write_bytes(record.to_json())
    part.rename(place)
    return Entry(place, record)


def waiting(workspace: Path, business: str, problem: str) -> list[Entry]:
    """The finished models of a problem that still have to be logged, oldest first.

    Raises
    ------
    RegistryError
        When what was kept can't be read.
    """
    folder = (workspace / slug(business) / slug(problem) / OUTBOX).resolve()
    entries = []
    for place in sorted(folder.glob("*")):
        if place.suffix == UNFINISHED:
            continue
        try:
            entries.append(Entry(place, record_from_json((place / RECORD).read_bytes())))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RegistryError(
                f"The finished model in {place} can't be read ({error}). It was kept by another "
                "version of Milepost or altered since; move the folder away and train again."
            ) from error
    return entries


def discard(entry: Entry) -> None:
    """Forget an entry that was logged, and what crashes left beside it."""
    gone = entry.folder.with_suffix(UNFINISHED)
    entry.folder.rename(gone)
    shutil.rmtree(gone)
