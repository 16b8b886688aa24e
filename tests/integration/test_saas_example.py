"""The example of a simulated software business, read as a company's own files would be."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import ROOT

from features.config import Business, read_config
from features.cutoffs import resolve
from features.durations import DAY
from features.engine import Rows, compute
from features.feature import Feature
from features.groups import with_groups
from features.language import (
    attribute_level,
    attribute_number,
    containing,
    events,
)
from features.simulation import PROBLEMS, World, simulate, truth_table
from features.simulation_model import ACTIVE_SHARE, ATTRIBUTES, MEMORIES, PRICE_CHANGES, TICKETS
from features.simulation_settings import Settings
from features.simulation_state import state_at
from features.simulation_text import PHRASES, TELLING
from features.sources import Histories, read_histories
from training.labels import label_rows


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Business, Histories]:
    """A small world, and its files read through the example's own journey.toml."""
    folder = tmp_path_factory.mktemp("saas")
    shutil.copy(ROOT / "examples" / "saas" / "journey.toml", folder)
    world = simulate(Settings(n_customers=1_500, seed=5, activity=0.3))
    (folder / "data").mkdir()
    for name, table in (("events", world.events), ("customers", world.customers)):
        pq.write_table(table, folder / "data" / f"{name}.parquet")
    business = read_config(folder / "journey.toml")
    return world, business, read_histories(business)


def test_only_duplicates_are_set_aside(example: tuple[World, Business, Histories]) -> None:
    """Every delivered event is kept once."""
    world, _, histories = example
    rejected = [account.rejected for account in histories.sources]
    assert {"duplicate_event_id"} == {reason for reasons in rejected for reason in reasons}
    assert len(set(world.events["event_id"].to_pylist())) == histories.log.n_events


def test_every_driver_can_be_read_at_the_cutoff(
    example: tuple[World, Business, Histories],
) -> None:
    """Ordinary features of the history give each driver that the truth is conditional on."""
    world, _, histories = example
    log, about = with_groups(histories.log, ["account"]), histories.attributes
    customer, day = _paying(world)
    position = np.array([log.customers.index(world.names[i]) for i in customer.tolist()])
    cutoff = world.settings.start + day * DAY
    rows = Rows(position, cutoff, cutoff)
    state = state_at(world.journeys, customer, day)

    def column(feature: Feature) -> np.ndarray:
        return np.asarray(compute([feature], log, about, rows)[:, 0], np.float64)

    np.testing.assert_allclose(
        column(events("usage_reported").last_number("active_share")),
        np.array(ACTIVE_SHARE)[state.level["engagement"]], rtol=1e-6,
    )  # fmt: skip
    np.testing.assert_array_equal(
        column(events("onboarding_step_done").count()), state.level["onboarding"]
    )
    np.testing.assert_allclose(
        column(attribute_number("price_change")),
        np.array(PRICE_CHANGES)[state.level["price_change"]], rtol=1e-6,
    )  # fmt: skip
    np.testing.assert_array_equal(column(events("renewed").count()), state.renewals)
    until = column(events().days_until("renews_at"))
    np.testing.assert_allclose(until, state.due - day, atol=1e-4)
    for memory in MEMORIES:
        word = TELLING[TICKETS.index(memory.event)] if memory.event in TICKETS else None
        told = containing(word) if word else events(memory.event)
        if memory.of_account:
            told = told.over("account")
        if word or memory.event not in TICKETS:
            ago = np.ceil(np.nan_to_num(column(told.recency()), nan=1e6))
            age = np.where(state.age[memory.event] > 10_000, 1e6, state.age[memory.event])
            np.testing.assert_array_equal(ago, age)
    for attribute in ATTRIBUTES:
        levels = tuple(sorted(attribute.levels))
        chosen = world.journeys.population.attributes[attribute.name][customer]
        expected = [levels.index(attribute.levels[i]) for i in chosen]
        np.testing.assert_array_equal(expected, column(attribute_level(attribute.name, levels)))


def _paying(world: World) -> tuple[np.ndarray, np.ndarray]:
    """Customers with a contract 200 days before the end, and that day."""
    customer = np.arange(len(world.names))
    day = np.full(len(customer), world.settings.n_days - 200)
    chosen = state_at(world.journeys, customer, day).status == 3
    return customer[chosen], day[chosen]


def test_a_tickets_words_tell_what_it_is() -> None:
    """The telling word of each kind of ticket stands in all of its phrases and in no other."""
    for kind, word in enumerate(TELLING):
        if word is not None:
            spoken = [[word in phrase for phrase in phrases] for phrases in PHRASES]
            assert spoken == [[of == kind] * len(phrases) for of, phrases in enumerate(PHRASES)]


@pytest.mark.parametrize("name", list(PROBLEMS))
def test_labels_come_true_as_often_as_the_truth_says(
    name: str, example: tuple[World, Business, Histories]
) -> None:
    """The labels that training makes of the files fit the true probabilities, row by row."""
    world, business, histories = example
    problem = resolve(business.problem(name), histories.log, histories.attributes)
    labelled, log = label_rows(business, problem, histories)
    rows = labelled.moments.rows
    names = [log.customers[i] for i in rows.customer.tolist()]
    truth = world.true_probability(problem, names, rows.cutoff_time).probability
    assert not np.isnan(truth).any()
    apart = labelled.label - truth
    by_customer = np.bincount(rows.customer, apart)  # a customer's rows share their outcome
    assert abs(by_customer.sum()) < 4 * np.sqrt((by_customer**2).sum())
    high = truth > np.quantile(truth, 0.8)
    assert labelled.label[high].mean() > 2 * labelled.label[~high].mean()


def test_the_truth_covers_every_labelled_row(example: tuple[World, Business, Histories]) -> None:
    """truth.parquet has each (customer, cutoff) that training labels, once a problem."""
    world, business, histories = example
    table = truth_table(world)
    key = set(
        zip(
            table["problem"].to_pylist(),
            table["customer"].to_pylist(),
            table["cutoff_time"].cast("int64").to_pylist(),
            strict=True,
        )
    )
    assert table.num_rows == len(key)
    for name in PROBLEMS:
        problem = resolve(business.problem(name), histories.log, histories.attributes)
        labelled, log = label_rows(business, problem, histories)
        rows = labelled.moments.rows
        for who, cutoff in zip(rows.customer.tolist(), rows.cutoff_time.tolist(), strict=True):
            assert (name, log.customers[who], cutoff) in key


def test_no_data_are_kept_with_the_example() -> None:
    """The example's folder holds its journey.toml; data are made by a command, not stored."""
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert "/examples/saas/data/" in ignored
    assert Path(ROOT / "examples" / "saas" / "journey.toml").exists()
