"""From SQL to journeys: what is kept, what is set aside, and what stops a run."""

from pathlib import Path

import numpy as np
import pytest
from journeys import rejected_rows

from features.config import Business, read_config
from features.durations import parse_moment
from features.errors import ConfigError, SourceError
from features.sources import Histories, doubts, read_histories

GOOD = """customer,event_time,event,value
a,2024-01-03,buy,1.5
a,2024-01-01,buy,2
b,2024-01-02T10:00:00+02:00,look,
"""


def read(
    folder: Path, text: str = GOOD, sql: str = "select * from 'e.csv'", **more: object
) -> Histories:
    """Read one CSV as the only source."""
    (folder / "e.csv").write_text(text)
    source = {
        "sql": sql,
        "name": "feed",
        **{k: more.pop(k) for k in ("max_unreadable",) if k in more},
    }
    business = Business(name="b", events=[source], folder=folder, **more)
    return read_histories(business, folder / "rejected.parquet")


def varchar(columns: str = "*") -> str:
    return f"select {columns} from read_csv('e.csv', all_varchar = true)"


def test_rows_become_sorted_journeys(tmp_path: Path) -> None:
    """Events are sorted by customer and time, zones are respected, absent values are missing."""
    log = read(tmp_path).log
    assert ("a", "b") == log.customers
    assert [0, 2, 3] == log.offsets.tolist()
    expected = [parse_moment(t) for t in ("2024-01-01", "2024-01-03", "2024-01-02T08:00:00")]
    assert expected == log.event_time.tolist()
    np.testing.assert_array_equal([2, 1.5, np.nan], log.numbers["value"])


def test_an_account_counts_customers_and_names_events(tmp_path: Path) -> None:
    """It tells of the kept rows alone how many customers they are of and what happened."""
    sql = varchar("customer, event_time, event, try_cast(value as double) as value")
    account = read(tmp_path, GOOD + "c,yesterday,leave,1\n", sql, max_unreadable=0.5).sources[0]
    assert (2, ("buy", "look")) == (account.customers, account.events)


def test_the_order_of_rows_does_not_change_the_digest(tmp_path: Path) -> None:
    """The same rows in any order are the same histories."""
    lines = GOOD.strip().splitlines()
    backwards = "\n".join([lines[0], *lines[:0:-1]]) + "\n"
    other = tmp_path / "other"
    other.mkdir()
    assert read(tmp_path).digest == read(other, backwards).digest


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (",2024-01-03,buy,1", "null_customer"),
        ("a,,buy,1", "null_event_time"),
        ("a,yesterday,buy,1", "unreadable_event_time"),
        ("a,2024-13-45,buy,1", "unreadable_event_time"),
        ("a,infinity,buy,1", "unreadable_event_time"),
        ("a,2024-01-03,,1", "null_event"),
        ("a,2999-01-01,buy,1", "future_time"),
    ],
)
def test_a_bad_row_is_set_aside_counted_and_kept(row: str, reason: str, tmp_path: Path) -> None:
    """A row that can't be used is in `rejected.parquet` with its reason, and in the account."""
    sql = varchar("customer, event_time, event, try_cast(value as double) as value")
    histories = read(tmp_path, GOOD + row + "\n", sql, max_unreadable=0.5)
    account = histories.sources[0]
    assert ({reason: 1}, 4, 3) == (account.rejected, account.read, account.kept)
    assert [("feed", reason)] == rejected_rows(tmp_path / "rejected.parquet")
    assert 3 == histories.log.n_events


def test_a_used_event_id_is_set_aside(tmp_path: Path) -> None:
    """Of two rows with one id the first recorded is kept; rows without an id are all kept."""
    text = (
        "customer,event_time,recorded_time,event,event_id\n"
        "a,2024-01-01,2024-01-05,late,1\na,2024-01-01,2024-01-02,early,1\n"
        "a,2024-01-01,2024-01-02,free,\na,2024-01-01,2024-01-02,free,\n"
    )
    histories = read(tmp_path, text)
    assert {"duplicate_event_id": 1} == histories.sources[0].rejected
    log = histories.log
    assert ["early", "free", "free"] == [log.event.levels[c] for c in log.event.codes]


def test_too_many_unreadable_rows_stop_the_run(tmp_path: Path) -> None:
    """One per cent of broken times is an error that names source, count, example and mend."""
    lines = ["customer,event_time,event"]
    lines += [f"c{i},{'garbage' if i % 100 == 0 else '2024-01-01'},buy" for i in range(500)]
    with pytest.raises(
        SourceError, match=r"'feed' has 5 unreadable rows of 500.*garbage.*max_unreadable"
    ):
        read(tmp_path, "\n".join(lines) + "\n")
    assert 5 == len(rejected_rows(tmp_path / "rejected.parquet"))


def test_customers_without_an_id_do_not_stop_the_run(tmp_path: Path) -> None:
    """Anonymous rows are usual: they are counted, whatever their share."""
    text = GOOD + ",2024-01-01,look,\n" * 5
    assert {"null_customer": 5} == read(tmp_path, text).sources[0].rejected


