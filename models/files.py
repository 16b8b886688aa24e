"""A model as plain files: LightGBM's text, a contract and a calibration in JSON, checksums.

Nothing is pickled and nothing is executed. The same model gives the same bytes. Knows
nothing about where the folder lies.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from features.errors import ModelFilesError
from models.calibration import calibration_from_json
from models.contract import contract_from_json
from models.fitted import FittedModel
from models.interval import interval_from_json
from models.journey_map import from_bytes, to_bytes
from models.sealed import CHECKSUMS, check_numbers, read_json, read_sealed, seal
from models.trees import trees_from_text
from models.weekly_risk import weekly_risk_from_json

TREES, CONTRACT, CALIBRATION = "model.lgb", "contract.json", "calibration.json"
WEEKLY_RISK = "weekly_risk.json"
JOURNEY_MAP = "journey_map.json"
FILES = (TREES, CONTRACT, CALIBRATION, WEEKLY_RISK)
"""The files of a model; the checksums of all of them lie beside."""
MORE = (JOURNEY_MAP,)
"""Files that a model may lack: those that were trained before there was such a thing."""
UNREADABLE = (
    ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError,
)  # fmt: skip
"""What text raises that is no model."""
INSIDE = "data/model"
"""Where the files lie inside an MLflow model."""


def save(model: FittedModel, folder: Path) -> str:
    """Write a model's files; give the digest that stands for all of them.

    The digest is the SHA-256 of `checksums.json`, which holds that of each other file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weekly = model.weekly_risk
    contents = {
        TREES: model.trees.text.encode(),
        CONTRACT: model.contract.to_json(),
        CALIBRATION: _json(_calibration(model)),
        WEEKLY_RISK: _json(None if weekly is None else weekly.to_json()),
    }
    if model.journey_map is not None:
        contents[JOURNEY_MAP] = to_bytes(model.journey_map)
    sums, digest = seal(contents)
    for name, content in {**contents, CHECKSUMS: sums}.items():
        (folder / name).write_bytes(content)
    return digest


def load(folder: Path, digest: str | None = None) -> FittedModel:
    """Read a model's files, each checked against its checksum before it is parsed.

    Parameters
    ----------
    digest
        What `save` gave; when present, the checksums themselves are checked against it.

    Raises
    ------
    ModelFilesError
        When a file is missing, altered, or of a format that this version can't read.
    """
    return parse(read(folder, digest), str(folder))


def read(folder: Path, digest: str | None = None) -> dict[str, bytes]:
    """A model's files, alone or in an MLflow model, checked and not parsed; errors as `load`."""
    inside = folder / INSIDE
    return read_sealed(inside if inside.is_dir() else folder, FILES, digest, MORE)


def parse(contents: Mapping[str, bytes], where: str) -> FittedModel:
    """A model from files that were checked; `where` names them in an error."""
    try:
        calibration, weekly = (read_json(contents[name]) for name in (CALIBRATION, WEEKLY_RISK))
        band = calibration["interval"]
        check_numbers(contents[TREES])
        return FittedModel(
            trees_from_text(contents[TREES].decode()),
            calibration_from_json(calibration["curve"]),
            contract_from_json(contents[CONTRACT]),
            None if weekly is None else weekly_risk_from_json(weekly),
            None if band is None else interval_from_json(band),
            from_bytes(contents[JOURNEY_MAP]) if JOURNEY_MAP in contents else None,
        )
    except UNREADABLE as error:
        raise ModelFilesError(f"The model in {where} can't be read: {error}.") from error


def _calibration(model: FittedModel) -> dict[str, Any]:
    band = model.interval
    return {
        "curve": model.calibration.to_json(),
        "interval": None if band is None else band.to_json(),
    }


def _json(data: object) -> bytes:
    return json.dumps(data, indent=1, sort_keys=True).encode()
