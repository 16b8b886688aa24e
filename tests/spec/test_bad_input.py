"""Bad and extreme input: what each gives. Nothing crashes, and nothing is dropped in silence."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from journeys import log_of, nobody, rows_at

from features import kernels
from features.catalogue import default_catalogue
from features.config import Business
from features.durations import DAY, LONGEST, days, format_moment, parse_moment
from features.engine import Rows, compute, compute_exact, first_recorded, warm_up
from features.errors import SourceError
from features.event_log import LARGEST, EventLog, build_log, empty_log
from features.feature import Feature, feature_names
from features.language import calendar, containing, events, stage_feature
from features.sources import Histories, describe, read_histories

START = parse_moment("2024-01-01")
BASICS = (
    events().count(),
    events().recency(),
    events().sum("value"),
    events().last_number("value"),
)


def rows_of(customer: list[int], cutoff: int) -> Rows:
    when = np.full(len(customer), cutoff)
    return Rows(np.array(customer, np.int64), when, when)


def one(values: list[float], *features: Feature) -> list[float]:
    """Features after a value a day of one customer."""
    n = len(values)
    log = build_log(["c"] * n, START + DAY * np.arange(n), ["e"] * n, None,
                    {"value": np.array(values)})  # fmt: skip
    rows = rows_of([0], START + n * DAY)
    assert np.isfinite(compute(features, log, nobody(log), rows)).tolist() == (
        np.isfinite(compute_exact(features, log, nobody(log), rows)).tolist()
    )
    return [float(v) for v in compute_exact(features, log, nobody(log), rows)[0]]


def read(folder: Path, csv: str, sql: str = "select * from 'events.csv'") -> Histories:
    (folder / "events.csv").write_text(csv)
    source = {"sql": sql, "name": "feed", "max_unreadable": 1.0}
    return read_histories(Business(name="b", folder=folder, events=[source]))


# ---- order ----


def test_events_out_of_order_are_put_in_order() -> None:
    """The last value is that of the latest event, in whatever order the rows came."""
    table = [{"event_time": f"2024-01-{d:02d}", "value": str(d)} for d in (9, 2, 30, 4)]
    log = log_of(table)
    found = compute_exact(BASICS, log, nobody(log), rows_at(log, ("c", "2024-02-01")))
    assert [4.0, 2.0, 45.0, 30.0] == found[0].tolist()


def test_equal_times_are_ordered_by_content() -> None:
    """Of events of one moment the last is the greatest by name, record and properties."""
    table = [{"event_time": "2024-01-01", "value": str(v)} for v in (3, 7, 5)]
    log = log_of(table)
    found = compute_exact(BASICS, log, nobody(log), rows_at(log, ("c", "2024-01-01")))
    assert [3.0, 0.0, 15.0, 7.0] == found[0].tolist()


def test_rows_come_in_any_order_and_may_repeat() -> None:
    """Each row has its own answer in its own place; two equal rows have the same one."""
    log = log_of([{"customer": c, "event_time": f"2024-01-0{d}"} for c in "ab" for d in (1, 3)])
    asked = [("b", "2024-01-05"), ("a", "2024-01-02"), ("b", "2024-01-01"), ("b", "2024-01-05")]
    found = compute_exact([events().count()], log, nobody(log), rows_at(log, *asked))[:, 0]
    assert [2, 1, 1, 2] == found.tolist()


# ---- sizes ----


def test_a_million_events_of_one_customer() -> None:
    """Counts and sums stay exact over a million events and a hundred cutoffs."""
    n = 1_000_000
    log = build_log(
        pa.array(["c"] * n).dictionary_encode(), START + 1_000_000 * np.arange(n),
        pa.array(["e"] * n).dictionary_encode(), None, {"value": np.full(n, 0.1)},
    )  # fmt: skip
    cutoff = START + 10_000_000_000 * np.arange(1, 101) - 1
    rows = Rows(np.zeros(100, np.int64), cutoff, cutoff)
    features = [*BASICS, events().std("value"), events().distinct("none"), events().burstiness()]
    found = compute_exact(features, log, nobody(log), rows)
    assert (10_000 * np.arange(1, 101)).tolist() == found[:, 0].tolist()
    np.testing.assert_allclose(found[:, 2], 1000.0 * np.arange(1, 101), rtol=1e-12)
    np.testing.assert_allclose(found[:, 4], 0, atol=1e-12)


def test_a_question_at_each_of_very_many_events_of_one_customer() -> None:
    """Half a million cutoffs on one journey take the time of one walk over it, not of each."""
    n = 500_000
    log = build_log(
        pa.array(["c"] * n).dictionary_encode(), START + 1_000_000 * np.arange(n),
        pa.array(["e"] * n).dictionary_encode(), None, {"value": np.ones(n)},
        {"id": pa.array(np.arange(n)).cast(pa.string())},
    )  # fmt: skip
    rows = Rows(np.zeros(n, np.int64), log.event_time, log.event_time)
    features = [*BASICS, events().distinct("id"), events().slope("value", days(1))]
    found = compute_exact(features, log, nobody(log), rows)
    for column in (0, 2, 4):
        assert np.array_equal(np.arange(1, n + 1), found[:, column])
    learnt = first_recorded(log, events("e").where, rows.customer, rows.cutoff_time,
                            rows.cutoff_time + days(3))  # fmt: skip
    assert np.array_equal(log.event_time[1:], learnt[:-1])


def test_very_many_customers_with_one_event() -> None:
    """Half a million customers have a row each, and each its own event."""
    n = 500_000
    ids = pa.array(np.arange(n)).cast(pa.string())
    log = build_log(ids, START + np.arange(n), pa.array(["e"] * n).dictionary_encode(), None,
                    {"value": np.arange(n, dtype=float)})  # fmt: skip
    rows = rows_of(list(range(n)), START + DAY)
    found = compute(BASICS, log, empty_log(log.customers), rows)
    assert (n, n) == (log.n_customers, int(found[:, 0].sum()))
    assert [float(who) for who in log.customers[:50]] == found[:50, 3].tolist()


def test_no_event_before_the_cutoff() -> None:
    """Counts and sums are 0 and everything else is missing."""
    log = log_of([{"event_time": "2024-05-01", "value": "3"}])
    found = compute_exact(BASICS, log, nobody(log), rows_at(log, ("c", "2024-01-01")))[0]
    np.testing.assert_array_equal([0, np.nan, 0, np.nan], found)


def test_customers_without_events_have_rows_like_the_others() -> None:
    """A customer of whom only attributes are known is one for whom nothing has happened."""
    log = log_of([{"customer": "b", "event_time": "2024-01-01"}]).aligned(("a", "b", "c"))
    found = compute_exact([events().count()], log, nobody(log), rows_of([2, 1, 0], START + DAY))
    assert [0, 1, 0] == found[:, 0].tolist()


def test_empty_logs_no_features_and_no_rows() -> None:
    """Each gives a matrix of its shape; an empty history calls for no features."""
    log = empty_log(("a", "b"))
    assert [[0.0], [0.0]] == compute([events().count()], log, log, rows_of([0, 1], 0)).tolist()
    assert (2, 0) == compute([], log, log, rows_of([0, 1], 0)).shape
    assert (0, 1) == compute([events().count()], log, log, rows_of([], 0)).shape
    assert () == default_catalogue(log, log, {}, [days(7)], START)


def test_rows_beyond_the_list_of_customers_are_refused() -> None:
    """A position that no customer has is an error, not somebody else's events."""
    log = empty_log(("a",))
    for customer in ([1], [-1], [0, 1], [-1, 0]):
        with pytest.raises(ValueError, match="beyond the log's 1"):
            compute([events().count()], log, log, rows_of(customer, 0))


