"""A model as plain files: LightGBM's text, a contract and a calibration in JSON, checksums.

Nothing is pickled and nothing is executed. The same model gives the same bytes. Knows
nothing about where the folder lies.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import lightgbm as lgb

from features.errors import ModelFilesError
from models.calibration import calibration_from_json
from models.contract import contract_from_json
from models.fitted import FittedModel
from models.interval import interval_from_json
from models.weekly_risk import weekly_risk_from_json

TREES, CONTRACT, CALIBRATION = "model.lgb", "contract.json", "calibration.json"
WEEKLY_RISK = "weekly_risk.json"
CHECKSUMS = "checksums.json"
BESIDE = (CONTRACT, CALIBRATION, WEEKLY_RISK, CHECKSUMS)
"""The files that lie beside the trees."""
FOLDERS = ("", "data/model", "extra_files")
"""Where the files lie: alone, inside an MLflow model, and inside one of the first format."""


def save(model: FittedModel, folder: Path) -> str:
    """Write a model's files; give the digest that stands for all of them.

    The digest is the SHA-256 of `checksums.json`, which holds that of each other file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weekly = model.weekly_risk
    contents = {
        TREES: model.booster.model_to_string().encode(),
        CONTRACT: model.contract.to_json(),
        CALIBRATION: _json(_calibration(model)),
        WEEKLY_RISK: _json(None if weekly is None else weekly.to_json()),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    text = _json(sums)
    (folder / CHECKSUMS).write_bytes(text)
    return hashlib.sha256(text).hexdigest()


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
    sums = _read(folder, CHECKSUMS)
    if digest is not None and hashlib.sha256(sums).hexdigest() != digest:
        raise ModelFilesError(
            f"{CHECKSUMS} in {folder} is not the one that was registered. Register the model again."
        )
    try:
        expected = dict(json.loads(sums))
        contents = {name: _read(folder, name) for name in (TREES, *BESIDE[:-1])}
        for name, content in contents.items():
            if hashlib.sha256(content).hexdigest() != expected.get(name):
                raise ModelFilesError(
                    f"{name} in {folder} was altered after the model was saved. Register it again."
                )
        calibration, weekly = (json.loads(contents[name]) for name in (CALIBRATION, WEEKLY_RISK))
        band = calibration["interval"]
        return FittedModel(
            lgb.Booster(model_str=contents[TREES].decode()),
            calibration_from_json(calibration["curve"]),
            contract_from_json(contents[CONTRACT]),
            None if weekly is None else weekly_risk_from_json(weekly),
            None if band is None else interval_from_json(band),
        )
    except (ValueError, KeyError, TypeError, lgb.basic.LightGBMError) as error:
        raise ModelFilesError(f"The model in {folder} can't be read: {error}.") from error


def _calibration(model: FittedModel) -> dict[str, Any]:
    band = model.interval
    return {
        "curve": model.calibration.to_json(),
        "interval": None if band is None else band.to_json(),
    }


def _json(data: object) -> bytes:
    return json.dumps(data, indent=1, sort_keys=True).encode()


def _read(folder: Path, name: str) -> bytes:
    for place in (folder / inner / name for inner in FOLDERS):
        if place.is_file():
            return place.read_bytes()
    raise ModelFilesError(
        f"The model in {folder} has no {name}. It is incomplete, or another version trained it: "
        "train it again."
    )
