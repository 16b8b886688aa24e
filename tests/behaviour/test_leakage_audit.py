"""The leakage audit finds every planted leak by its code, and nothing on clean histories."""

from pathlib import Path

import numpy as np
import pytest
from planted import KNOWING_TOO_MUCH, READING_TOO_MUCH, Shop, honest, plain_shop

from features.config import read_config
from features.sources import read_histories
from training.audit import Audit, audit
from training.findings import LEAK
from training.pipeline import Pipeline

OUTCOME_OF = {"L07": "warning", "L12": "leak", "L14": "warning", "L15": "warning",
              "L16": "warning", "L31": "leak", "L33": "warning", "L35": "warning"}  # fmt: skip
"""The severity of each code in the catalogue; a leak unless it says otherwise."""


def audited(shop: Shop, pipeline: Pipeline | None = None, cutoffs: int = 6) -> Audit:
    business = read_config(shop.config)
    return audit(business, "churn", read_histories(business), pipeline, cutoffs=cutoffs)


def codes(found: Audit) -> set[tuple[str, str]]:
    return {(finding.code, finding.severity) for finding in found.findings}


@pytest.fixture(scope="module")
def small_shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return plain_shop(tmp_path_factory.mktemp("audited"))


@pytest.mark.parametrize("leak", READING_TOO_MUCH)
def test_a_pipeline_that_reads_too_much_is_caught(leak: str, small_shop: Shop) -> None:
    """Each planted pipeline is named a leak by its own code."""
    code, plant = READING_TOO_MUCH[leak]
    assert (code, LEAK) in codes(audited(small_shop, plant()))


def test_an_honest_pipeline_is_not_accused(small_shop: Shop) -> None:
    """The same pipeline without a plant has no leak and no warning."""
    assert set() == {code for code in codes(audited(small_shop, honest())) if code[1] != "note"}


@pytest.mark.parametrize("leak", KNOWING_TOO_MUCH)
def test_data_that_know_too_much_are_caught(leak: str, tmp_path: Path) -> None:
    """Each shop whose data know the future is named by its own code, with a mend."""
    code, plant = KNOWING_TOO_MUCH[leak]
    shop = plain_shop(tmp_path)
    plant(shop)
    found = audited(shop, cutoffs=1)
    severity = OUTCOME_OF.get(code, LEAK)
    assert (code, severity) in codes(found)
    named = next(finding for finding in found.findings if finding.code == code)
    assert named.mends and named.evidence and any(c.isdigit() for c in named.says)


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_clean_shops_are_clean(seed: int, tmp_path: Path) -> None:
    """Shops without a plant, whatever their seed, have no leak and no warning."""
    shop = plain_shop(tmp_path, seed=seed)
    assert set() == {code for code in codes(audited(shop)) if code[1] != "note"}


def test_a_unit_that_changed_is_told(tmp_path: Path) -> None:
    """Amounts in cents from autumn on tell train from test, and their column is named."""
    shop = plain_shop(tmp_path)
    cents = "if(day >= date '2023-10-01', 100, 1) * amount as amount"
    shop.sql("orders.csv", f"select * replace ({cents}) from orders")
    (told,) = (f for f in audited(shop, cutoffs=1).findings if f.code == "L34")
    assert told.evidence["auroc"] > 0.95
    assert "value" in told.says
    assert told.mends


def test_a_learner_that_peeks_is_caught(small_shop: Shop) -> None:
    """A fit that reads the true labels of the test part scores on shuffled labels too."""
    business = read_config(small_shop.config)
    histories = read_histories(business)

    def peeking(train: object, validation: object) -> object:
        return lambda matrix: -matrix[:, 0] + np.arange(len(matrix)) * 1e-9

    found = audit(business, "churn", histories, honest(), peeking)
    assert ("L06", LEAK) in codes(found)


def test_movements_are_told_with_their_place(small_shop: Shop) -> None:
    """A moved feature is named with the mutation, the customer and the cutoff."""
    found = audited(small_shop, READING_TOO_MUCH["recorded time ignored"][1]())
    told = next(finding for finding in found.leaks if finding.code == "L01")
    assert ["planted"] == list(told.evidence["features"])
    moved = told.evidence["features"]["planted"]
    assert ["back-filled"] == moved["mutations"]
    assert moved["customer"] in told.says and moved["cutoff"] in told.says
