"""A model as plain files: the same bytes out and in, and nothing altered gets through."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

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


def test_a_model_answers_without_the_libraries_that_fitted_it(saved: Path) -> None:
    """Loading a model, histories as lists, margins, contributions, weeks and personas need NumPy,
    Numba and Arrow; pandas, which Arrow imports where it can, stays out."""
    code = f"""
import sys
from pathlib import Path
import numpy as np
from features.cutoffs import Moments
from features.durations import days
from features.engine import Rows, warm_up
from features.event_log import build_log
from models.files import load
warm_up()
build_log(["c", "c"], np.array([1, 2]), ["a", "b"], categories={{"of": ["x", None]}})
model = load(Path({str(saved)!r}))
now = np.array([10**15])
asked = Moments(Rows(np.zeros(1, np.int64), now, now), now, now + days(90))
vectors = np.zeros((1, len(model.contract.names)), np.float32)
found = model.explained(vectors)
assert found.margins == model.margins(vectors)
model.weekly(vectors, asked), model.bounds(vectors), model.percentiles(found.probabilities)
if model.contract.personas: model.contract.personas.assign(vectors)
print(*{{name.partition(".")[0] for name in sys.modules}})
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert 0 == done.returncode, done.stderr
    heavy = {"sklearn", "lightgbm", "mlflow", "shap", "fastapi", "pandas", "matplotlib"}
    assert set() == set(done.stdout.split()) & heavy


def test_nothing_is_pickled(shop_run: tuple[Path, object]) -> None:
    """Training leaves text, code, pages and pictures: no pickle, no joblib, no archive."""
    files = [p for p in shop_run[0].rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    # A service of another test may keep its store and its copy of the histories here.
    copies = {"book-histories", "score-histories"}
    served = {p for p in files if p.name.startswith("milepost.db") or copies & set(p.parts)}
    kinds = {path.suffix for path in set(files) - served}
    shown = {".html", ".md", ".png"}
    assert kinds <= {".json", ".lgb", ".db", ".py", ".txt", ".yaml", "", *shown}
    assert {path.name for path in shop_run[0].rglob("*") if path.suffix == ""} & {"MLmodel"}
