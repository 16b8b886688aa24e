"""The shelf: whole versions or none, a pointer that names one, and nothing altered gets through."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from features.errors import ModelFilesError
from models.files import CONTRACT, TREES, load, read, save
from models.sealed import CHECKSUMS, seal
from models.shelf import Pointer, Report, Shelf, Standing, writer
from models.trial import try_model

NAME = "shop-churn"


@pytest.fixture(scope="module")
def saved(shop_run: tuple[Path, object]) -> Path:
    return shop_run[0] / "shop" / "churn" / "model"


@pytest.fixture(scope="module")
def contents(saved: Path) -> dict[str, bytes]:
    return read(saved)


def standing(contents: dict[str, bytes], version: str = "1") -> Standing:
    return Standing(version, seal({k: v for k, v in contents.items() if k != CHECKSUMS})[1])


@pytest.fixture
def shelf(contents: dict[str, bytes], tmp_path: Path) -> Shelf:
    """A shelf with version 1 as champion."""
    shelf = Shelf(tmp_path, NAME)
    shelf.put(standing(contents), contents)
    shelf.point(standing(contents), 1_000_000)
    return shelf


def test_what_was_put_is_what_is_loaded(shelf: Shelf, saved: Path) -> None:
    """A version comes back as it was saved, and the pointer names it."""
    pointer = shelf.pointer()
    assert pointer is not None and "1" == pointer.champion.version
    model = shelf.load(pointer.champion)
    assert load(saved).contract == model.contract
    try_model(model)


def test_the_pointer_remembers_the_version_before(shelf: Shelf, contents: dict[str, bytes]) -> None:
    """Each move keeps the champion before; pointing again at the same one forgets nothing."""
    one, two = standing(contents), standing(contents, "2")
    shelf.put(two, contents)
    shelf.point(two, 2_000_000)
    assert Pointer(two, 2_000_000, one) == shelf.pointer()
    shelf.point(two, 3_000_000)
    assert Pointer(two, 3_000_000, one) == shelf.pointer()


def test_what_a_killed_process_left_is_removed(shelf: Shelf, contents: dict[str, bytes]) -> None:
    """Half-written versions go; the champion, the one before and the newest stay."""
    (shelf.folder / ".new-x").mkdir()
    (shelf.folder / ".new-x" / TREES).write_text("half")
    for number in range(2, 6):
        shelf.put(standing(contents, str(number)), contents)
        os.utime(shelf.folder / standing(contents, str(number)).folder, (number, number))
    shelf.prune(keep=2)
    kept = {name.partition("-")[0] for name in shelf.versions()}
    assert {"1", "5"} == kept
    assert [] == list(shelf.folder.glob(".new-*"))


@pytest.mark.parametrize("version", ["../1", "", "1/2", "one", "1" * 40])
def test_a_version_is_a_number(version: str) -> None:
    """What could lead out of the shelf is no version."""
    with pytest.raises(ModelFilesError, match="no version"):
        Standing(version, "0" * 64)


@pytest.mark.parametrize("name", ["..", "a/b", "", "a.b"])
def test_a_name_stays_on_the_shelf(name: str, tmp_path: Path) -> None:
    """What could lead out of the workspace is no name of a model."""
    with pytest.raises(ModelFilesError, match="no name"):
        Shelf(tmp_path, name)


def test_a_pointer_that_was_altered_is_refused(shelf: Shelf) -> None:
    """Half a pointer, another shape and a digest that is none are errors of ours."""
    path = shelf.folder / "champion.json"
    whole = path.read_text()
    for text in (whole[:30], "[]", "{}", "NaN", "[" * 100_000, whole.replace('"1"', '"../1"')):
        path.write_text(text)
        with pytest.raises(ModelFilesError):
            shelf.pointer()
    path.unlink()
    assert shelf.pointer() is None


def test_links_and_strangers_are_refused(shelf: Shelf, tmp_path: Path) -> None:
    """A file that is a link, a folder that is one, and a file that no model has."""
    pointer = shelf.pointer()
    assert pointer is not None
    folder = shelf.folder / pointer.champion.folder
    trees = folder / TREES
    moved = tmp_path / "elsewhere"
    trees.rename(moved)
    trees.symlink_to(moved)
    with pytest.raises(ModelFilesError, match="no plain file"):
        shelf.load(pointer.champion)
    trees.unlink()
    moved.rename(trees)
    (folder / "model.pkl").write_bytes(b"\x80\x04.")
    with pytest.raises(ModelFilesError, match=r"'model.pkl', which no model has"):
        shelf.load(pointer.champion)
    (folder / "model.pkl").unlink()
    shelf.load(pointer.champion)
    folder.rename(tmp_path / "folder")
    folder.symlink_to(tmp_path / "folder")
    with pytest.raises(ModelFilesError, match="link"):
        shelf.load(pointer.champion)


def test_altered_files_are_replaced(shelf: Shelf, contents: dict[str, bytes]) -> None:
    """Putting a version again mends one that was altered on the disk."""
    one = standing(contents)
    (shelf.folder / one.folder / CONTRACT).write_bytes(b"{}")
    with pytest.raises(ModelFilesError, match="altered"):
        shelf.load(one)
    shelf.put(one, contents)
    shelf.load(one)


def test_a_model_of_another_business_is_refused(contents: dict[str, bytes], tmp_path: Path) -> None:
    """Files that are whole but lie under the name of another business's model are not loaded."""
    other = Shelf(tmp_path, "shoe-churn")
    other.put(standing(contents), contents)
    with pytest.raises(ModelFilesError, match="a model of shop's churn"):
        other.load(standing(contents))


