"""What holds for every history: the engine against the reference, and against time."""

import gc
import pickle
from dataclasses import replace
from random import Random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journeys import log_of, one_row, plain, rows_at, together
from random_journeys import (
    FEATURES,
    START,
    histories,
    moments,
    of_events,
    offsets,
    rows,
)

from features import program
from features.durations import days, format_moment, parse_moment
from features.engine import Rows, compute, compute_exact, first_recorded
from features.event_log import EventLog, build_log, empty_log
from features.feature import Where
from features.groups import group_of, with_groups
from features.language import (
    events,
)
from features.program import prepare
from features.reference import value_at
from features.vocabulary import BEHIND

PLAN = prepare(FEATURES)
NAMING = prepare([f for f in FEATURES if not any(c.contains for c in f.where.conditions)])
"""All levels that these ask for are known before there is a log."""
OF_ACCOUNT = prepare(of_events(events("a").over("account")))


def vector(
    history: list[dict[str, str]], about: list[dict[str, str]], who: str, cutoff: int, known: int
) -> bytes:
    """One customer's vector from a log of everybody's events, as bytes."""
    log, attributes = together(log_of(history), log_of(about))
    if who not in log.customers:
        return b""
    at = rows_at(log, (who, format_moment(cutoff), format_moment(known)))
    return compute_exact(PLAN, log, attributes, at).tobytes()


@settings(max_examples=60)
@given(histories, st.lists(rows, max_size=8), moments)
def test_the_engine_equals_the_reference(
    history: list[dict[str, str]], about: list[dict[str, str]], moment: tuple[int, int]
) -> None:
    """Counts are exact and every other value agrees to 1e-9 with thirty lines of plain Python."""
    log, attributes = together(log_of(history), log_of(about))
    cutoff, known = moment[0], moment[0] + moment[1]
    everyone = [(c, format_moment(cutoff), format_moment(known)) for c in log.customers]
    fast = compute_exact(PLAN, log, attributes, rows_at(log, *everyone))
    slow = np.array(
        [
            [value_at(f, plain(log, i), plain(attributes, i), cutoff, known) for f in FEATURES]
            for i in range(log.n_customers)
        ]
    )
    np.testing.assert_allclose(fast, slow, rtol=1e-9, atol=1e-9)
    exact = [
        j
        for j, feature in enumerate(FEATURES)
        if feature.kind in ("count", "days_active", "distinct")
    ]
    assert np.array_equal(fast[:, exact], slow[:, exact])


@given(histories, histories, moments)
def test_nothing_after_the_cutoff_is_seen(
    history: list[dict[str, str]], later: list[dict[str, str]], moment: tuple[int, int]
) -> None:
    """Events after the cutoff change no bit of a vector."""
    cutoff, known = moment[0], moment[0] + moment[1]
    after = [
        {**row, "event_time": format_moment(parse_moment(row["event_time"]) + cutoff - START + 1)}
        for row in later
    ]
    after = [row for row in after if parse_moment(row["event_time"]) > cutoff]
    who = history[0]["customer"]
    assert vector(history, [], who, cutoff, known) == vector(
        history + after, [], who, cutoff, known
    )


@given(histories, histories, moments)
def test_nothing_recorded_after_the_known_time_is_seen(
    history: list[dict[str, str]], late: list[dict[str, str]], moment: tuple[int, int]
) -> None:
    """Events that were recorded too late change no bit, of the journey or of the attributes."""
    cutoff, known = moment[0], moment[0] + moment[1]
    unseen = [{**row, "recorded_time": format_moment(known + 1)} for row in late]
    who = history[0]["customer"]
    expected = vector(history, history, who, cutoff, known)
    assert expected == vector(history + unseen, history + unseen, who, cutoff, known)


@given(histories, histories, st.randoms(use_true_random=False), offsets)
def test_other_customers_and_the_order_of_rows_change_nothing(
    history: list[dict[str, str]], others: list[dict[str, str]], random: Random, cutoff: int
) -> None:
    """A vector depends on the customer's own events alone, in whatever order they arrive."""
    strangers = [{**row, "customer": f"other {row['customer']}"} for row in others]
    mixed = history + strangers
    random.shuffle(mixed)
    who = history[0]["customer"]
    assert vector(history, history, who, cutoff, cutoff) == vector(
        mixed, mixed, who, cutoff, cutoff
    )


@given(histories, st.lists(rows, max_size=8), st.lists(moments, min_size=1, max_size=12))
def test_a_batch_equals_one_row_at_a_time_bit_for_bit(
    history: list[dict[str, str]], about: list[dict[str, str]], when: list[tuple[int, int]]
) -> None:
    """A training set and a request's single vector are the same bits."""
    log, attributes = together(log_of(history), log_of(about))
    asked = [
        (log.customers[i % log.n_customers], format_moment(m[0]), format_moment(m[0] + m[1]))
        for i, m in enumerate(when)
    ]
    batch = compute_exact(PLAN, log, attributes, rows_at(log, *asked))
    for row, (who, cutoff, known) in zip(batch, asked, strict=True):
        alone = compute_exact(
            PLAN,
            log.history(who),
            attributes.history(who),
            one_row(parse_moment(cutoff), parse_moment(known)),
        )
        assert row.tobytes() == alone[0].tobytes()


