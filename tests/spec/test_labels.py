"""Cohorts, cutoffs and labels of every form of problem, on journeys small enough to read."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from journeys import log_of, nobody, read_table, together

from features.config import Business, Problem
from features.cutoffs import (
    IN_COHORT,
    NO_HISTORY,
    NOT_ACTIVE,
    OUTSIDE,
    AsOf,
    current,
    judge,
    outside,
    resolve,
    schedule,
)
from features.durations import DAY, format_day, parse_moment
from features.errors import MilepostError, ProblemError
from features.event_log import EventLog
from features.outcomes import over
from features.sources import Histories
from training.labels import Labelled, label_rows


def labels_of(
    problem: Problem,
    log: EventLog,
    end: str,
    folder: Path = Path(),
    attributes: EventLog | None = None,
) -> Labelled:
    """Label a log that reaches to `end`."""
    business = Business(name="b", events=[{"sql": "select 1"}], folder=folder)
    log, about = together(log, attributes)
    histories = Histories(log, about, (), parse_moment(end), "digest")
    return label_rows(business, resolve(problem, log, about), histories)[0]


def listed(labelled: Labelled, log: EventLog) -> set[tuple[str, str, int]]:
    rows = labelled.moments.rows
    return {
        (log.customers[c], format_day(t), int(label))
        for c, t, label in zip(
            rows.customer.tolist(), rows.cutoff_time.tolist(), labelled.label, strict=True
        )
    }


BUYERS = """
| customer | event_time | event |
|----------|------------|-------|
| ann      | 2024-01-01 | buy   |
| ann      | 2024-01-12 | buy   |
| ann      | 2024-01-25 | buy   |
| bob      | 2024-01-02 | buy   |
| bob      | 2024-01-20 | look  |
"""


def test_silence_has_a_grid_of_cutoffs_that_ends_where_the_history_does() -> None:
    """The newest cutoff with a label is one horizon before the end; later ones are unknown."""
    log = read_table(BUYERS)
    problem = Problem(
        outcome={"silence_of": "buy"}, cohort={"active_within": "15d"}, horizon="10d", every="5d"
    )
    labelled = labels_of(problem, log, "2024-01-31")
    assert {
        ("ann", "2024-01-16", 0),
        ("bob", "2024-01-16", 1),
        ("ann", "2024-01-21", 0),
    } == listed(labelled, log)
    assert {"window_not_over": 2} == labelled.unknown


def test_a_customer_is_in_the_cohort_while_active() -> None:
    """Activity is the event whose silence is predicted, within the length, half open."""
    log = read_table(BUYERS)
    problem = resolve(
        Problem(outcome={"silence_of": "buy"}, cohort={"active_within": "18d"}, horizon="7d"),
        log,
        nobody(log),
    )
    for day, inside in (("2024-01-19", [True, True]), ("2024-01-20", [True, False])):
        rows = current(problem, log, nobody(log), AsOf.then(parse_moment(day)))
        verdict = judge(problem, log, nobody(log), rows)
        assert inside == [code == IN_COHORT for code in verdict.tolist()]
    assert "not_active" == OUTSIDE[int(verdict[1])][0]


def test_who_is_excluded_hears_by_what() -> None:
    """The sentence names the events that exclude; the code stays as it is."""
    log = read_table(BUYERS)
    for without, says in ((["buy"], "'buy' has"), (["buy", "look"], "'buy' or 'look' has")):
        problem = Problem(outcome={"silence_of": "look"}, cohort={"without": without}, horizon="3d")
        rows = current(problem, log, nobody(log), AsOf.then(parse_moment("2024-01-31")))
        told = {outside(problem, v) for v in judge(problem, log, nobody(log), rows).tolist()}
        assert ("excluded", f"{says} happened, which excludes from the cohort") in told


LEAVERS = """
| customer | event_time | event  |
|----------|------------|--------|
| ann      | 2024-01-01 | login  |
| ann      | 2024-02-10 | cancel |
| bob      | 2024-01-01 | login  |
| bob      | 2024-03-30 | login  |
| cat      | 2024-01-01 | login  |
| cat      | 2024-02-03 | cancel |
"""


def test_who_has_left_already_is_unknown_and_never_a_zero() -> None:
    """After an outcome that happens once, and inside the gap, a row has no label."""
    log = read_table(LEAVERS)
    problem = Problem(outcome={"event": "cancel"}, gap="5d", horizon="20d", every="20d")
    labelled = labels_of(problem, log, "2024-03-31")
    assert resolve(problem, log, nobody(log)).outcome.repeats is False
    assert {
        ("ann", "2024-01-26", 1),
        ("bob", "2024-01-26", 0),
        ("cat", "2024-01-26", 1),
        ("bob", "2024-02-15", 0),
        ("bob", "2024-03-06", 0),
    } == listed(labelled, log)
    assert {"already_happened": 6, "window_not_over": 1} == labelled.unknown


def test_an_outcome_in_the_gap_is_unknown() -> None:
    """Who leaves between the cutoff and the window is neither a 0 nor a 1."""
    log = read_table(LEAVERS)
    problem = Problem(outcome={"event": "cancel"}, gap="9d", horizon="11d", every="20d")
    labelled = labels_of(problem, log, "2024-02-20")
    assert {("ann", "2024-01-31", 1), ("bob", "2024-01-31", 0)} == listed(labelled, log)
    expected = {"already_happened": 2, "window_not_over": 1, "happened_in_gap": 1}
    assert expected == labelled.unknown


CONTRACTS = """
| customer | event_time | event  | renews_at  |
|----------|------------|--------|------------|
| ann      | 2023-01-01 | signed | 2024-01-01 |
| ann      | 2023-12-20 | renewed| 2025-01-01 |
| bob      | 2023-01-01 | signed | 2024-01-01 |
| cat      | 2023-06-01 | signed | 2024-06-01 |
| cat      | 2024-02-01 | look   | -          |
"""


def test_renewals_are_asked_at_every_lead_before_the_known_date() -> None:
    """A row stands `lead` before the date that was known then, and is answered by that date."""
    log = read_table(CONTRACTS)
    problem = Problem(
        outcome={"not": "renewed", "by": "renews_at"},
        before={"property": "renews_at", "lead": ["60d", "10d"]},
    )
    labelled = labels_of(problem, log, "2024-02-01")
    assert {
        ("ann", "2023-11-02", 0),  # 60 days before; renewed on the 20th of December
        ("bob", "2023-11-02", 1),
        ("bob", "2023-12-22", 1),
        # ann 10 days before: renewed already, the known date is a year later
    } == listed(labelled, log)


@pytest.mark.parametrize("valid_from", ["2023-01-01", "0001-01-01"])
def test_a_date_may_stand_in_the_customers_table(valid_from: str) -> None:
    """Renewal dates that are attributes lead to the same rows as those of events."""
    log = read_table("""
        | customer | event_time | event   |
        | ann      | 2023-01-01 | signed  |
        | ann      | 2023-12-28 | renewed |
        | bob      | 2023-01-01 | signed  |
    """)
    log = replace(log, times={})  # no event carries a date
    about = read_table(f"""
        | customer | event_time   | renews_at  |
        | ann      | {valid_from} | 2024-01-01 |
        | bob      | {valid_from} | 2024-01-01 |
    """)
    for problem in (
        Problem(
            outcome={"not": "renewed", "by": "renews_at"},
            before={"property": "renews_at", "lead": ["10d"]},
        ),
        Problem(outcome={"not": "renewed", "by": "renews_at"}, horizon="10d", every="365d"),
    ):
        labelled = labels_of(problem, log, "2024-01-01", attributes=about)
        assert {("ann", "2023-12-22", 0), ("bob", "2023-12-22", 1)} == listed(labelled, log)


def test_a_renewal_before_the_cutoff_leaves_nothing_to_ask() -> None:
    """Who renewed since the date was stated is already decided, with or without a new date."""
    log = read_table("""
        | customer | event_time | event   | renews_at  |
        | ann      | 2023-01-01 | signed  | 2024-01-01 |
        | ann      | 2023-12-01 | renewed | -          |
        | bob      | 2023-01-01 | signed  | 2024-01-01 |
        | cat      | 2023-01-01 | signed  | 2024-01-01 |
        | cat      | 2023-12-28 | renewed | -          |
    """)
    problem = Problem(
        outcome={"not": "renewed", "by": "renews_at"},
        before={"property": "renews_at", "lead": ["10d"]},
    )
    labelled = labels_of(problem, log, "2024-02-01")
    assert {("bob", "2023-12-22", 1), ("cat", "2023-12-22", 0)} == listed(labelled, log)
    assert {"already_happened": 1} == labelled.unknown


CAMPAIGNS = """
| customer | event_time | event    | plan |
|----------|------------|----------|------|
| ann      | 2024-01-01 | received | A    |
| ann      | 2024-01-05 | received | B    |
| ann      | 2024-01-09 | redeemed | A    |
| bob      | 2024-01-05 | received | B    |
| bob      | 2024-01-20 | redeemed | B    |
"""


def test_cutoffs_at_an_event_are_answered_by_the_same_campaign() -> None:
    """With `same`, only an outcome that agrees with the anchoring event counts."""
    log = read_table(CAMPAIGNS)
    problem = Problem(
        outcome={"event": "redeemed", "same": "plan"}, at={"event": "received"}, horizon="10d"
    )
    labelled = labels_of(problem, log, "2024-02-01")
    assert {
        ("ann", "2024-01-01", 1),
        ("ann", "2024-01-05", 0),  # redeemed A, not B
        ("bob", "2024-01-05", 0),  # redeemed B, but later than the horizon
    } == listed(labelled, log)


def test_an_anchor_is_asked_once_it_is_known() -> None:
    """Campaigns recorded a day after they came have the labels that they had, each row known from
    the first record of its campaign on, and one that nobody had recorded by the end has no row."""
    at_once, table = read_table(CAMPAIGNS), CAMPAIGNS + "| zoe | 2024-01-31 | received | C |"
    log = read_table(table)
    late = replace(log, recorded_time=log.event_time + DAY)
    problem = Problem(
        outcome={"event": "redeemed", "same": "plan"}, at={"event": "received"}, horizon="10d"
    )
    expected = labels_of(problem, at_once, "2024-01-31")
    found = labels_of(problem, late, "2024-01-31")
    assert listed(expected, at_once) == listed(found, late)
    assert expected.unknown == found.unknown
    rows = found.moments.rows
    assert (rows.cutoff_time + DAY).tolist() == rows.known_time.tolist()


def test_an_anchor_that_does_not_say_of_what_has_no_label() -> None:
    """With `same`, a campaign without its name can't be answered: unknown, never a 0."""
    log = read_table(CAMPAIGNS + "| eve | 2024-01-05 | received | - |")
    problem = Problem(
        outcome={"event": "redeemed", "same": "plan"}, at={"event": "received"}, horizon="10d"
    )
    labelled = labels_of(problem, log, "2024-02-01")
    assert "eve" not in {row[0] for row in listed(labelled, log)}
    assert {"anchor_without_same": 1} == labelled.unknown