def test_columns_of_different_lengths_are_refused() -> None:
    """A shorter column is an error that names it."""
    for more in ({"numbers": {"value": np.ones(1)}}, {"categories": {"plan": ["x"]}},
                 {"times": {"due": np.ones(3, np.int64)}}):  # fmt: skip
        with pytest.raises(ValueError, match=r"(value|plan|due) has [13] rows, event_time has 2"):
            build_log(["a", "b"], np.array([1, 2]), ["e", "e"], **more)


# ---- numbers ----


def test_nan_and_infinite_values_are_missing() -> None:
    """Neither is summed, averaged or last."""
    value = (events().sum("value"), events().mean("value"), events().last_number("value"))
    assert [3, 1.5, 2] == one([1, np.inf, np.nan, 2, -np.inf], *value)


def test_sums_can_not_overflow() -> None:
    """A number beyond 1e25 is missing; up to there every feature is finite in float32 too."""
    kinds = ("sum", "mean", "std", "slope", "max", "last_change")
    some = [Feature(kind, of="value") for kind in kinds]
    assert [3, 1.5] == one([1e308, 1e308, 1, 2, 1e26], *some)[:2]
    assert np.isfinite(one([LARGEST, -LARGEST] * 50, *some)).all()
    n = 2
    log = build_log(["c"] * n, START + np.arange(n), ["e"] * n, None,
                    {"value": np.array([-LARGEST, LARGEST])})  # fmt: skip
    assert np.isfinite(compute(some, log, nobody(log), rows_of([0], START + DAY))).all()