def test_a_clean_reading_leaves_no_rejects_behind(tmp_path: Path) -> None:
    """An older `rejected.parquet` does not outlive its rows."""
    read(tmp_path, GOOD + ",2024-01-01,look,\n")
    assert (tmp_path / "rejected.parquet").exists()
    read(tmp_path)
    assert not (tmp_path / "rejected.parquet").exists()


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("select customer, event from 'e.csv'", "no column 'event_time'"),
        (
            "select customer, event_time as time, event from 'e.csv'",
            "yields 'customer', 'time', 'event'",
        ),
        ("selec 1", "source 'feed' fails"),
        ("select * from 'missing.csv'", "missing.csv"),
        ("select customer, 7 as event_time, event from 'e.csv'", "to_timestamp"),
        ("select *, [1, 2] as basket from 'e.csv'", "several values"),
        ("select customer, event_time, event, 'x' as value from 'e.csv'", "not a number"),
        ("select * from 'e.csv' where false", "no events at all"),
        ("select null::varchar as customer, event_time, event from 'e.csv'", "All 3 rows"),
    ],
)
def test_sql_that_can_not_be_used_is_named(sql: str, says: str, tmp_path: Path) -> None:
    """A failing source is one paragraph with its name and the mend."""
    with pytest.raises(SourceError, match=says) as caught:
        read(tmp_path, sql=sql)
    assert "\n" not in str(caught.value)


def test_a_broken_line_of_a_csv_is_named(tmp_path: Path) -> None:
    """Rows with a wrong number of fields are an error that says so, whatever the SQL is."""
    lines = ["customer,event_time,event,value", *(f"c{i},2024-01-01,buy,{i}" for i in range(300))]
    lines[100:300:100] = ["c,2024-01-01"] * 2
    for sql in ("select * from 'e.csv'", "select customer, event_time, event from 'e.csv'"):
        with pytest.raises(SourceError, match=r"'feed'.*more or fewer fields.*ignore_errors"):
            read(tmp_path, "\n".join(lines) + "\n", sql)
    strict = "select * from read_csv('e.csv', delim = ',', header = true, auto_detect = false, "
    strict += "columns = {'customer': 'varchar', 'event_time': 'date', 'event': 'varchar', "
    strict += "'value': 'double'})"
    with pytest.raises(SourceError, match=r"'feed'.*(?i:line)"):
        read(tmp_path, "\n".join(lines) + "\n", strict)


def test_two_sources_may_not_disagree_about_a_property(tmp_path: Path) -> None:
    """A property that is a number here and text there is an error that says so."""
    base = "select 'a' as customer, date '2024-01-01' as event_time, 'e' as event, "
    business = Business(
        name="b", events=[{"sql": base + "1 as size"}, {"sql": base + "'big' as size"}]
    )
    with pytest.raises(SourceError, match=r"'size' is a .* in one source"):
        read_histories(business)


def test_sources_are_merged_with_what_each_has(tmp_path: Path) -> None:
    """A property that a source lacks is missing in its events."""
    base = "select 'a' as customer, date '2024-01-0{}' as event_time, 'e' as event, {} as {}"
    business = Business(
        name="b",
        events=[{"sql": base.format(1, 5, "size")}, {"sql": base.format(2, "'x'", "kind")}],
        customers=[{"sql": "select 'z' as customer, 'Ulm' as city"}],
    )
    histories = read_histories(business)
    np.testing.assert_array_equal([5, np.nan], histories.log.numbers["size"])
    assert [-1, 0] == histories.log.categories["kind"].codes.tolist()
    assert ("a", "z") == histories.log.customers == histories.attributes.customers


def test_an_owner_that_no_source_yields_stops_the_run(tmp_path: Path) -> None:
    """Who reads the histories hears of it: before training, not at the import after it."""
    with pytest.raises(ConfigError, match="owner is 'agent', but no attribute"):
        read(tmp_path, people={"owner": "agent"})
    (tmp_path / "c.csv").write_text("customer,agent\na,Ann\n")
    about = {"sql": "select * from 'c.csv'"}
    assert ["agent"] == list(
        read(tmp_path, people={"owner": "agent"}, customers=about).attributes.categories
    )


def test_two_undated_rows_of_a_customer_are_refused(tmp_path: Path) -> None:
    """Nobody could say which of two attribute rows holds; `valid_from` settles it."""
    event = "select 'a' as customer, date '2024-01-01' as event_time, 'e' as event"
    twice = "select * from (values ('a', 'Ulm'), ('a', 'Bern')) as t(customer, city)"
    with pytest.raises(SourceError, match="valid_from"):
        read_histories(Business(name="b", events=[{"sql": event}], customers=[{"sql": twice}]))


