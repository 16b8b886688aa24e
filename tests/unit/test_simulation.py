"""The simulator's tables: what is in them, how they are delivered, what a fault changes."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from conftest import ROOT

from features.__main__ import main
from features.config import Problem, read_config
from features.durations import DAY, parse_moment
from features.errors import SimulationError
from features.simulation import PROBLEMS, TRUTH, World, simulate
from features.simulation_faults import LATE_SOURCES, MONEY, SKEW
from features.simulation_journeys import BEGAN, EXPIRED, LEFT, NOT_DUE, SIGNED, WENT_ON
from features.simulation_settings import FAULTS, Settings

SMALL = Settings(
    n_customers=400, start=parse_moment("2023-01-01"), end=parse_moment("2024-07-01"), seed=3
)


@cache
def world(settings: Settings = SMALL) -> World:
    return simulate(settings)


@cache
def with_fault(kind: str) -> World:
    return simulate(replace(SMALL, faults=(SMALL.fault(kind),)))


def micros(table: pa.Table, column: str) -> np.ndarray:
    return table[column].cast(pa.int64()).to_numpy()


def by_id(table: pa.Table) -> pa.Table:
    return table.sort_by([("event_id", "ascending"), ("recorded_time", "ascending")])


def hit(table: pa.Table, kind: str) -> np.ndarray:
    """Rows of the clean table that a fault of the feed is about."""
    fault = SMALL.fault(kind)
    happened = micros(table, "event_time")
    of_source = np.array(table["source"].to_pylist()) == fault.source
    return of_source & (happened >= fault.begins) & (happened < fault.ends)


def test_the_columns_are_the_canonical_ones() -> None:
    """Events have every canonical column, with the types that a source yields."""
    schema = world().events.schema
    names = ("customer", "event", "event_id", "channel", "account", "session", "text")
    assert [pa.string()] * len(names) == [schema.field(name).type for name in names]
    times = ("event_time", "recorded_time", "renews_at", "trial_ends_at")
    assert {pa.timestamp("us", "UTC")} == {schema.field(name).type for name in times}
    assert pa.float64() == schema.field("value").type


def test_the_same_seed_gives_the_same_bytes() -> None:
    """Two simulations of the same settings are equal to the last byte; another seed is not."""
    again = simulate(replace(SMALL))
    for name in ("events", "customers"):
        first, second = getattr(world(), name), getattr(again, name)
        assert first.equals(second)
        assert _bytes(first) == _bytes(second)
    assert not world().events.equals(simulate(replace(SMALL, seed=4)).events)


def _bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue().to_pybytes()


def test_events_are_sorted_unless_asked_otherwise() -> None:
    """Delivered in order of event time; shuffled, the same rows stand in another order."""
    shuffled = simulate(replace(SMALL, shuffled=True)).events
    assert (np.diff(micros(world().events, "event_time")) >= 0).all()
    assert (np.diff(micros(shuffled, "event_time")) < 0).mean() > 0.3
    assert by_id(world().events).equals(by_id(shuffled))


def test_late_events_are_as_many_as_asked_and_of_two_feeds() -> None:
    """The share of late events is the one asked for, within five standard errors."""
    events = simulate(replace(SMALL, late_share=0.3, duplicate_share=0.0)).events
    late = micros(events, "recorded_time") > micros(events, "event_time")
    may_be = pc.is_in(events["source"], pa.array(LATE_SOURCES)).to_numpy()
    assert not late[~may_be].any()
    error = np.sqrt(0.3 * 0.7 / may_be.sum())
    assert 0.3 == pytest.approx(late[may_be].mean(), abs=5 * error)


def test_nothing_is_recorded_before_it_happened_or_after_the_end() -> None:
    """What had not arrived by the end is not delivered."""
    events = world().events
    recorded = micros(events, "recorded_time")
    assert (recorded >= micros(events, "event_time")).all()
    assert recorded.max() < SMALL.end


def test_duplicates_are_as_many_as_asked_and_say_the_same() -> None:
    """A duplicate has its original's id and content and comes within half an hour of it."""
    clean = simulate(replace(SMALL, duplicate_share=0.0)).events
    events = by_id(simulate(replace(SMALL, duplicate_share=0.05)).events)
    assert clean.num_rows == pc.count_distinct(events["event_id"]).as_py()
    extra = events.num_rows - clean.num_rows
    assert 0.05 == pytest.approx(extra / clean.num_rows, abs=5 * np.sqrt(0.05 / clean.num_rows))
    ids = np.array(events["event_id"].to_pylist())
    second = np.flatnonzero(np.append(False, ids[1:] == ids[:-1]))
    content = events.drop_columns(["recorded_time"])
    assert content.take(second).equals(content.take(second - 1))
    delay = np.diff(micros(events, "recorded_time"))[second - 1]
    assert (delay > 0).all()
    assert (delay <= DAY // 48).all()


def test_an_outage_drops_a_sources_events_and_nothing_else() -> None:
    """The clean table without the rows of that source and time is the faulty one."""
    clean = world().events
    lost = hit(clean, "outage")
    assert lost.sum() > 100
    assert by_id(clean.filter(pa.array(~lost))).equals(by_id(with_fault("outage").events))


def test_a_unit_change_multiplies_money_and_nothing_else() -> None:
    """From its begin on, the source's money is in cents."""
    clean, faulty = by_id(world().events), by_id(with_fault("unit_change").events)
    changed = hit(clean, "unit_change")
    assert clean.drop_columns(MONEY).equals(faulty.drop_columns(MONEY))
    for name in MONEY:
        before, after = clean[name].to_numpy(), faulty[name].to_numpy()
        np.testing.assert_array_equal(after, np.where(changed, 100.0, 1.0) * before)
        assert np.isfinite(before[changed]).any()


def test_a_duplicate_feed_delivers_twice_under_new_ids() -> None:
    """The rows of that source and time come once more; all others stay as they are."""
    clean, faulty = by_id(world().events), with_fault("duplicate_feed").events
    copied = pc.starts_with(faulty["event_id"], "d").to_numpy()
    assert by_id(faulty.filter(pa.array(~copied))).equals(clean)
    copies = by_id(faulty.filter(pa.array(copied)))
    ids = pc.utf8_slice_codeunits(copies["event_id"], 1)
    assert copies.set_column(0, "event_id", ids).equals(
        clean.filter(pa.array(hit(clean, "duplicate_feed")))
    )


def test_a_skewed_clock_moves_event_times_and_nothing_else() -> None:
    """The source's event times run ahead by the skew; recorded times stay."""
    clean, faulty = by_id(world().events), by_id(with_fault("clock_skew").events)
    skewed = hit(clean, "clock_skew")
    assert clean.drop_columns(["event_time"]).equals(faulty.drop_columns(["event_time"]))
    moved = micros(faulty, "event_time") - micros(clean, "event_time")
    np.testing.assert_array_equal(np.where(skewed, SKEW, 0), moved)


def test_faults_of_a_feed_leave_the_lives_as_they_are() -> None:
    """The customers and what is true of them are the same with and without such a fault."""
    names = world().names
    cutoffs = np.full(len(names), SMALL.end - 100 * DAY)
    for kind in set(FAULTS) - {"mix_shift"}:
        faulty = with_fault(kind)
        assert world().customers.equals(faulty.customers)
        for problem in PROBLEMS.values():
            np.testing.assert_array_equal(
                world().true_probability(problem, names, cutoffs).probability,
                faulty.true_probability(problem, names, cutoffs).probability,
            )


def test_a_mix_shift_changes_only_who_arrives_after_it() -> None:
    """Customers who were there live the same lives; those who arrive are of another mix."""
    settings = replace(SMALL, n_customers=1500)
    begins = parse_moment("2023-06-01")
    shifted = replace(settings, faults=(settings.fault("mix_shift", begins),))
    clean, other = world(settings).journeys, world(shifted).journeys
    arrival = clean.population.arrival
    after = arrival >= (begins - settings.start) // DAY
    np.testing.assert_array_equal(arrival, other.population.arrival)
    for name, levels in clean.population.attributes.items():
        same = levels == other.population.attributes[name]
        assert same[~after].all()
    evaluators = other.population.attributes["persona"][after] == 1
    assert 0.60 == pytest.approx(evaluators.mean(), abs=5 * np.sqrt(0.24 / after.sum()))
    before = {}
    for which in (clean, other):
        kept = ~after[which.terms.customer]
        before[which is clean] = (which.terms.customer[kept], which.terms.day[kept])
    np.testing.assert_array_equal(before[True], before[False])


def test_terms_follow_each_other_as_contracts_do() -> None:
    """A trial lasts 30 days and is signed or expires; a term is renewed or left on its day."""
    terms, due = world().journeys.terms, world().journeys.due
    same = terms.customer[1:] == terms.customer[:-1]
    before, after = terms.value[:-1][same], terms.value[1:][same]
    allowed = {BEGAN: {SIGNED, EXPIRED}, SIGNED: {WENT_ON, LEFT}, WENT_ON: {WENT_ON, LEFT}}
    comes_back = {EXPIRED: {BEGAN, SIGNED}, LEFT: {BEGAN, SIGNED}}
    for value, following in {**allowed, **comes_back}.items():
        assert set(after[before == value].tolist()) <= following
    running = due[:-1][same] != NOT_DUE
    np.testing.assert_array_equal(due[:-1][same][running], terms.day[1:][same][running])
    trial = terms.value == BEGAN
    np.testing.assert_array_equal(terms.day[trial] + 30, due[trial])
    first = np.append(True, ~same)
    assert (terms.value[first] == SIGNED).any()  # a jump over the trial
    assert np.isin(before, list(comes_back)).any()  # a return


def test_nothing_happens_at_midnight_or_before_the_first_day() -> None:
    """A midnight cutoff therefore never touches an event."""
    happened = micros(world().events, "event_time")
    assert (happened % DAY != 0).all()
    assert happened.min() >= SMALL.start


def test_nobody_uses_the_product_without_a_trial_or_contract() -> None:
    """The last event of a customer who left is no log-in."""
    events = world().events
    who, what = np.array(events["customer"].to_pylist()), np.array(events["event"].to_pylist())
    ends = {"cancelled", "trial_expired"}
    running: dict[str, bool] = {}
    for customer, event in zip(who.tolist(), what.tolist(), strict=True):
        if event in ("trial_started", "subscribed"):
            running[customer] = True
        elif event in ends:
            running[customer] = False
        elif event in ("login", "usage_reported"):
            assert running[customer]


def test_accounts_hold_one_to_four_customers() -> None:
    """Customers of one account share what the account is."""
    customers = world().customers
    pairs = {
        (a, c)
        for a, c in zip(
            customers["account"].to_pylist(), customers["customer"].to_pylist(), strict=True
        )
    }
    sizes = np.unique([a for a, _ in pairs], return_counts=True)[1]
    assert {1, 2, 3, 4} == set(sizes.tolist())
    industry = customers.group_by("account").aggregate([("industry", "count_distinct")])
    assert {1} == set(industry["industry_count_distinct"].to_pylist())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"n_customers": 0}, "at least one customer, not 0"),
        ({"start": 5}, "midnight UTC"),
        ({"end": SMALL.start + 50 * DAY}, "Give a later end"),
        ({"late_share": 1.5}, "late_share is 1.5; it is a share"),
        ({"activity": -1.0}, "can't be negative"),
    ],
)
def test_settings_that_cannot_be_are_refused(change: dict[str, float], says: str) -> None:
    """A message says what was found and what is expected."""
    with pytest.raises(SimulationError, match=says):
        replace(SMALL, **change)