@given(histories)
def test_blocks_change_nothing(history: list[dict[str, str]]) -> None:
    """Working in small blocks of customers gives the same bits as working on all at once."""
    from features import engine

    log, attributes = together(log_of(history))
    asked = [(c, format_moment(START + days(10))) for c in log.customers] * 3
    whole = compute_exact(PLAN, log, attributes, rows_at(log, *asked))
    sizes = engine.BLOCK_CELLS, engine.THREAD_CELLS
    try:
        for engine.BLOCK_CELLS, engine.THREAD_CELLS in ((1, 10**9), (1, 1)):
            parts = compute_exact(PLAN, log, attributes, rows_at(log, *asked))
            assert whole.tobytes() == parts.tobytes()
    finally:
        engine.BLOCK_CELLS, engine.THREAD_CELLS = sizes


@given(histories, st.lists(rows, max_size=8), moments, st.sampled_from([0, 3, len(BEHIND) + 9]))
def test_a_small_log_s_own_levels_change_nothing(
    history: list[dict[str, str]],
    about: list[dict[str, str]],
    moment: tuple[int, int],
    n_strange: int,
) -> None:
    """Read in the plan's codes or in its own, a log gives the same bits, strange levels or not."""
    first = history[0]
    strange = [{**first, "event": f"strange {i}", "plan": f"odd {i}"} for i in range(n_strange)]
    log, attributes = together(log_of(history + strange), log_of(about))
    asked = [(c, format_moment(moment[0])) for c in log.customers]
    small = compute_exact(NAMING, log, attributes, rows_at(log, *asked))
    try:
        most, program.SMALL = program.SMALL, -1
        large = compute_exact(NAMING, log, attributes, rows_at(log, *asked))
    finally:
        program.SMALL = most
    assert small.tobytes() == large.tobytes()


@given(histories, st.lists(rows, max_size=8), moments)
def test_a_log_that_is_asked_again_answers_alike(
    history: list[dict[str, str]], about: list[dict[str, str]], moment: tuple[int, int]
) -> None:
    """Asked again, by another plan in between, copied, cut, or sent to another process, a log gives
    the bits of the first time: what it keeps of a plan belongs to its own columns alone."""
    log, attributes = together(log_of(history), log_of(about))
    asked = rows_at(log, *((c, format_moment(moment[0])) for c in log.customers))
    first = compute_exact(PLAN, log, attributes, asked)
    compute_exact(NAMING, log, attributes, asked)
    sent = pickle.loads(pickle.dumps((log, attributes)))
    fewer = replace(log, event_time=log.event_time - days(3)), attributes
    assert not sent[0].laid and not fewer[0].laid
    new = together(log_of(history), log_of(about))
    new = replace(new[0], event_time=new[0].event_time - days(3)), new[1]
    assert first.tobytes() == compute_exact(PLAN, log, attributes, asked).tobytes()
    assert first.tobytes() == compute_exact(PLAN, *sent, asked).tobytes()
    assert (
        compute_exact(PLAN, *fewer, asked).tobytes() == compute_exact(PLAN, *new, asked).tobytes()
    )


def test_a_log_keeps_nothing_of_a_plan_that_is_gone() -> None:
    """Plans that are made for one question, as those of groups are, leave nothing behind in a
    journey that a service holds."""
    log, attributes = together(log_of([{"event": "order", "event_time": "2024-01-01"}]))
    asked = rows_at(log, *((c, "2024-02-01") for c in log.customers))
    for _ in range(3):
        compute_exact([events().count()], log, attributes, asked)
    gc.collect()
    assert not log.laid
    compute_exact(PLAN, log, attributes, asked)
    assert log.laid


@given(histories, moments)
def test_a_training_matrix_is_the_same_numbers_rounded_once(
    history: list[dict[str, str]], moment: tuple[int, int]
) -> None:
    """The float32 matrix is the float64 one, each value rounded."""
    log, attributes = together(log_of(history))
    asked = [(c, format_moment(moment[0])) for c in log.customers]
    exact = compute_exact(PLAN, log, attributes, rows_at(log, *asked))
    single = compute(PLAN, log, attributes, rows_at(log, *asked))
    assert exact.astype(np.float32).tobytes() == single.tobytes()