def test_a_renewal_on_the_day_is_in_time() -> None:
    """A date without a time lasts to its midnight, for events that carry a time too."""
    log = read_table("""
        | customer | event_time          | event   | renews_at  |
        | ann      | 2023-01-01T00:00:00 | signed  | 2024-01-01 |
        | ann      | 2024-01-01T10:00:00 | renewed | -          |
        | bob      | 2023-01-01T00:00:00 | signed  | 2024-01-01 |
        | bob      | 2024-01-02T00:00:00 | renewed | -          |
    """)
    problem = Problem(
        outcome={"not": "renewed", "by": "renews_at"},
        before={"property": "renews_at", "lead": ["10d"]},
    )
    labelled = labels_of(problem, log, "2024-02-01")
    assert {("ann", "2023-12-22", 0), ("bob", "2023-12-22", 1)} == listed(labelled, log)


def test_a_problem_at_events_is_scored_as_of_the_last_of_them() -> None:
    """Between two anchoring events, the cutoff stays at the last one until the horizon is over."""
    log = read_table(CAMPAIGNS)
    redeemed = {"event": "redeemed", "repeats": True}
    problem = Problem(outcome=redeemed, at={"event": "received"}, horizon="10d")
    asked = current(problem, log, nobody(log), AsOf.then(parse_moment("2024-01-08")))
    assert ["2024-01-05", "2024-01-05"] == [format_day(t) for t in asked.rows.cutoff_time]
    late = current(problem, log, nobody(log), AsOf.then(parse_moment("2024-01-15")))
    assert ["no_anchor"] * 2 == [OUTSIDE[int(v)][0] for v in judge(problem, log, nobody(log), late)]