def test_a_misspelt_fault_is_refused_with_the_nearest() -> None:
    """The message names the fault that was meant."""
    with pytest.raises(SimulationError, match="Did you mean 'outage'"):
        SMALL.fault("outtage")


def test_a_question_without_known_truth_is_refused() -> None:
    """Strange customers, times within a day and other outcomes are errors, not guesses."""
    names = world().names[:1]
    midnight = np.array([SMALL.start + 300 * DAY])
    silence = Problem.model_validate({"outcome": {"silence_of": "login"}, "horizon": "28d"})
    with pytest.raises(SimulationError, match="asks something else"):
        world().true_probability(silence, names, midnight)
    with pytest.raises(SimulationError, match="'nobody' was not simulated"):
        world().true_probability(PROBLEMS["renewal"], ["nobody"], midnight)
    with pytest.raises(SimulationError, match="known at midnights"):
        world().true_probability(PROBLEMS["renewal"], names, midnight + 1)


def test_the_truth_is_missing_where_the_question_does_not_arise() -> None:
    """Without a contract nobody can fail to renew; on the first day nobody has one."""
    names = world().names
    truth = world().true_probability(PROBLEMS["renewal"], names, np.full(len(names), SMALL.start))
    assert np.isnan(truth.probability).all()
    assert np.isnan(truth.standard_error).all()


