"""A model as plain files: the same bytes out and in, and nothing altered gets through."""

import json
from pathlib import Path

import pytest

from features.errors import ModelFilesError
from models.contract import contract_from_json
from models.files import CALIBRATION, CHECKSUMS, CONTRACT, TREES, load, save


@pytest.fixture(scope="module")
def saved(shop_run: tuple[Path, object]) -> Path:
    return shop_run[0] / "shop" / "churn" / "model"


def test_a_model_survives_its_files_byte_for_byte(saved: Path, tmp_path: Path) -> None:
    """Loading and saving again gives the same four files and the same digest."""
    model = load(saved)
    digest = save(model, tmp_path)
    for name in (TREES, CONTRACT, CALIBRATION, CHECKSUMS):
        assert (saved / name).read_bytes() == (tmp_path / name).read_bytes()
    assert load(tmp_path, digest).contract == model.contract


@pytest.mark.parametrize("name", [TREES, CONTRACT, CALIBRATION, CHECKSUMS])
def test_a_flipped_bit_is_refused(name: str, saved: Path, tmp_path: Path) -> None:
    """A model of which any file was altered is not loaded."""
    digest = save(load(saved), tmp_path)
    content = bytearray((tmp_path / name).read_bytes())
    for place in range(0, len(content), max(1, len(content) // 20)):
        content[place] ^= 1
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelFilesError):
            load(tmp_path, digest)
        content[place] ^= 1


@pytest.mark.parametrize("name", [TREES, CONTRACT, CALIBRATION, CHECKSUMS])
def test_a_missing_file_is_named(name: str, saved: Path, tmp_path: Path) -> None:
    """A model that lacks a file says which."""
    save(load(saved), tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ModelFilesError, match=name):
        load(tmp_path)


def test_the_files_of_two_models_do_not_mix(saved: Path) -> None:
    """A contract whose features are in another order does not fit the trees."""
    model = load(saved)
    data = json.loads(model.contract.to_json())
    data["features"] = data["features"][::-1]
    with pytest.raises(ValueError, match="schema hash"):
        contract_from_json(json.dumps(data).encode())


def test_nothing_is_pickled(shop_run: tuple[Path, object]) -> None:
    """The workspace holds text, code, pages and pictures: no pickle, no joblib, no archive."""
    files = [p for p in shop_run[0].rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    kinds = {path.suffix for path in files}
    shown = {".html", ".md", ".png"}
    assert kinds <= {".json", ".lgb", ".db", ".py", ".txt", ".yaml", "", *shown}
    assert {path.name for path in shop_run[0].rglob("*") if path.suffix == ""} & {"MLmodel"}