def test_what_is_known_late_of_the_time_before_counts_from_then_on() -> None:
    """As of a moment, what was recorded after it is seen once it is known, also at an event that is
    hardly ever recorded when it happens."""
    log = read_table("""
| customer | event_time | recorded_time | event    |
|----------|------------|---------------|----------|
| ann      | 2024-01-05 | 2024-01-09    | received |
| ann      | 2024-01-06 | 2024-01-11    | redeemed |
| bob      | 2024-01-05 | 2024-01-09    | received |
""")
    at_event = Problem(
        outcome={"event": "redeemed", "repeats": True}, at={"event": "received"}, horizon="10d"
    )
    now, end = parse_moment("2024-01-12"), parse_moment("2024-01-08")
    for problem, as_of, cutoff, why in (
        (at_event, AsOf(end, now), "2024-01-05", [IN_COHORT] * 2),
        (at_event, AsOf.then(end), "2024-01-08", [NO_HISTORY] * 2),
        (Problem(outcome={"silence_of": "redeemed"}, horizon="3d"), AsOf(end, now), "2024-01-08",
         [IN_COHORT, NOT_ACTIVE]),
        (Problem(outcome={"silence_of": "redeemed"}, horizon="3d"), AsOf(end, now - 2 * DAY),
         "2024-01-08", [NOT_ACTIVE] * 2),
    ):  # fmt: skip
        rows = current(problem, log, nobody(log), as_of)
        assert [cutoff] * 2 == [format_day(t) for t in rows.rows.cutoff_time]
        assert why == judge(problem, log, nobody(log), rows).tolist()
    asked = current(at_event, log, nobody(log), AsOf(end, now))
    for known, gone in ((now, [True, False]), (now - 2 * DAY, [False, False])):
        assert gone == over(at_event, log, asked, AsOf(end, known)).tolist()


