"""Events in, durably: every row is accounted for, on SQLite and on PostgreSQL alike."""

import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from journeys import make_shop
from sqlalchemy import inspect, make_url, select, text
from stores import Cable, addresses, opened, sent

from features.buckets import read_buckets
from features.config import read_config
from features.cutoffs import AsOf
from features.durations import DAY, format_moment, parse_moment, this_moment
from features.engine import Rows, compute
from features.errors import SourceError
from features.event_log import EventLog, build_log, empty_log
from features.feature import Feature
from features.groups import with_groups
from features.sources import digest, read_histories
from serving import quarantine
from serving.customer_rows import CustomerRows
from serving.database import Database, StoreUnavailableError
from serving.event_store import EventStore, TenantStore
from serving.importing import import_sources
from serving.intake import CANONICAL, CUT, MOST_KEPT, Intake
from serving.migrations import upgrade
from serving.snapshot import FromStore, refreshed
from serving.tables import EVENT_DAYS, EVENTS, METADATA

KINDS = SimpleNamespace(
    event_kinds={"value": "number", "channel": "category", "renews_at": "time"},
    attribute_kinds={"plan": "category"},
    features=(),
)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with addresses(request.param, tmp_path_factory.mktemp("store")) as found:
        yield found


@pytest.fixture
def intake() -> Iterator[Intake]:
    made = Intake()
    yield made
    made.close()


def orders(seed: int, n: int = 200) -> list[dict[str, object]]:
    """Events with ids of their own, many at one moment."""
    rng = np.random.default_rng(seed)
    return [
        {
            "customer": f"c{rng.integers(5)}",
            "event": str(rng.choice(["order", "ticket"])),
            "event_time": f"2024-01-{rng.integers(1, 28):02d}",
            "event_id": f"e{i}",
            "value": float(rng.integers(9)),
            "channel": str(rng.choice(["web", "shop"])),
            "renews_at": "2025-03-01",
        }
        for i in range(n)
    ]


def content(log: EventLog) -> list[object]:
    """What a log says, without when it arrived."""
    return [
        log.event_time.tolist(),
        [log.event.levels[code] for code in log.event.codes],
        log.numbers["value"].tolist(),
        [log.categories["channel"].levels[code] for code in log.categories["channel"].codes],
        log.times["renews_at"].tolist(),
    ]


def test_migrations_make_what_the_metadata_says(url: str) -> None:
    """After the migrations a database has every table and column of the metadata."""
    store = opened(url, "tables")
    with store.database.reading() as connection:
        found = inspect(connection)
        for table in METADATA.sorted_tables:
            have = {column["name"] for column in found.get_columns(table.name)}
            assert set(table.columns.keys()) == have


def test_many_processes_may_start_at_once(url: str) -> None:
    """Migrations that are asked for at the same time are done once."""
    with ThreadPoolExecutor(4) as pool:
        names = list(pool.map(lambda _: opened(url, "start").workspace, range(4)))
    assert 1 == len(set(names))


@pytest.mark.parametrize("seed", range(3))
def test_arrivals_in_any_order_give_the_same_journeys(url: str, intake: Intake, seed: int) -> None:
    """Shuffling, repeating and batching arrivals changes neither rows nor journeys."""
    rows, rng = orders(seed), np.random.default_rng(seed)
    plain, mixed = opened(url, f"plain{seed}"), opened(url, f"mixed{seed}")
    sent(intake, plain, [*rows])
    again = [rows[i] for i in rng.permutation(np.repeat(np.arange(len(rows)), 2))]
    results = []
    for part in np.array_split(np.array(again, object), 7):
        results += sent(intake, mixed, list(part))
    assert {"accepted": 200, "duplicate": 200} == Counter(r.status for r in results)
    for customer in ("c0", "c1", "c2", "c3", "c4"):
        one, two = plain.journeys.of(customer, KINDS), mixed.journeys.of(customer, KINDS)
        assert one is not None and two is not None
        assert content(one.log) == content(two.log)
    assert [(f.name, f.rows) for f in plain.feeds()] == [(f.name, f.rows) for f in mixed.feeds()]