def test_whole_numbers_above_16_777_216_are_rounded_in_a_training_matrix() -> None:
    """A matrix of float32 holds 2**24 exactly and the next number as its even neighbour; in float64
    both are what they are."""
    for total in (2.0**24, 2.0**24 + 1, 2.0**24 + 3):
        log = log_of([{"event_time": "2024-01-01", "value": str(total)}])
        features, row = [events().sum("value")], rows_at(log, ("c", "2024-01-02"))
        assert total == compute_exact(features, log, nobody(log), row)[0, 0]
        assert np.float32(total) == compute(features, log, nobody(log), row)[0, 0]
    assert [2**24, 2**24 + 4] == [int(np.float32(2**24 + one)) for one in (1, 3)]


def test_numbers_too_large_are_counted_where_they_are_read(tmp_path: Path) -> None:
    """What is taken as missing stands in the account of its source."""
    rows = "a,2024-01-01,e,1\na,2024-01-02,e,inf\na,2024-01-03,e,1e99\n"
    csv = "customer,event_time,event,value\n" + rows
    histories = read(tmp_path, csv)
    assert {"value": 2} == histories.sources[0].immense
    assert "feed: 3 rows, too large" in describe(histories.sources[0])


# ---- names, levels and kinds ----


def test_unknown_events_and_levels_at_scoring_time() -> None:
    """An event that no feature names counts as an event; an unknown level is missing."""
    log = log_of([{"event_time": "2024-01-01", "event": "novel", "plan": "unheard"}])
    features = [events().count(), events("known").count(), events().last_level("plan", ("a", "b"))]
    found = compute_exact(features, log, nobody(log), rows_at(log, ("c", "2024-01-02")))[0]
    np.testing.assert_array_equal([1, 0, np.nan], found)


def test_a_property_of_two_kinds_is_refused(tmp_path: Path) -> None:
    """Numbers in one source and text in another stop the run and name the property."""
    sql = "select 'a' as customer, date '2024-01-01' as event_time, 'e' as event, {} as size"
    sources = [{"sql": sql.format("1.5")}, {"sql": sql.format("'big'")}]
    with pytest.raises(SourceError, match="'size' is a category in one source and a number in"):
        read_histories(Business(name="b", folder=tmp_path, events=sources))


def test_a_property_that_became_text_is_missing_as_a_number() -> None:
    """A feature of a number finds no number among texts, and says missing."""
    log = build_log(["c"], np.array([START]), ["e"], None, None, {"value": ["ten"]})
    found = compute_exact(BASICS, log, nobody(log), rows_of([0], START))[0]
    np.testing.assert_array_equal([1, 0, 0, np.nan], found)


def test_three_hundred_levels_of_a_category() -> None:
    """All of them are distinct, and each has its position among those that a feature knows."""
    levels = tuple(f"l{i:03d}" for i in range(300))
    log = log_of([{"event_time": f"2024-01-01T00:{i // 60:02d}:{i % 60:02d}", "plan": level}
                  for i, level in enumerate(levels)])  # fmt: skip
    features = [events().distinct("plan"), events().last_level("plan", levels),
                events().level_share("plan", "l007")]  # fmt: skip
    found = compute_exact(features, log, nobody(log), rows_at(log, ("c", "2024-01-02")))[0]
    assert [300, 299, 1 / 300] == found.tolist()


def test_a_hundred_thousand_different_texts() -> None:
    """A word is found in every text that holds it."""
    n = 100_000
    texts = [f"order {i} {'Late' if i % 4 == 0 else 'fine'}" for i in range(n)]
    log = build_log(["c"] * n, START + np.arange(n), ["e"] * n, None, None, {"text": texts})
    found = compute([containing("late").count()], log, nobody(log), rows_of([0], START + DAY))
    assert [[25_000.0]] == found.tolist()


def test_unicode_names() -> None:
    """Names in other scripts stay apart, and become columns that LightGBM takes."""
    names = ("购买", "購買", "Übergabe", "e-mail", "e mail", "🙂")
    log = log_of([{"event_time": "2024-01-01", "event": name} for name in names])
    features = [events(name).count() for name in names]
    found = compute_exact(features, log, nobody(log), rows_at(log, ("c", "2024-01-02")))[0]
    assert [1.0] * 6 == found.tolist()
    columns = feature_names(features)
    assert 6 == len(set(columns)) and all(column.isascii() for column in columns)


def test_two_features_alike() -> None:
    """Both are computed, and the second one's name is numbered."""
    twice = [events().count(), events().count(), events().recency(), events().recency()]
    log = log_of([{"event_time": "2024-01-01"}])
    found = compute_exact(twice, log, nobody(log), rows_at(log, ("c", "2024-01-03")))[0]
    assert [1, 1, 2, 2] == found.tolist()
    assert ("event_count", "event_count__2") == feature_names(twice)[:2]


