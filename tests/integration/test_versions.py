"""What a person does with versions: promote, reject, roll back, compare."""

import hashlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from features.errors import RegistryError
from models.files import load
from models.registry import (
    CHALLENGER,
    CHAMPION,
    GATE_TAG,
    REASONS_TAG,
    connect,
    version_at,
)
from training.__main__ import main
from training.outbox import keep
from training.record import Record, tags_of
from training.tracking import log_entry
from training.versions import (
    BESIDE_TAG,
    PASSED,
    champions,
    promote,
    reject,
    rollback,
)

NAME = "shop-churn"
WHY = "tried by hand"


@pytest.fixture
def three(shop_run: tuple[Path, object], tmp_path: Path) -> Iterator[Path]:
    """A workspace with three versions, of which the first is champion."""
    folder = tmp_path / "shop" / "churn"
    shutil.copytree(shop_run[0] / "shop" / "churn" / "model", folder / "model")
    contract = load(folder / "model").contract
    for number in range(3):
        record = Record(business="shop", problem="churn", requirements=["numpy==2.4.6"])
        record.digest = hashlib.sha256(
            (folder / "model" / "checksums.json").read_bytes()
        ).hexdigest()
        record.tags = {**tags_of(contract), GATE_TAG: PASSED}
        record.manifest = {
            "digest": "d", "history_end": "2024-02-04T00:00:00Z", "n_events": 6, "n_customers": 2,
        }  # fmt: skip
        record.metrics = {"test_auroc": 0.8 + number / 100}
        record.params = {"num_leaves": str(7 + number), "seed": "1"}
        record.finished = int(time.time() * 1000)
        log_entry(tmp_path, keep(folder, record))
    yield tmp_path


def aliases(workspace: Path) -> tuple[str | None, str | None]:
    client = connect(workspace)
    return version_at(client, NAME, CHAMPION), version_at(client, NAME, CHALLENGER)


def test_rolling_back_twice_goes_back_twice(three: Path) -> None:
    """Champions 1, 2, 3: two rollbacks lead to 1, and there is nothing before it."""
    client = connect(three)
    assert ("1", "3") == aliases(three)
    promote(client, NAME, "2", WHY)
    promote(client, NAME, because=WHY)
    assert ("2", "3") == rollback(client, NAME)
    assert ("1", "2") == rollback(client, NAME)
    with pytest.raises(RegistryError, match="no champion before version 1"):
        rollback(client, NAME)
    reigns = [(reign.version, reign.how) for reign in champions(client, NAME)]
    assert [
        ("1", "first"), ("2", "promoted"), ("3", "promoted"), ("2", "rolled back"),
        ("1", "rolled back"),
    ] == reigns  # fmt: skip
    assert all(reign.at.endswith("Z") for reign in champions(client, NAME))
    # A version that was rolled back may come back, and is then before the next one.
    promote(client, NAME, "3", WHY)
    assert ("1", "3") == rollback(client, NAME)


def test_a_rejected_version_loses_its_alias_and_keeps_the_reason(three: Path) -> None:
    """Rejected: no alias, a reason and a time, and neither promotion nor rollback leads there."""
    client = connect(three)
    promote(client, NAME, "2", WHY)
    promote(client, NAME, "3", WHY)
    with pytest.raises(RegistryError, match="is the champion and is served"):
        reject(client, NAME, "worse")
    assert "2" == reject(client, NAME, "worse on renewals", "2")
    tags = client.get_model_version(NAME, "2").tags
    assert "worse on renewals" == tags["milepost.rejected"]
    assert tags["milepost.rejected_at"].endswith("Z")
    assert ("1", "3") == rollback(client, NAME)
    assert "3" == reject(client, NAME, "no better")
    assert ("1", None) == aliases(three)
    with pytest.raises(RegistryError, match="was rejected: no better"):
        promote(client, NAME, "3", WHY)
    with pytest.raises(RegistryError, match="no challenger"):
        promote(client, NAME, because=WHY)


def test_the_gate_is_heeded_unless_a_reason_is_given(three: Path) -> None:
    """A version that was not compared with today's champion, or was refused, needs a reason."""
    client = connect(three)
    with pytest.raises(RegistryError, match="has not seen shop-churn version 2 beside"):
        promote(client, NAME, "2")
    client.set_model_version_tag(NAME, "2", BESIDE_TAG, "1")
    assert "2" == promote(client, NAME, "2")
    client.set_model_version_tag(NAME, "3", GATE_TAG, "refused")
    client.set_model_version_tag(NAME, "3", REASONS_TAG, "G04 scores are off.")
    with pytest.raises(RegistryError, match="refuses shop-churn version 3: G04 scores are off"):
        promote(client, NAME)
    assert "3" == promote(client, NAME, because=WHY)
    assert WHY == client.get_model_version(NAME, "3").tags["milepost.promoted_because"]


def test_an_alias_that_was_moved_in_mlflow_is_remembered(three: Path) -> None:
    """A champion made on the MLflow page is one that a rollback can return to."""
    client = connect(three)
    client.set_registered_model_alias(NAME, CHAMPION, "2")
    promote(client, NAME, "3", WHY)
    assert ("2", "3") == rollback(client, NAME)


def test_the_commands_print_what_they_did(
    three: Path, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each command is one line a model; a mistake is one paragraph and exit code 2."""

    def told(*arguments: str) -> tuple[int, str, str]:
        code = main([*arguments, "--workspace", str(three)])
        return code, *capsys.readouterr()

    one = (str(shop), "churn")
    code, table, _ = told("compare", *one, "champion", "3")
    assert 0 == code
    assert "version 1 (champion)" in table and "version 3 (challenger)" in table
    row = next(line.split() for line in table.splitlines() if "test_auroc" in line)
    assert ["test_auroc", "0.8000", "0.8200", "+0.0200"] == row
    assert "parameters that differ, of 2:" in table
    assert "the same columns, in the same order" in table
    assert (0, f"{NAME}: version 3 is the champion\n", "") == told("promote", *one, "--force", WHY)
    back = f"{NAME}: version 1 is the champion again, in place of version 3\n"
    assert (0, back, "") == told("rollback", *one)
    refused = f"{NAME}: version 3 is rejected\n"
    assert (0, refused, "") == told("reject", *one, "--reason", "worse")
    for wrong, says in (
        (("promote", *one), "no challenger"),
        (("promote", *one, "--version", "9"), "no version 9. Versions: 1, 2, 3."),
        (("rollback", *one), "no champion before version 1"),
        (("compare", *one, "1", "9"), "no version 9"),
        (("compare", *one, "1", "best"), "no version with the alias 'best'"),
        (("reject", *one, "--reason", " "), "needs its reason"),
        (("reject", str(shop), "chrn", "--reason", "x"), "Did you mean 'churn'"),
    ):
        code, printed, error = told(*wrong)
        assert (2, "") == (code, printed)
        assert error.startswith("error: ") and says in error and 1 == error.count("\n")