@given(histories, moments)
def test_a_group_s_features_equal_the_reference_on_the_group_s_journey(
    history: list[dict[str, str]], moment: tuple[int, int]
) -> None:
    """A customer has the features of the account that the last visible event names."""
    log, attributes = together(log_of(history))
    cutoff, known = moment[0], moment[0] + moment[1]
    asked = [(c, format_moment(cutoff), format_moment(known)) for c in log.customers]
    fast = compute_exact(OF_ACCOUNT, log, attributes, rows_at(log, *asked))
    accounts = group_of(log, "account")
    for i in range(log.n_customers):
        seen = [
            str(e.properties["account"])
            for e in plain(log, i)
            if e.event_time <= cutoff and e.recorded_time <= known and "account" in e.properties
        ]
        at = accounts.index(seen[-1]) if seen else None
        journey = [] if at is None else plain(accounts, at)
        slow = [
            np.nan if at is None else value_at(f, journey, [], cutoff, known)
            for f in OF_ACCOUNT.features
        ]
        np.testing.assert_allclose(fast[i], slow, rtol=1e-9, atol=1e-9)


@given(histories, moments)
def test_one_customer_s_history_gives_the_group_s_bits(
    history: list[dict[str, str]], moment: tuple[int, int]
) -> None:
    """A request that brings the customer's accounts along gets what a training set has."""
    log, attributes = together(log_of(history))
    log = with_groups(log, ["account"])
    asked = [(c, format_moment(moment[0])) for c in log.customers]
    whole = compute_exact(OF_ACCOUNT, log, attributes, rows_at(log, *asked))
    for who, row in zip(log.customers, whole, strict=True):
        alone = compute_exact(
            OF_ACCOUNT, log.history(who), attributes.history(who), one_row(moment[0])
        )
        assert row.tobytes() == alone[0].tobytes()


def test_the_log_is_sorted_by_content() -> None:
    """Events of one moment have one order, whichever way they came in."""
    table = [{"event_time": "2024-01-01", "event": e, "value": v} for e in "cab" for v in "21"]
    one, other = log_of(table), log_of(table[::-1])
    assert _columns(one) == _columns(other)


def _columns(log: EventLog) -> list[object]:
    return [log.event.codes.tolist(), log.numbers["value"].tolist(), log.event_time.tolist()]


def one_long_journey(n: int, late: int) -> EventLog:
    """One customer's `n` events, of which so many were recorded long after they happened."""
    rng = np.random.default_rng(6)
    happened = START + np.sort(rng.integers(0, 60 * n, n)) * 1_000_000 * 60
    recorded = happened.copy()
    recorded[rng.choice(n, late, replace=False)] += 60 * 60 * 1_000_000 * n // 4
    value = rng.gamma(2.0, 10.0, n)
    value[rng.random(n) < 0.3] = np.nan
    levels = {
        name: pa.array([f"{name}{at}" for at in rng.integers(0, most, n)])
        for name, most in (("plan", 4), ("ident", n))
    }
    event = pa.array(rng.choice(["a", "b", "c", "x"], n))
    who = pa.array(["c"] * n)
    return build_log(who, happened, event, recorded, {"value": value}, levels)


LONG = prepare(
    [
        *(f for f in FEATURES if not any(c.contains for c in f.where.conditions)),
        *(events(*some).distinct("ident", **window) for some in ((), ("b",))
          for window in ({}, {"last": days(9)}, {"events": 700})),
        events("b").share(events=900), events("b").share(last=days(9)),
        events().slope("value", last=days(1)),
    ]
)  # fmt: skip


@pytest.mark.parametrize("late", [0, 4])
def test_a_long_journey_asked_at_each_event_gives_each_row_s_own_bits(late: int) -> None:
    """Thousands of rows of one customer are worked on together, those that some event reaches too
    late too, and each is what it is alone."""
    n = 9_000
    log = one_long_journey(n, late)
    rows = Rows(np.zeros(n, np.int64), log.event_time, log.event_time + 60_000_000)
    nobody = empty_log(log.customers)
    together_ = compute_exact(LONG, log, nobody, rows)
    for some in np.random.default_rng(1).choice(n, 150, replace=False).tolist():
        alone = compute_exact(LONG, log, nobody, rows.take(np.array([some])))
        assert alone.tobytes() == together_[some : some + 1].tobytes()


@pytest.mark.parametrize("where", [events().where, events("b").where])
def test_long_windows_give_the_same_first_record(where: Where) -> None:
    """Many windows that hold much of a journey give what each gives alone."""
    n = 3_000
    log = one_long_journey(n, 40)
    customer, after = np.zeros(n, np.int64), log.event_time - days(1)
    until = after + days(60) * np.random.default_rng(2).integers(0, 3, n)
    found = first_recorded(log, where, customer, after, until)
    alone = [first_recorded(log, where, *(a[i : i + 1] for a in (customer, after, until)))[0]
             for i in range(n)]  # fmt: skip
    assert alone == found.tolist()
    assert len(set(alone)) > 100