def test_empty_ids_are_set_aside_and_na_is_an_id(tmp_path: Path) -> None:
    """A row with an empty customer is counted and listed; the customer "NA" is like any other."""
    csv = 'customer,event_time,event\n"",2024-01-01,e\nNA,2024-01-01,e\nnull,2024-01-02,NA\n'
    histories = read(tmp_path, csv)
    assert ("NA", "null") == histories.log.customers
    assert ("NA", "e") == histories.log.event.levels
    assert {"null_customer": 1} == histories.sources[0].rejected


# ---- times ----


def test_the_years_1_and_9999() -> None:
    """The first and the last moment that there is are a moment like others."""
    first, last = parse_moment("0001-01-01"), parse_moment("9999-12-31T23:59:59.999999")
    log = build_log(["c", "c"], np.array([last, first]), ["e", "e"])
    features = [events().count(), events().count(LONGEST), events().tenure(), calendar("month")]
    found = compute_exact(features, log, nobody(log), rows_of([0, 0], first))
    assert [1, 1, 0, 1] == found[0].tolist()
    found = compute_exact(features, log, nobody(log), rows_of([0], last))
    assert [2, 1, (last - first) / DAY, 12] == found[0].tolist()


@pytest.mark.parametrize("length", [LONGEST + 1, 2**62, 2**63])
def test_a_window_longer_than_a_hundred_years_is_refused(length: int) -> None:
    """No sum of moments can overflow; "so far" needs no length."""
    with pytest.raises(ValueError, match="longer than a hundred years"):
        events().count(last=length)
    assert 1 == compute_exact([events().trend(LONGEST)], *_one_event())[0, 0]


def _one_event() -> tuple[EventLog, EventLog, Rows]:
    log = log_of([{"event_time": "2024-01-01"}])
    return log, nobody(log), rows_at(log, ("c", "2024-01-02"))


def test_time_zones_and_daylight_saving(tmp_path: Path) -> None:
    """A time with a zone is that moment; one without is UTC, also when 02:30 comes twice."""
    csv = """customer,event_time,event
a,2024-10-27T02:30:00+02:00,first
a,2024-10-27T02:30:00+01:00,second
a,2024-10-27T02:30:00,utc
a,2024-10-27T02:30:00Z,zulu
"""
    log = read(tmp_path, csv, "select * from read_csv('events.csv', all_varchar = true)").log
    moments = dict(zip(log.event.codes.tolist(), log.event_time.tolist(), strict=True))
    found = {log.event.levels[code]: format_moment(t)[11:16] for code, t in moments.items()}
    assert {"first": "00:30", "second": "01:30", "utc": "02:30", "zulu": "02:30"} == found


def test_an_open_end_is_a_date(tmp_path: Path) -> None:
    """The last second of the year 9999, with which many systems say "for ever", is kept; infinity
    is no date."""
    csv = "customer,event_time,event\nann,2024-01-01,signed\nbob,2024-01-02,signed\n"
    query = (
        "select customer, event_time, event, timestamp '9999-12-31 23:59:59' as ends, "
        "'infinity'::timestamp as never from 'events.csv'"
    )
    log = read(tmp_path, csv, query).log
    assert {"9999-12-31T23:59:59Z"} == {format_moment(t) for t in log.times["ends"].tolist()}
    assert "never" not in log.times


# ---- arrays ----


def test_no_kind_of_array_makes_the_pass_compile_again() -> None:
    """Read-only Arrow memory, int32 rows and strided columns all meet the one compiled pass."""
    warm_up()
    n = 50
    arrow = pa.array(START + DAY * np.arange(n)).to_numpy()
    numbers = pa.array(np.arange(n, dtype=float)).to_numpy()
    assert not arrow.flags.writeable and not numbers.flags.writeable
    strided = np.arange(2 * n, dtype=float)[::2]
    stages = (("one", ("e",)), ("two", ("f",)))
    features = [*BASICS, events().distinct("plan"), stage_feature("stage_days", stages)]
    for value in (numbers, strided, numbers.astype(np.float32)):
        log = build_log(pa.array(["c"] * n), arrow, pa.array(["e", "f"] * (n // 2)), arrow,
                        {"value": value}, {"plan": pa.array(["x", None] * (n // 2))})  # fmt: skip
        for many in (1, 2, 9):
            zeros = pa.array(np.zeros(many, np.int64)).to_numpy()
            when = pa.array(np.full(many, START + 99 * DAY)).to_numpy()
            for who in (zeros, zeros.astype(np.int32)):
                found = compute(features, log, nobody(log), Rows(who, when, when))
                assert [n] * many == found[:, 0].tolist()
    build_log(["c"] * 3, np.zeros(3, np.int64), ["e", "f", "e"], None, {"value": [3.0, 1.0, 2.0]})
    compiled = (
        kernels.fill, kernels.group_rows, kernels.first_recorded, kernels.order_of, kernels.tied,
    )  # fmt: skip
    assert [1, 1] == [len(each.signatures) for each in compiled[:2]]
    assert all(len(each.signatures) <= 1 for each in compiled)