def test_every_row_is_accounted_for(url: str, intake: Intake) -> None:
    """A bad row is set aside or refused alone, with its place and reason."""
    store = opened(url, "account")
    good = {"customer": "c", "event": "order", "event_time": "2024-01-01", "event_id": "1"}
    rows = [
        good, {**good}, {**good, "customer": "d"}, {"customer": "c", "event": "order"}, 7,
        {**good, "event_id": "2", "value": "ten"}, {**good, "event_id": "3", "tags": ["a"]},
        {**good, "event_id": "4", "event_time": "2999-01-01"},
        {**good, "event_id": "5", "recorded_time": "2024-01-01"},
        {"customer": "c", "attributes": {"plan": "gold"}, "valid_from": "2024-01-01"},
    ]  # fmt: skip
    results = sent(intake, store, rows)
    assert list(range(10)) == [r.index for r in results]
    expected = [
        "accepted", "duplicate", "quarantined", "quarantined", "refused", "quarantined",
        "quarantined", "quarantined", "quarantined", "accepted",
    ]  # fmt: skip
    assert expected == [r.status for r in results]
    reasons = [
        "id_conflict", "event_time_missing", "not_an_object", "property_kind", "property_nested",
        "future_time", "recorded_time_given",
    ]  # fmt: skip
    assert reasons == [r.reason for r in results if r.reason]
    assert 6 == len(quarantine.page(store, 100)[0])
    journey = store.journeys.of("c", KINDS)
    assert journey is not None and ("1",) == journey.ids
    assert ("gold",) == journey.attributes.categories["plan"].levels


def test_hints_cost_little_however_many_kinds_are_unknown(tmp_path: Path, intake: Intake) -> None:
    """Of many unknown kinds in one request the first twenty are compared with those known; where
    no kind is known there is no model, and nothing to hint at."""
    store = opened(f"sqlite:///{tmp_path}/store.db")
    rows: list[object] = [
        {"customer": "c", "event": f"ordr {n}", "event_time": "2024-01-01"} for n in range(25)
    ]
    for known, expected in (
        (frozenset({"order", "ticket"}), (20, 5, 0)),
        (frozenset(), (0, 0, 25)),
    ):
        future = intake.take(store, rows, [CANONICAL] * 25, None, known)
        hints = [result.hint for result in future.result(60).results]
        near = sum(hint is not None and hint.endswith("'order'?") for hint in hints)
        assert expected == (near, 25 - near - hints.count(None), hints.count(None))


def test_a_replayed_row_is_kept_once_it_can_be(url: str, intake: Intake) -> None:
    """A row that was set aside is taken in when it is replayed and fits, and listed no more."""
    store = opened(url, "replay")
    row = {"customer": "c", "event": "order", "event_time": "2024-01-01"}
    sent(intake, store, [{**row, "event_id": "~x"}])
    named = quarantine.page(store, 10)[0][0].row
    with store.database.writing() as connection:
        mend = text("update quarantine set body = :b where row = :r".replace("row =", '"row" ='))
        connection.execute(mend, {"b": '{"customer":"c","event":"e","event_time":"2024-01-01"}',
                                  "r": named})  # fmt: skip
    assert ({"accepted": 1}, None) == quarantine.replay(store, intake, None)
    assert ([], False) == quarantine.page(store, 10)
    assert 1 == len(quarantine.page(store, 10, replayed=True)[0])