def test_one_process_writes(tmp_path: Path) -> None:
    """A second writer is told so, and may write when the first one has been killed."""
    code = (
        "import sys, models.shelf as s\nfrom pathlib import Path\n"
        "with s.writer(Path(sys.argv[1])) as mine: print(mine, flush=True); input()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert other.stdout is not None and "True\n" == other.stdout.readline()
    with writer(tmp_path) as mine:
        assert not mine
    other.kill()
    other.communicate()
    with writer(tmp_path) as mine:
        assert mine


def test_a_report_is_read_or_ignored(shelf: Shelf) -> None:
    """What the watcher left comes back; something else counts as nothing."""
    report = Report(5, "the registry is down", "version 2 was refused")
    shelf.tell(report)
    assert report == shelf.report()
    (shelf.folder / "watch.json").write_text('{"at": 1, "else": 2}')
    assert shelf.report() is None


def test_unsound_models_are_refused(saved: Path, tmp_path: Path) -> None:
    """A model whose files are whole but whose answers are not numbers does not pass the trial."""
    model = load(saved)
    quantiles = (*model.contract.score_quantiles[:-1], float("inf"))
    with pytest.raises(ModelFilesError, match="percentile"):
        try_model(replace(model, contract=replace(model.contract, score_quantiles=quantiles)))
    save(model, tmp_path)
    calibration = json.loads((tmp_path / "calibration.json").read_text())
    text = json.dumps(calibration).replace(str(calibration["curve"]["intercept"]), "NaN")
    shutil.copytree(saved, tmp_path / "nan")
    files = {k: v for k, v in read(saved).items() if k != CHECKSUMS}
    files["calibration.json"] = text.encode()
    sums, digest = seal(files)
    for name, content in {**files, CHECKSUMS: sums}.items():
        (tmp_path / "nan" / name).write_bytes(content)
    with pytest.raises(ModelFilesError, match="NaN is no number"):
        load(tmp_path / "nan", digest)


def test_invented_rows_hold_missing_and_enormous_values(saved: Path) -> None:
    """The trial asks about what is usual, what is missing and what is absurd."""
    from models.trial import invented_vectors

    rows = invented_vectors(load(saved).contract)
    assert np.isnan(rows[1]).all() and (rows[2] == np.float32(1e20)).all()
    assert np.isnan(rows).any(axis=0).all()