def test_a_label_table_is_used_as_it_is(tmp_path: Path) -> None:
    """Rows, known times and splits come from the business; null labels are unknown."""
    log = read_table(BUYERS)
    sql = """
        select * from (values ('ann', date '2024-01-10', 1, date '2024-01-15', 'train'),
                              ('bob', date '2024-01-10', 0, date '2024-01-10', 'test'),
                              ('new', date '2024-01-10', null, date '2024-01-10', 'test'))
        as t(customer, cutoff_time, label, known_time, split)"""
    labelled = labels_of(Problem(labels=sql), log, "2024-01-31", tmp_path)
    assert [1, 0] == labelled.label.tolist()
    assert ["2024-01-15", "2024-01-10"] == [format_day(t) for t in labelled.moments.rows.known_time]
    assert [0, 2] == labelled.given_split.tolist()
    assert {"label_is_null": 1} == labelled.unknown


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("select 'ann' as customer, 1 as label", "cutoff_time"),
        ("select 'ann' as customer, date '2024-01-10' as cutoff_time, 2 as label", "0, 1 or null"),
        ("select 'ann' as customer, 'soon' as cutoff_time, 1 as label", "such as 'soon'"),
        ("select 'ann' as customer, 7 as cutoff_time, 1 as label", "not a time"),
        ("select null as customer, date '2024-01-10' as cutoff_time, 1 as label", "no customer"),
        ("select 'a' as customer, current_date as cutoff_time, 1 as label where false", "empty"),
        (
            "select 'a' as customer, current_date as cutoff_time, 1 as label, 'x' as known_time",
            "no known_time that can be read, such as 'x'",
        ),
        ("select 'a' as customer, current_date as cutoff_time, [1] as label", "0, 1 or null"),
        (
            "select 'a' as customer, current_date as cutoff_time, 1 as label, 'tset' as split",
            "Did you mean 'test'",
        ),
        ("select 'ann' as customer, date '2024-01-10' as cutoff_time, 1 as label", "are 1"),
    ],
)
def test_a_label_table_that_can_not_be_meant_is_refused(
    sql: str, says: str, tmp_path: Path
) -> None:
    """Each fault of a label table has its own sentence."""
    with pytest.raises(MilepostError, match=says):
        labels_of(Problem(labels=sql), read_table(BUYERS), "2024-01-31", tmp_path)