def test_the_example_asks_what_the_simulator_answers(tmp_path: Path) -> None:
    """The problems of examples/saas are the ones for which truth.parquet is written."""
    example = (ROOT / "examples" / "saas" / "journey.toml").read_text()
    (tmp_path / "data").mkdir()
    (tmp_path / "journey.toml").write_text(example)
    assert PROBLEMS == read_config(tmp_path / "journey.toml").problems


def test_the_command_writes_three_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`python -m features simulate` writes events, customers and their truth, and says so."""
    arguments = ["--customers", "400", "--seed", "3", "--start", "2023-01-01"]
    arguments += ["--end", "2024-07-01", "--fault", "outage", "unit_change"]
    assert main(["simulate", str(tmp_path / "out"), *arguments]) == 0
    assert "truth.parquet" in capsys.readouterr().out
    faults = (SMALL.fault("outage"), SMALL.fault("unit_change"))
    written = pq.read_table(tmp_path / "out" / "events.parquet")
    assert simulate(replace(SMALL, faults=faults)).events.equals(written)
    truth = pq.read_table(tmp_path / "out" / "truth.parquet")
    names = ["customer", "cutoff_time", "problem", "probability", "standard_error"]
    assert names == truth.column_names
    assert set(PROBLEMS) == set(truth["problem"].to_pylist())
    assert not np.isnan(truth["probability"].to_numpy()).any()


def test_a_tiny_world_is_written_too(tmp_path: Path) -> None:
    """Problems that three customers can't ask have no rows; the columns are there."""
    assert main(["simulate", str(tmp_path), "--customers", "3", "--end", "2022-08-01"]) == 0
    assert TRUTH.names == pq.read_table(tmp_path / "truth.parquet").column_names


@pytest.mark.parametrize(
    "arguments", [["--fault", "flood"], ["--customers", "0"], ["--end", "soon"], ["--seed", "-1"]]
)
def test_the_command_refuses_in_one_paragraph(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What can't be simulated ends with code 2 and one line that begins with "error"."""
    assert main(["simulate", str(tmp_path / "out"), *arguments]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert 1 == len(said.strip().splitlines())