def test_ids_stay_what_they_are(tmp_path: Path) -> None:
    """An id "NA" is a customer, an empty id is none, and 17850.0 is 17850."""
    sql = (
        "select * from (values ('NA'), ('')) as t(customer), "
        "(select date '2024-01-01' as event_time, 'e' as event)"
    )
    histories = read_histories(Business(name="b", events=[{"sql": sql}]))
    assert ("NA",) == histories.log.customers
    for kind in ("double", "float", "decimal(9, 2)", "bigint"):
        sql = f"select 17850::{kind} as customer, date '2024-01-01' as event_time, 'e' as event"
        assert ("17850",) == read_histories(Business(name="b", events=[{"sql": sql}])).log.customers
    sql += " union all select 'nan'::double, date '2024-01-01', 'e'"
    histories = read_histories(Business(name="b", events=[{"sql": sql}]))
    assert {"null_customer": 1} == histories.sources[0].rejected


def test_the_extract_decides_what_is_the_future(tmp_path: Path) -> None:
    """With `extracted_at`, later rows are set aside and the history ends there."""
    histories = read(tmp_path, extracted_at="2024-01-02T12:00:00")
    assert {"future_time": 1} == histories.sources[0].rejected
    assert parse_moment("2024-01-02T12:00:00") == histories.end


def test_an_event_id_that_is_no_id_stops_the_run(tmp_path: Path) -> None:
    """When most rows repeat an id, the column is wrong, not the rows."""
    text = "customer,event_time,event,event_id\n" + "a,2024-01-01,buy,7\n" * 9
    with pytest.raises(SourceError, match="is no id: 8 of 9 rows"):
        read(tmp_path, text)


def test_times_in_another_notation_are_told_how_to_be_read(tmp_path: Path) -> None:
    """When no time can be read, the mend is a format, not a tolerance."""
    text = "customer,event_time,event\n" + "a,31/12/2023 08:17,buy\n" * 9
    with pytest.raises(SourceError, match="strptime"):
        read(tmp_path, text, varchar())


def test_the_business_s_own_column_names_are_free(tmp_path: Path) -> None:
    """Columns called rowid, order or row are properties like any other, also of rejected rows."""
    text = (
        'customer,event_time,event,rowid,"order",row,event_id\n'
        "a,2024-01-01,buy,1,1,x,1\n,2024-01-01,buy,1,2,y,2\na,2024-01-02,buy,1,2,y,1\n"
    )
    histories = read(tmp_path, text)
    assert {"duplicate_event_id": 1, "null_customer": 1} == histories.sources[0].rejected
    assert {"rowid", "order", "row"} == set(histories.log.kinds)


def test_a_database_can_be_attached(tmp_path: Path) -> None:
    """SQL reads tables of an attached database, which is opened for reading alone."""
    import duckdb

    with duckdb.connect(str(tmp_path / "crm.duckdb")) as crm:
        crm.execute("create table visits as select 'a' as who, timestamp '2024-01-01' as seen")
    sql = "select who as customer, seen as event_time, 'visit' as event from crm.visits"
    business = Business(
        name="b", events=[{"sql": sql}], attach={"crm": "crm.duckdb"}, folder=tmp_path
    )
    assert ("a",) == read_histories(business).log.customers
    gone = business.model_copy(update={"attach": {"crm": "gone.duckdb"}})
    with pytest.raises(SourceError, match="'crm' can't be attached"):
        read_histories(gone)
    writing = business.model_copy(update={"events": [business.events[0].model_copy(
        update={"sql": "create table crm.more as select 1"})]})  # fmt: skip
    with pytest.raises(SourceError, match="fails"):
        read_histories(writing)


def test_what_looks_odd_is_said(tmp_path: Path) -> None:
    """A stage event that never occurs, a stopped feed and a stray late date are each a note."""
    days_of = ", ".join(f"(date '2024-01-01' + {day % 30})" for day in range(1200))
    select = "select 'a' as customer, unnest([{}]) as event_time, 'buy' as event"
    business = Business(
        name="b",
        events=[
            {"sql": select.format(days_of), "name": "shop"},
            {"sql": select.format("date '2024-09-01'"), "name": "late"},
            {"sql": "select 'a' as customer, date '2024-01-01' as event_time, 'join' as event",
             "name": "joins"},
        ],
        stages={"decision": ["bye"]},
    )  # fmt: skip
    said = " ".join(doubts(business, read_histories(business)))
    assert "stage decision names 'bye'" in said and "Did you mean 'buy'" in said
    assert "'shop' has no event after 2024-01-30" in said
    assert "2024-09-01: has the feed stopped?" in said
    assert "2024-09-01: are there no newer customers, or has the feed stopped?" in said
    assert "the last 1 events lie between 2024-01-30 and 2024-09-01" in said


def test_the_grocery_example_reads_the_same_on_any_number_of_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Sums of the example do not depend on how many threads add them."""
    import duckdb
    from conftest import GROCERY

    connect, digests = duckdb.connect, set()
    for threads in (1, 4):
        monkeypatch.setattr(
            "features.duck.duckdb.connect",
            lambda config, threads=threads: connect(config={**config, "threads": threads}),
        )
        digests.add(read_histories(read_config(GROCERY)).digest)
    assert 1 == len(digests)