@pytest.mark.parametrize(
    ("cutoff", "label", "expected"),
    [
        ("'2024-01-10'", "1", 1),
        ("'2024-01-10 00:00:00'", "true", 1),
        ("'2024-01-10T02:00:00+02:00'", "'0'", 0),
        ("timestamptz '2024-01-10'", "'false'", 0),
        ("timestamp_ns '2024-01-10'", "1.0", 1),
    ],
)
def test_times_and_labels_of_a_table_may_be_written_in_any_usual_way(
    cutoff: str, label: str, expected: int, tmp_path: Path
) -> None:
    """Dates, times and text are one moment; numbers, booleans and text are one label."""
    sql = (
        f"select * from (values ('ann', {cutoff}, {label}, 'train')) as t(Customer, cutoff_time, "
        "label, split) union all select 'bob', timestamptz '2024-01-11', "
        f"{'0' if expected else '1'}, 'test' "
        "union all select 'x', timestamptz '2024-01-11', 1, null"
    )
    labelled = labels_of(Problem(labels=sql), read_table(BUYERS), "2024-01-31", tmp_path)
    assert [expected, 1 - expected] == labelled.label.tolist()
    assert "2024-01-10" == format_day(labelled.moments.rows.cutoff_time[0])
    assert {"split_is_null": 1} == labelled.unknown


def test_a_label_table_is_read_in_one_order(tmp_path: Path) -> None:
    """Queries give rows in any order; the labelled rows come in one."""
    rows = ["('ann', date '2024-01-10', 1)", "('bob', date '2024-01-11', 0)"]
    rows += ["('ann', date '2024-01-12', 0)", "('ann', date '2024-01-12', 1)"]
    made = []
    for order in (rows, rows[::-1]):
        sql = f"select * from (values {', '.join(order)}) as t(customer, cutoff_time, label)"
        labelled = labels_of(Problem(labels=sql), read_table(BUYERS), "2024-01-31", tmp_path)
        made.append((labelled.moments.rows.cutoff_time.tolist(), labelled.label.tolist()))
        assert "1 customers and cutoffs stand in several rows, 1 of them" in labelled.notes[0]
    assert made[0] == made[1]


def test_what_is_odd_about_a_label_table_is_said(tmp_path: Path) -> None:
    """Strangers and windows beyond the end are counted in notes, and the rows are used."""
    sql = (
        "select * from (values ('ann', date '2024-01-10', 1), ('who', date '2024-01-30', 0)) "
        "as t(customer, cutoff_time, label)"
    )
    problem = Problem(labels=sql, horizon="5d")
    labelled = labels_of(problem, read_table(BUYERS), "2024-01-31", tmp_path)
    assert 2 == len(labelled)
    assert "1 rows are of customers without any event" == labelled.notes[0]
    assert "1 rows have a label window that reaches beyond" in labelled.notes[1]


def test_labels_of_strangers_are_refused(tmp_path: Path) -> None:
    """A label table whose ids never occur in the events is a mistake, and shows both."""
    sql = "select * from (values ('0ann', date '2024-01-10', 1)) as t(customer, cutoff_time, label)"
    with pytest.raises(ProblemError, match="'0ann'; the events' customers look like 'ann'"):
        labels_of(Problem(labels=sql), read_table(BUYERS), "2024-01-31", tmp_path)


