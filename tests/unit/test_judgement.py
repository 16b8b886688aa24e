"""What a run found, from its file to the model's page: nothing altered, nothing invented."""

import hashlib
import json
from pathlib import Path

import pytest

from features.config import read_config
from features.errors import ModelFilesError
from models.files import load
from models.judgement import JUDGEMENT, judgement_from
from models.shelf import Shelf
from serving.champions import Loaded
from serving.insight_pages import model_page
from serving.model_view import model_answer, model_page_view


@pytest.fixture(scope="module")
def text(shop_run: tuple[Path, object]) -> bytes:
    return (shop_run[0] / "shop" / "churn" / JUDGEMENT).read_bytes()


def _loaded(shop_run: tuple[Path, object], version: str) -> Loaded:
    model = load(shop_run[0] / "shop" / "churn" / "model")
    return Loaded(model, "shop-churn", version, "churn", "d" * 64, 1_700_000_000_000_000)


def _told(version: str, text: bytes, **more: str) -> dict[str, object]:
    said = {"version": version, "gate": "passed", "reasons": "", "forced": "", **more}
    return {**said, "judgement": json.loads(text)}


def test_an_altered_file_is_refused(text: bytes) -> None:
    """Only the bytes that the version is tagged with are read, and only of a known format."""
    digest = hashlib.sha256(text).hexdigest()
    assert json.loads(text) == judgement_from(text, digest)
    with pytest.raises(ModelFilesError):
        judgement_from(text.replace(b"0", b"1", 1), digest)
    other = b'{"format": 2}'
    with pytest.raises(ModelFilesError, match="format 2"):
        judgement_from(other, hashlib.sha256(other).hexdigest())


def test_it_holds_what_the_run_found(text: bytes) -> None:
    """Tenths cover all untouched rows, gain runs from nothing to all, every value lies within its
    interval."""
    found = json.loads(text)
    test = next(part for part in found["counts"] if part["part"] == "Test")
    assert test["n"] == sum(tenth["rows"] for tenth in found["reliability"])
    hits = sum(tenth["rate"] * tenth["rows"] for tenth in found["reliability"])
    assert hits == pytest.approx(test["positives"], abs=0.01)
    assert (0.0, 1.0) == (found["gain"]["model"][0], found["gain"]["model"][-1])
    assert found["gain"]["model"] == sorted(found["gain"]["model"])
    precision = next(m for m in found["metrics"] if m["name"] == "average_precision")
    value, low, high = precision["values"]["model"]
    assert low <= value <= high


def test_the_page_shows_champion_and_challenger(
    text: bytes, shop: Path, shop_run: tuple[Path, object], tmp_path: Path
) -> None:
    """Both versions' figures, what the gate said, and only what differs."""
    loaded, shelf = _loaded(shop_run, "1"), Shelf(tmp_path, "shop-churn")
    newer = json.loads(text)
    newer["trees"] += 1
    newer["gate"] = {"passed": False, "met": [], "reasons": [
        {"code": "G04", "title": "not calibrated", "says": "<b>off</b>"}]}  # fmt: skip
    shelf.describe({
        "champion": _told("1", text, forced="<script>x</script>"),
        "challenger": _told("2", json.dumps(newer).encode(), gate="refused"),
    })  # fmt: skip
    told = model_answer(loaded, shelf, "https://mlflow.example/")
    assert "https://mlflow.example/#/models/shop-churn/versions/1" == told.link
    view = model_page_view(told, loaded.model.contract)
    assert ["Trees"] == [says for says, _, _ in view["beside"]["differs"]]
    page = model_page(None, read_config(shop), told, view).body.decode()
    assert "&lt;b&gt;off&lt;/b&gt;" in page
    assert "<script" not in page
    assert "Challenger: version 2" in page


def test_a_version_that_tells_nothing_has_a_page_all_the_same(
    shop: Path, shop_run: tuple[Path, object], tmp_path: Path
) -> None:
    """An older version, or a registry that nobody has asked, leaves the contract to show."""
    loaded, shelf = _loaded(shop_run, "3"), Shelf(tmp_path, "shop-churn")
    for told_of in ({}, {"champion": {**_told("3", b"{}"), "judgement": None}}):
        shelf.describe(told_of)
        told = model_answer(loaded, shelf, "")
        assert told.link is None
        view = model_page_view(told, loaded.model.contract)
        page = model_page(None, read_config(shop), told, view).body.decode()
        assert "not told by this version" in page


def test_a_description_of_another_version_is_not_shown(
    text: bytes, shop_run: tuple[Path, object], tmp_path: Path
) -> None:
    """Between a promotion and the next question to the registry nothing of the old one is told."""
    shelf = Shelf(tmp_path, "shop-churn")
    shelf.describe({"champion": _told("1", text)})
    assert model_answer(_loaded(shop_run, "2"), shelf, "").champion is None
    assert {} == Shelf(tmp_path, "shop-renewal").described()