def test_of_a_long_row_little_is_kept_and_told(url: str, intake: Intake) -> None:
    """Rows of any length make a quarantine of bounded rows and pages; what was cut is said to be,
    is never tried again, and keeps no other row from that."""
    store = opened(url, "long")
    long = [{"event": "order", "text": f"{n} " + "ü" * 100_000} for n in range(100)]
    results = sent(intake, store, [*long])
    assert {"event_time_missing"} == {r.reason for r in results}
    first, more = quarantine.page(store, 1000)
    assert more and sum(len(row.body.encode()) for row in first) <= quarantine.MOST_BYTES
    assert {CUT} == {row.form for row in first}
    assert all(0 <= MOST_KEPT - len(row.body.encode()) < 4 for row in first)
    assert all(row.body.startswith('{"event":"order","text":"') for row in first)
    found = {row.row for row in first}
    while more:
        rows, more = quarantine.page(store, 1000, (first[-1].arrived, max(found)))
        found |= {row.row for row in rows}
    assert 100 == len(found)
    sent(intake, store, [{"customer": "c", "event": "order"}])
    assert ({"quarantined": 1}, None) == quarantine.replay(store, intake, None)
    assert not quarantine.replay(store, intake, [*found])[0]


def test_rows_that_never_fit_keep_no_other_from_being_tried(url: str, intake: Intake) -> None:
    """Behind a thousand rows that don't fit the next are tried by going on from the answer."""
    store = opened(url, "starving")
    n = quarantine.MOST_AT_ONCE
    sent(intake, store, [{"customer": f"c{i}", "event": "order"} for i in range(n + 3)])
    tried, following = quarantine.replay(store, intake, None)
    assert {"quarantined": n} == tried and following is not None
    place = quarantine.read_place(following)
    assert ({"quarantined": 3}, None) == quarantine.replay(store, intake, None, place)


def test_values_of_another_kind_are_missing_and_named(url: str, intake: Intake) -> None:
    """A stored value of another kind than in training counts as missing and is told."""
    store = opened(url, "kinds")
    row = {"customer": "c", "event": "order", "event_time": "2024-01-01"}
    sent(intake, store, [{**row, "value": 2.0, "renews_at": 5}, {**row, "value": 3, "x": "y"}])
    journey = store.journeys.of("c", KINDS)
    assert journey is not None
    assert ("property renews_at",) == journey.unread
    assert [2.0, 3.0] == journey.log.numbers["value"].tolist()
    assert store.journeys.of("nobody", KINDS) is None


def test_pages_hold_an_event_of_each_source(url: str, intake: Intake) -> None:
    """Events of two sources with one time and id, and their neighbours, stand on a page each."""
    store = opened(url, "paged")
    row = {"customer": "c", "event": "order", "event_time": "2024-01-01"}
    sent(intake, store, [{**row, "source": source, "event_id": event, "from": source}
                         for event in "xyz" for source in "abc"])  # fmt: skip
    events = store.journeys.rows("c")[0][::-1]
    rows = CustomerRows(store.database, store.workspace, "c")
    found, cursor = [], None
    while True:
        page = rows.events(1, cursor)
        found += page.rows
        cursor = page.next
        if cursor is None:
            break
    assert 9 == len(found) and [tuple(row) for row in events] == found


def test_segment_messages_are_told_by_their_id(url: str, intake: Intake) -> None:
    """A message that is tried again with another sentAt is the same message."""
    store = opened(url, "segment")
    message = {
        "type": "track", "userId": "u", "event": "Order Completed", "messageId": "m",
        "timestamp": "2024-05-01T10:00:00Z", "properties": {"total": 5, "a": {"b": "c"}},
    }  # fmt: skip
    tries = [{**message, "sentAt": f"2024-05-01T10:00:0{i}Z"} for i in (1, 2)]
    results = [sent(intake, store, [each], "segment:")[0].status for each in tries]
    assert ["accepted", "duplicate"] == results
    others: list[object] = [
        {"type": "identify", "userId": "u", "messageId": "i", "traits": {"plan": "gold"}},
        {"type": "alias", "userId": "u", "previousId": "v"},
    ]
    other = sent(intake, store, others, "segment:")
    assert ["accepted", "quarantined"] == [r.status for r in other]
    journey = store.journeys.of("u", KINDS)
    assert journey is not None and ("gold",) == journey.attributes.categories["plan"].levels


