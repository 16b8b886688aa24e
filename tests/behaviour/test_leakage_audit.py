"""The leakage audit finds every planted leak by its code, and nothing on clean histories."""

from pathlib import Path

import numpy as np
import pytest
from planted import (
    BAKED_TOO_EARLY,
    KNOWING_TOO_MUCH,
    READING_TOO_MUCH,
    Shop,
    honest,
    plain_shop,
)

from features.config import read_config
from features.cutoffs import resolve
from features.overview import overview
from features.sources import read_histories
from training.audit import Audit, audit
from training.audit_report import tried
from training.clock import Clock
from training.findings import LEAK
from training.peers import changes
from training.pipeline import CataloguePipeline, Counting, Journeys, Pipeline, question_of
from training.prepare import ask, prepare

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


def as_trained(shop: Shop, counting: Counting = changes) -> CataloguePipeline:
    """The path that training uses, with a way of counting outcomes for peer rates."""
    business = read_config(shop.config)
    histories = read_histories(business)
    log, attributes = histories.log, histories.attributes
    problem = resolve(business.problem("churn"), log, attributes)
    whole = overview(log, attributes, problem.events)
    return CataloguePipeline(business, problem, histories.end, whole, counting)


@pytest.mark.parametrize("leak", BAKED_TOO_EARLY)
def test_peer_rates_that_know_too_much_are_caught(leak: str, small_shop: Shop) -> None:
    """Rates are counted when columns are chosen, and yet a changed future gives them away."""
    found = audited(small_shop, as_trained(small_shop, BAKED_TOO_EARLY[leak]))
    told = next(finding for finding in found.leaks if finding.code == "L01")
    rates = {"customer_city_peer_rate", "event_channel_peer_rate", "order_channel_peer_rate"}
    assert set(told.evidence["features"]) and set(told.evidence["features"]) <= rates


def test_rows_whose_anchor_was_recorded_late_see_no_rate_after_their_cutoff(tmp_path: Path) -> None:
    """A problem asked at tickets, some noted ten days late, is clean: rates are the cutoff's."""
    shop = plain_shop(tmp_path, n_customers=300)
    noted = "day + if(hash(customer, day) % 3 = 0, 10, 0)::int as noted"
    shop.sql(
        "asked.csv",
        f"select customer, day, wait, {noted} from tickets union all select customer, day, 5.0, "
        f"{noted} from orders where hash(customer, day, 1) % 4 = 0",
    )
    shop.replace("'ticket' as event, wait from 'tickets.csv'",
                 "noted as recorded_time, 'ticket' as event, wait from 'asked.csv'")  # fmt: skip
    text = shop.config.read_text().partition("[problems.churn]")[0] + (
        '[problems.churn]\noutcome = { event = "order" }\nat = { event = "ticket" }\n'
        'horizon = "15d"\n'
    )
    shop.config.write_text(text)
    assert set() == {code for code in codes(audited(shop)) if code[1] != "note"}


def test_what_is_audited_is_what_is_trained(small_shop: Shop) -> None:
    """Few rows are looked at, and yet columns and rates are those of all rows, as in training."""
    business = read_config(small_shop.config)
    histories = read_histories(business)
    problem = resolve(business.problem("churn"), histories.log, histories.attributes)
    clock = Clock(lambda _: None)
    asked = ask(business, problem, histories, clock)
    few = question_of(asked, {"train": 20, "validation": 20, "test": 20}, seed=1)
    pipeline = as_trained(small_shop)
    fitted = pipeline.fit(Journeys(asked.log, asked.attributes), few)
    assert any(feature.rates for feature in fitted.features)
    assert prepare(business, problem, histories, clock).features == fitted.features
    assert fitted.features == fitted.anew(Journeys(asked.log, asked.attributes)).features


def test_the_answer_says_what_was_drawn(small_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where rows or customers are left out, the report and the file say of how many."""
    assert "drawn by chance" not in tried(audited(small_shop, cutoffs=1))
    monkeypatch.setattr("training.audit.MOST_ROWS", {"train": 100, "validation": 90, "test": 80})
    monkeypatch.setattr("training.leakage.MOST_EVENTS", 4_000)
    found = audited(small_shop, cutoffs=1)
    told = found.to_json()
    of = told["n_rows_of"]
    assert {"train": 100, "validation": 90, "test": 80} == told["n_rows"]
    assert of["train"] > 100 and told["proof"]["n_customers"] < told["proof"]["n_customers_of"]
    assert f"100 of {of['train']:,} train" in tried(found)
    assert f"of {told['proof']['n_customers_of']:,} customers, drawn by chance" in tried(found)


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
