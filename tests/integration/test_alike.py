"""Customers who once stood where one stands now: their scores, and what became of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from stores import addresses, opened

from features.buckets import Buckets, write_buckets
from features.config import Business, Problem, read_config
from features.cutoffs import AsOf, resolve
from features.durations import DAY, days
from features.sources import Histories, read_histories
from models.registry import Registered, connect, load_alias
from serving.alike import FEWEST, NEAR, NEAREST, Alikes, Stood, last_cutoff, look_back
from serving.scoring import Scorer
from training.labels import declared


@pytest.fixture(scope="module")
def champion(shop_run: tuple[Path, object]) -> Registered:
    """The shop's champion."""
    return load_alias(connect(shop_run[0]), "shop-churn")


@pytest.fixture(scope="module")
def histories(shop: Path) -> Histories:
    return read_histories(read_config(shop))


@pytest.fixture(scope="module")
def buckets(shop: Path, histories: Histories, tmp_path_factory: pytest.TempPathFactory) -> Buckets:
    """The shop's histories in buckets."""
    return write_buckets(read_config(shop), histories, tmp_path_factory.mktemp("b") / "made", 3)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def alikes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Alikes]:
    with addresses(request.param, tmp_path_factory.mktemp("store")) as url:
        store = opened(url)
        yield Alikes(store.database, store.workspace)


def test_a_past_score_is_the_score_and_its_outcome_the_label(
    shop: Path, champion: Registered, histories: Histories, buckets: Buckets
) -> None:
    """Each has the score that was to be had then, and the label that training gives the row."""
    business: Business = read_config(shop)
    found = look_back(champion.model, "1", buckets, histories.end)
    problem = resolve(business.problems["churn"], histories.log, histories.attributes)
    labelled, _ = declared(problem, histories.log, histories.attributes, histories.end)
    rows = labelled.moments.rows
    labels = {
        (histories.log.customers[who], cutoff): int(label)
        for who, cutoff, label in zip(
            rows.customer.tolist(), rows.cutoff_time.tolist(), labelled.label, strict=True
        )
    }
    assert len(found) > 100 and {0, 1} == {each.came for each in found}
    assert sorted(each.customer for each in found) == [each.customer for each in found]
    scorer = Scorer(champion.model)
    for each in found:
        assert labels[each.customer, each.cutoff] == each.came
        log, about = (side.history(each.customer) for side in (histories.log, histories.attributes))
        (score,) = scorer.scores(scorer.ask(log, about, AsOf.then(each.cutoff)), [0])
        assert score.probability == each.probability


def test_the_last_cutoff_is_the_last_whose_window_is_over() -> None:
    """Gap, horizon and longest lead go before the end; a business's own labels have none."""
    end = 1_000 * DAY
    order = {"silence_of": "order"}
    late = {"not": "renewed", "by": "renews_at"}
    before = {"property": "renews_at", "lead": ["90d", "30d"]}
    for problem, ago in (
        (Problem(outcome=order, horizon="30d"), 30),
        (Problem(outcome=order, horizon="30d", gap="5d"), 35),
        (Problem(outcome=late, before=before), 90),
    ):
        assert end - days(ago) == last_cutoff(problem, end)
    assert last_cutoff(Problem(labels="select 1", horizon="9d"), end) is None


def stood(number: int, probability: float, persona: str | None) -> Stood:
    return Stood(f"c{number:02d}", 5, probability, persona, number % 2, "1")


def test_the_nearest_are_of_the_same_persona(alikes: Alikes) -> None:
    """The nearest scores, never farther than a fifth, without the customer; of any persona where
    too few have the same."""
    some = [stood(n, n / 100, "a" if n < 60 else "b") for n in range(63)]
    alikes.put("churn", some)
    alikes.put("other", some[:3])
    found = alikes.nearest("churn", "c30", 0.3, "a")
    assert "a" == found.persona and NEAREST == len(found.stood)
    around = {f"c{number}" for number in range(20, 41)} - {"c30"}
    assert around == {each.customer for each in found.stood}
    far = alikes.nearest("churn", "x", 0.7, "a")
    assert ["c59", "c58", "c57", "c56", "c55"] == [each.customer for each in far.stood][:FEWEST]
    assert all(abs(each.probability - 0.7) <= NEAR for each in far.stood)
    few = alikes.nearest("churn", "x", 0.62, "b")
    assert few.persona is None and "c62" == few.stood[0].customer and NEAREST == len(few.stood)
    assert () == tuple(alikes.nearest("churn", "x", 0.99, "a").stood)
    alikes.put("churn", some[:1])
    assert ["c00"] == [each.customer for each in alikes.nearest("churn", "x", 0.0, None).stood]