def test_the_largest_sources_are_told(url: str, intake: Intake) -> None:
    """Of many sources those with the most rows, by name."""
    store = opened(url, "sources")
    rows = [
        {"customer": "c", "event": "e", "event_time": f"2024-01-{i + 1:02d}", "source": name}
        for name, n in (("b", 3), ("a", 2), ("c", 1))
        for i in range(n)
    ]
    sent(intake, store, list(rows))
    assert ["a", "b"] == [feed.name for feed in store.feeds(2)]
    assert ["a", "b", "c"] == [feed.name for feed in store.feeds()]


def test_segment_s_user_0_is_somebody(url: str, intake: Intake) -> None:
    """A number is a user's id, 0 as well; an empty text is none."""
    store = opened(url, "zero")
    message = {"type": "track", "event": "seen", "anonymousId": "a", "timestamp": "2024-05-01"}
    sent(intake, store, [{**message, "userId": 0}, {**message, "userId": ""}], "segment:")
    for who in ("0", "a"):
        journey = store.journeys.of(who, KINDS)
        assert journey is not None and 1 == journey.n_events


@pytest.mark.parametrize("seed", range(2))
def test_events_are_counted_once_by_their_days(url: str, intake: Intake, seed: int) -> None:
    """However often and in whatever parts events come; what people did and statements count not."""
    store, rng = opened(url, f"days{seed}"), np.random.default_rng(seed)
    rows = orders(seed)
    again = [rows[i] for i in rng.permutation(np.repeat(np.arange(len(rows)), 2))]
    others: list[object] = [
        {"customer": "c1", "event": "action_call", "event_time": "2024-01-05"},
        {"customer": "c1", "attributes": {"plan": "gold"}, "valid_from": "2024-01-06"},
        {**rows[0], "event_id": "bad", "value": "ten", "event_time": "soon"},
    ]
    for part in np.array_split(np.array([*again, *others], object), 9):
        sent(intake, store, list(part))
    with store.database.reading() as connection:
        mine = select(EVENT_DAYS.c.day, EVENT_DAYS.c.events)
        found = connection.execute(mine.where(EVENT_DAYS.c.workspace == store.workspace)).all()
    expected = Counter(parse_moment(str(row["event_time"])) // DAY for row in rows)
    assert expected == {int(day): int(events) for day, events in found}


@pytest.mark.parametrize("seed", range(2))
def test_no_arrival_takes_anything_back(url: str, intake: Intake, seed: int) -> None:
    """The end of histories never goes back, what is known goes on with each arrival and is never
    before the end, and every process sees the same."""
    store, other = opened(url, f"reach{seed}"), opened(url, f"reach{seed}")
    rng, now, before = np.random.default_rng(seed), this_moment(), AsOf.then(-(2**60))
    row = {"customer": "c", "event": "order"}
    for number, ago in enumerate((10 ** rng.uniform(0, 4.8, 60)).tolist()):
        when = format_moment(now - int(ago * DAY / 10))
        made = (store, other)[number % 2]
        sent(intake, made, [{**row, "event_time": when, "event_id": str(number)}])
        found = store.as_of()
        assert found == other.as_of() == other.state()[1]
        assert found.moment >= before.moment and found.known_time > before.known_time
        assert found.known_time >= found.moment
        broken = other.broken_off()
        assert broken is None or broken.until == found.moment
        before = found
    sent(intake, store, [{**row, "event_time": when, "event_id": str(number)}])  # a duplicate
    assert before == store.as_of()


def test_workspaces_see_only_their_own(url: str, intake: Intake) -> None:
    """The same ids in two workspaces are two events."""
    one, two = opened(url, "one"), opened(url, "two")
    row = {"customer": "c", "event": "order", "event_time": "2024-01-01", "event_id": "same"}
    statuses = [sent(intake, store, [row])[0].status for store in (one, two)]
    assert ["accepted", "accepted"] == statuses
    assert opened(url, "three").journeys.of("c", KINDS) is None


def test_an_import_is_what_training_reads(url: str, tmp_path: Path) -> None:
    """Imported journeys equal those of the sources bit for bit; a second import adds nothing."""
    business = read_config(make_shop(tmp_path, 40))
    histories = read_histories(business)
    store = opened(url, "imported")
    first = import_sources(business, store, progress=False)
    again = import_sources(business, store, progress=False)
    rows = histories.log.n_events + histories.attributes.n_events
    assert ({"accepted": rows}, {"duplicate": rows}) == (first, again)
    assert histories.end == store.end()
    contract = SimpleNamespace(
        event_kinds=histories.log.kinds, attribute_kinds=histories.attributes.kinds, features=()
    )
    for customer in histories.log.customers:
        journey = store.journeys.of(customer, contract)
        assert journey is not None
        assert digest(histories.log.history(customer)) == _spelt(journey.log, histories.log)


def test_an_export_is_what_the_sources_are(url: str, tmp_path: Path) -> None:
    """Histories exported from the store have the digest, the end and the rows of the sources."""
    business = read_config(make_shop(tmp_path, 40))
    histories = read_histories(business)
    store = opened(url, "shop")
    import_sources(business, store, progress=False)
    made = refreshed(business, url, tmp_path / "copy")
    assert (histories.digest, histories.end) == (made.digest, made.end)
    assert histories.digest == digest(*(lambda h: (h.log, h.attributes))(
        read_buckets(business, tmp_path / "copy")))  # fmt: skip


def test_a_copy_that_failed_is_made_again(tmp_path: Path, intake: Intake) -> None:
    """After the store was away during a copy, the next try at the same arrival succeeds."""
    business = read_config(make_shop(tmp_path, 40)).model_copy(update={"name": "away"})
    database = tmp_path / "away.db"
    store = opened(f"sqlite:///{database}", "away")
    sent(intake, store, [{"customer": "c", "event": "order", "event_time": "2024-01-01"}])
    copies = FromStore(business, store, tmp_path / "copies")
    state = copies.state()
    url = store.database.url
    store.database.url = f"sqlite:///{tmp_path / 'elsewhere.db'}"  # what the copier is sent to
    with pytest.raises(SourceError, match="can't be copied"):
        copies.copy()
    store.database.url = url
    assert state == copies.state()
    assert 1 == copies.copy().buckets.whole.n_events


def test_a_copy_holds_what_was_sent(url: str, intake: Intake, tmp_path: Path) -> None:
    """Events of any kinds that were sent stand in a copy; a value of another kind is missing."""
    business = read_config(make_shop(tmp_path, 40))
    business = business.model_copy(update={"name": "sent"})
    store = opened(url, "sent")
    row = {"customer": "c", "event": "order", "event_time": "2024-01-01"}
    sent(intake, store, [{**row, "v": 2.5, "w": "2024-05-01"}, {**row, "v": "x"}, {**row, "w": 1},
                         {**row, "n": 1e-300, "u": "ü\n\u2028"}])  # fmt: skip
    log = read_buckets(business, refreshed(business, url, tmp_path / "copy").folder).log
    assert {"v": "category", "w": "category", "n": "number", "u": "category"} == log.kinds
    assert [1e-300] == log.numbers["n"][~np.isnan(log.numbers["n"])].tolist()
    assert ("ü\n\u2028",) == log.categories["u"].levels
    assert ("x",) == log.categories["v"].levels


def test_what_was_read_is_read_again_when_it_changes(url: str, intake: Intake) -> None:
    """A journey and its group are as they are stored now, whoever of the group has changed."""
    stores = [opened(url, "recent", ("account",)) for _ in range(2)]
    features = (Feature("count", over="account"),)
    kinds = {**KINDS.event_kinds, "account": "category"}
    contract = SimpleNamespace(event_kinds=kinds, attribute_kinds={}, features=features)
    row = {"event": "order", "event_time": "2024-01-01", "account": "a"}
    sizes = []
    for i in range(4):
        sent(intake, stores[i % 2], [{**row, "customer": f"c{i // 2}", "event_id": str(i)}])
        for store in stores:
            journey = store.journeys.of("c0", contract)
            assert journey is not None
            sizes.append((journey.log.n_events, journey.log.groups["account"].n_events))
    assert [(1, 1)] * 2 + [(2, 2)] * 2 + [(2, 3)] * 2 + [(2, 4)] * 2 == sizes


@pytest.mark.parametrize("seed", range(4))
def test_groups_are_as_in_the_whole_log(tmp_path: Path, intake: Intake, seed: int) -> None:
    """Features of a group computed from a stored journey have the bits of the whole log's."""
    rng = np.random.default_rng(seed)
    store = opened(f"sqlite:///{tmp_path / 'groups.db'}", "shop", ("account",))
    unit = 86_400 if seed % 2 else 1
    rows = [
        {
            **row,
            "event_time": format_moment(int(rng.integers(9)) * unit * 1_000_000),
            "account": str(rng.choice(["a", "b"])),
        }
        for row in orders(seed, 120)
    ]
    sent(intake, store, [*rows])
    read = {
        "sum": "value",
        "last_number": "value",
        "distinct": "customer",
        "level_changes": "channel",
    }
    features = tuple(
        Feature(kind, of=read.get(kind), over="account") for kind in ("count", "gap_last", *read)
    )
    kinds = {**KINDS.event_kinds, "account": "category"}
    contract = SimpleNamespace(event_kinds=kinds, attribute_kinds={}, features=features)
    journeys = {f"c{i}": store.journeys.of(f"c{i}", contract) for i in range(5)}
    whole = build_log(
        [str(row["customer"]) for row in rows],
        np.array([parse_moment(str(row["event_time"])) for row in rows]),
        [str(row["event"]) for row in rows],
        None,
        {"value": np.array([row["value"] for row in rows], np.float64)},
        {name: [str(row[name]) for row in rows] for name in ("channel", "account")},
        {"renews_at": np.array([parse_moment("2025-03-01")] * len(rows))},
    )
    whole = with_groups(whole, ["account"])
    at, known = parse_moment("1970-01-06"), parse_moment("2100-01-01")
    for number, customer in enumerate(whole.customers):
        journey = journeys[customer]
        assert journey is not None
        asked = [Rows(np.array([i]), np.array([at]), np.array([known])) for i in (number, 0)]
        expected = compute(features, whole, empty_log(whole.customers), asked[0])
        actual = compute(features, journey.log, journey.attributes, asked[1])
        assert expected.tobytes() == actual.tobytes()


def _spelt(log: EventLog, whole: EventLog) -> str:
    """The digest of a log whose codes are those of the whole log."""
    from dataclasses import replace

    from features.categorical import Categorical

    def recoded(own: Categorical, of: Categorical) -> Categorical:
        rank = np.array([of.levels.index(level) for level in own.levels] + [-1], np.int32)
        return Categorical(rank[own.codes], of.levels)

    categories = {n: recoded(c, whole.categories[n]) for n, c in log.categories.items()}
    return digest(replace(log, event=recoded(log.event, whole.event), categories=categories))


def test_writers_side_by_side_lose_and_double_nothing(url: str) -> None:
    """Two writers with their own connections who send the same rows keep each once."""
    stores = [opened(url, "together") for _ in range(2)]
    intakes = [Intake(), Intake()]
    rows = orders(9, 300)

    def send(k: int) -> Counter[str]:
        parts = [rows[i : i + 20] for i in range(0, 300, 20)]
        return Counter(r.status for p in parts for r in sent(intakes[k], stores[k], [*p]))

    with ThreadPoolExecutor(2) as pool:
        done = sum(pool.map(send, range(2)), Counter())
    for intake in intakes:
        intake.close()
    assert {"accepted": 300, "duplicate": 300} == done
    with stores[0].database.reading() as connection:
        mine = select(EVENTS.c.event_id).where(EVENTS.c.workspace == stores[0].workspace)
        assert 300 == len(connection.execute(mine).all())


def test_a_store_that_is_away_is_said_to_be_and_comes_back(tmp_path: Path, intake: Intake) -> None:
    """A locked database refuses clearly and takes events again without a restart."""
    store = opened(f"sqlite:///{tmp_path / 'locked.db'}")
    other = opened(f"sqlite:///{tmp_path / 'locked.db'}")
    row = {"customer": "c", "event": "order", "event_time": "2024-01-01"}
    with other.database.writing(), pytest.raises(StoreUnavailableError):
        sent(intake, store, [row])
    assert "accepted" == sent(intake, store, [row])[0].status


def test_a_full_disk_is_said_to_be_full(tmp_path: Path, intake: Intake) -> None:
    """What does not fit is refused whole; the store stays readable and goes on with room."""
    store = opened(f"sqlite:///{tmp_path / 'full.db'}")
    sent(intake, store, orders(1, 50))

    def pages(most: int) -> None:
        with store.database.writer.connect() as connection:
            connection.exec_driver_sql(f"pragma max_page_count = {most}")

    pages(1)  # no page more than there are
    late = [{**row, "event_id": f"late {row['event_id']}"} for row in orders(2, 2000)]
    with pytest.raises(StoreUnavailableError, match="disk is full"):
        sent(intake, store, late)
    assert [50] == [feed.rows for feed in store.feeds()]
    pages(1_000_000)
    assert {"accepted"} == {r.status for r in sent(intake, store, late)}


def test_lost_connections_are_made_again(url: str, intake: Intake) -> None:
    """After the server has cut all connections, events are taken and read without a restart."""
    store = opened(url, "cut")
    sent(intake, store, orders(3, 20))
    assert store.journeys.of("c0", KINDS) is not None
    if not store.database.is_sqlite:
        other = Database(url)
        with suppress(StoreUnavailableError), other.writing() as connection:
            connection.execute(text(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where pid <> pg_backend_pid() and backend_type = 'client backend'"
            ))  # fmt: skip
    late = [{**row, "event_id": f"late {row['event_id']}"} for row in orders(4, 20)]
    assert {"accepted"} == {r.status for r in sent(intake, store, late)}
    with suppress(StoreUnavailableError):
        store.journeys.of("c0", KINDS)
    assert store.journeys.of("c0", KINDS) is not None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux drops a socket's packets")
def test_a_server_that_is_lost_without_a_word_is_noticed(postgresql: str) -> None:
    """Whoever waits for an answer, asks anew or connects gets an error; it works once mended."""
    server = make_url(postgresql)
    assert server.port is not None
    cable = Cable(server.port)
    database = Database(server.set(port=cable.port).render_as_string(hide_password=False))

    def ask(statement: str) -> object:
        with database.reading() as connection:
            return connection.execute(text(statement)).scalar()

    with ThreadPoolExecutor(3) as pool:
        assert [1, 1] == [ask("select 1"), pool.submit(ask, "select 1").result(30)]
        waits = pool.submit(ask, "select 1 from pg_sleep(50)")
        while not ask("select count(*) from pg_stat_activity where wait_event = 'PgSleep'"):
            pass  # until the server is at it
        cable.cut()
        for lost in (waits, pool.submit(ask, "select 2"), pool.submit(ask, "select 3")):
            with pytest.raises(StoreUnavailableError, match="its server does not answer"):
                lost.result(40)
        cable.mend()
        assert 4 == ask("select 4")
    database.close()
    cable.close()


def test_a_newer_database_is_not_touched(tmp_path: Path) -> None:
    """A database that a newer version has changed is refused."""
    store: TenantStore = opened(f"sqlite:///{tmp_path / 'newer.db'}")
    with store.database.writing() as connection:
        connection.execute(text("update alembic_version set version_num = '9999'"))
    with pytest.raises(StoreUnavailableError, match="newer"):
        upgrade(store.database)
    assert EventStore(store.database).workspace("shop").workspace == store.workspace
