"""What became of customers about whom a person thought otherwise than the model."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import run
from hypothesis import given
from hypothesis import strategies as st
from stores import addresses, sent

from features.config import read_config
from features.cutoffs import AsOf, resolve
from features.durations import DAY, format_moment
from features.sources import Histories, read_histories
from serving.actions import UsedError
from serving.database import Database
from serving.importing import import_sources
from serving.intake import Intake
from serving.migrations import upgrade
from serving.opinions import Opinion, latest, queue, tally
from serving.settling import opinions_of, settle, window
from serving.state import Tenant, load_tenant
from training.labels import declared

BLANK = Opinion(
    "o1", "c001", "churn", 0, "jane", 1, "so", 0, 0, 1, 0.3, "low", 10.0, "m", "1", "s"
)  # fmt: skip


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def tenant(
    request: pytest.FixtureRequest, shop: Path, shop_run: tuple[Path, object],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Tenant]:  # fmt: skip
    """The trained shop in a store of its own."""
    business = read_config(shop)
    watched = run("models", "watch", str(shop), "--workspace", str(shop_run[0]), "--once")
    assert watched.returncode == 0, watched.stderr  # no service may have put it on the shelf yet
    with addresses(request.param, tmp_path_factory.mktemp("store")) as url:
        database = Database(url)
        upgrade(database)
        made = load_tenant(business, shop_run[0], database)
        made.champions.wait(30)
        import_sources(business, made.kept, progress=False)
        yield made
        database.close()


@pytest.fixture(scope="module")
def histories(shop: Path) -> Histories:
    return read_histories(read_config(shop))


def opinion(name: str, **more: object) -> Opinion:
    return replace(BLANK, opinion=name, **more)  # type: ignore[arg-type]


def test_the_truth_is_the_label_that_training_gives(tenant: Tenant, histories: Histories) -> None:
    """Of hundreds of customers and moments, what became of them is the label that a training set
    has of the same row; while a window is open nobody knows."""
    problem = resolve(tenant.business.problems["churn"], histories.log, histories.attributes)
    labelled, _ = declared(problem, histories.log, histories.attributes, histories.end)
    rows, moments = labelled.moments.rows, labelled.moments
    rng = np.random.default_rng(5)
    some = rng.choice(len(labelled), 300, replace=False).tolist()
    customers = histories.log.customers
    opinions = opinions_of(tenant)
    contract = tenant.scorer("churn")[1].model.contract
    for row in some:
        who, cutoff = customers[rows.customer[row]], int(rows.cutoff_time[row])
        spell = window(tenant.kept, contract, who, AsOf.then(cutoff))
        assert (int(moments.opens[row]), int(moments.closes[row])) == spell
        opinions.add(
            opinion(f"r{row}", customer=who, cutoff=cutoff, opens=spell[0], closes=spell[1])
        )
    late = histories.end - DAY
    opinions.add(opinion("open", cutoff=late, opens=late, closes=late + 30 * DAY))
    for _ in range(2):  # at most 200 at a time
        settle(tenant, "churn")
    found = {each.opinion: each for each in opinions.of_problem("churn", 1_000)}
    assert {f"r{row}": int(labelled.label[row]) for row in some} == {
        name: each.truth for name, each in found.items() if name != "open"
    }
    assert found["open"].truth is found["open"].why_unknown is None
    assert {0, 1} == {each.truth for each in found.values()} - {None}


def test_what_arrives_late_changes_what_became(tenant: Tenant) -> None:
    """A customer who seemed to have left did not, once an order of the window comes in."""
    opinions, end = opinions_of(tenant), tenant.kept.end()
    customer = "c002"
    closes = end - 400 * DAY  # before their first order: a window without any
    spell = {"cutoff": closes - 2 * DAY, "opens": closes - 2 * DAY, "closes": closes}
    opinions.add(opinion("late", customer=customer, **spell))

    def truth() -> int | None:
        settle(tenant, "churn")
        settle(tenant, "churn")
        return next(
            e.truth for e in opinions.of_customer(customer, "churn", 50) if e.opinion == "late"
        )

    assert 1 == truth() == truth()
    intake = Intake()
    row = {"customer": customer, "event": "order", "event_time": format_moment(closes)}
    sent(intake, tenant.kept, [row])
    intake.close()
    for _ in range(3):
        settle(tenant, "churn")
    assert 0 == truth()


def test_an_opinion_is_kept_once(tenant: Tenant) -> None:
    """The same sent again changes nothing; another with the same id is refused."""
    opinions = opinions_of(tenant)
    opinions.add(opinion("once", at=5))
    opinions.add(opinion("once", at=6))
    with pytest.raises(UsedError):
        opinions.add(opinion("once", says=0))
    kept = [e for e in opinions.of_customer("c001", "churn", 100) if e.opinion == "once"]
    assert [opinion("once", at=5)] == kept


def test_who_disagrees() -> None:
    """A person with the model, by its bands and from one half on."""
    for says, probability, band, expected in (
        (1, 0.02, "low", True), (1, 0.1, "medium", True), (1, 0.1, "high", False),
        (1, 0.6, "low", False), (0, 0.02, "low", False), (0, 0.2, "very high", True),
        (0, 0.5, "medium", True), (0, 0.49, "medium", False), (1, None, None, False),
        (0, None, None, False),
    ):  # fmt: skip
        made = opinion("x", says=says, probability=probability, band=band)
        assert expected == made.disagrees, made


def test_the_queue_is_by_what_is_at_stake() -> None:
    """The most at stake first, then who is farther from the model; what is known, agreed on or
    taken back is not in it."""
    some = [
        opinion("a", customer="a", stake=5.0), opinion("b", customer="b", stake=50.0),
        opinion("c", customer="c", stake=None),
        opinion("d", customer="d", stake=5.0, probability=0.1),
        opinion("e", customer="e", truth=1), opinion("f", customer="f", why_unknown="x"),
        opinion("g", customer="g", at=1), opinion("h", customer="g", at=2, says=0),
        opinion("i", customer="g", at=3, who="bert"),
    ]  # fmt: skip
    assert ["b", "i", "d", "a", "c"] == [each.opinion for each in queue(some)]


chances = st.floats(0, 1, allow_subnormal=False)


@given(st.lists(st.tuples(st.integers(0, 1), chances, st.integers(0, 1) | st.none()), max_size=30))
def test_the_tally_is_the_sum_of_its_opinions(told: list[tuple[int, float, int | None]]) -> None:
    """Right and Brier score, of known truths alone, whatever the order; a copy counts once."""
    some = [
        opinion(f"o{n}", customer=f"c{n}", says=says, probability=chance, truth=truth)
        for n, (says, chance, truth) in enumerate(told)
    ]
    known = [(s, c, t) for s, c, t in told if t is not None]
    found = tally([*some, *(replace(each, opinion=f"{each.opinion}-again") for each in some)][::-1])
    assert len(known) == found.known
    assert sum(s == t for s, _, t in known) == found.person_right
    assert sum((c >= 0.5) == (t == 1) for _, c, t in known) == found.model_right
    if known:
        assert found.person_brier == pytest.approx(1 - found.person_right / found.known)
        assert found.model_brier == pytest.approx(np.mean([(c - t) ** 2 for _, c, t in known]))
    else:
        assert found.person_brier is found.model_brier is None


def test_the_last_word_of_a_moment_counts() -> None:
    """Who says the same of another moment is counted again, who corrects themselves is not."""
    some = [opinion("a", at=1), opinion("b", at=2, says=0), opinion("c", at=3, cutoff=9)]
    assert ["c", "b"] == [each.opinion for each in latest(some, by_moment=True)]
    assert ["c"] == [each.opinion for each in latest(some)]