def test_too_many_cutoffs_stand_farther_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """A schedule that would not fit into memory is thinned, and the problem says how."""
    monkeypatch.setattr("features.cutoffs.MOST_ROWS", 20)
    log = read_table(BUYERS)
    problem = resolve(Problem(outcome={"event": "buy"}, horizon="1h"), log, nobody(log))
    assert 0 == problem.every % parse_moment("1970-01-01T01:00")
    assert len(schedule(problem, log, nobody(log), parse_moment("2024-01-25"))) <= 22


def test_a_stray_date_does_not_stretch_the_grid() -> None:
    """One event of the year 1 among a thousand adds no cutoffs."""
    rows = [{"event_time": f"2024-01-{1 + i % 28:02d}", "event": "buy"} for i in range(1500)]
    log = log_of([*rows, {"event_time": "0001-01-01", "event": "buy"}])
    problem = resolve(Problem(outcome={"event": "buy"}, horizon="5d"), log, nobody(log))
    first = schedule(problem, log, nobody(log), parse_moment("2024-01-28")).rows.cutoff_time.min()
    assert parse_moment("2024-01-01") <= first


def test_a_horizon_after_a_date_is_time_to_be_late() -> None:
    """At leads before a date, a renewal up to the horizon after the date still counts."""
    log = read_table(CONTRACTS + "| bob | 2024-01-08 | renewed | - |")
    base = {
        "outcome": {"not": "renewed", "by": "renews_at"},
        "before": {"property": "renews_at", "lead": ["60d", "10d"]},
    }
    late = labels_of(Problem(**base, horizon="10d"), log, "2024-06-30")
    strict = labels_of(Problem(**base), log, "2024-06-30")
    assert ("bob", "2023-12-22", 0) in listed(late, log)
    assert ("bob", "2023-12-22", 1) in listed(strict, log)


def test_counts_add_up_to_the_cohort() -> None:
    """Labelled rows and unknown rows together are all rows that were in the cohort."""
    log = read_table(LEAVERS)
    problem = resolve(
        Problem(outcome={"event": "cancel"}, gap="3d", horizon="9d", every="4d"), log, nobody(log)
    )
    asked = schedule(problem, log, nobody(log), parse_moment("2024-03-31"))
    codes = judge(problem, log, nobody(log), asked)
    reasons = np.array([OUTSIDE[c][0] if c else "in" for c in codes.tolist()])
    cohort = int(np.isin(reasons, ["in", "already_happened"]).sum())
    labelled = labels_of(problem, log, "2024-03-31")
    assert cohort == len(labelled) + labelled.n_unknown


def test_words_that_never_occur_are_refused_with_the_nearest() -> None:
    """An event, date or number that no source yields is an error that names a near one."""
    log = read_table(CONTRACTS)
    for problem, says in (
        (Problem(outcome={"event": "renwed"}, horizon="9d"), "Did you mean 'renewed'"),
        (
            Problem(outcome={"not": "renewed", "by": "renewal_at"}, horizon="9d"),
            "Did you mean 'renews_at'",
        ),
        (
            Problem(outcome={"event": "look"}, horizon="9d", value={"sum": "valeu"}),
            "Did you mean 'value'",
        ),
        (
            Problem(outcome={"event": "look"}, horizon="9d", cohort={"without": ["sgned"]}),
            "Did you mean 'signed'",
        ),
    ):
        with pytest.raises(ProblemError, match=says):
            resolve(problem, log, nobody(log))


def test_an_empty_cohort_and_a_short_history_say_so() -> None:
    """Nobody to ask, or no time to answer, is an error with the mend."""
    log = read_table(BUYERS)
    with pytest.raises(ProblemError, match="P02 too short a history: From its first event, on 20"):
        labels_of(Problem(outcome={"event": "buy"}, horizon="90d"), log, "2024-01-31")
    nobody = Problem(outcome={"silence_of": "look"}, cohort={"without": ["buy"]}, horizon="3d")
    with pytest.raises(ProblemError, match="P06 the cohort is too small: It is empty"):
        labels_of(nobody, log, "2024-01-31")
