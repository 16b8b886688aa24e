"""Changes of band of customers who come and go, on both stores, told as webhooks once each."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from books import PROBLEM, put, scored
from sqlalchemy import select

from features.config import read_config
from features.cutoffs import AsOf
from serving.at_risk import Question, page
from serving.book_names import score_id
from serving.book_rows import cells, ranks, rows
from serving.book_scores import find
from serving.book_store import MAKING, BookStore, Generation
from serving.database import Database
from serving.event_store import EventStore
from serving.hook_store import Hooks
from serving.hook_tables import HOOK_EVENTS
from serving.keeper import Keeper, Version
from serving.ledger import Ledger
from serving.snapshot import FromStore
from serving.webhooks import BAND_CHANGED

HIGH, LOW = 0.99, 0.1


@pytest.fixture
def keeper(database: Database, shop: Path, tmp_path: Path) -> Keeper:
    """The keeper of a workspace in which somebody wants to hear of bands."""
    business = read_config(shop)
    store = EventStore(database).workspace("shop")
    Hooks(database, store.workspace).subscribe("https://example.com/", [BAND_CHANGED], 1)
    histories = FromStore(business, store, tmp_path / "histories")
    return Keeper(business, store, tmp_path, histories, lambda _: None)


def kept(keeper: Keeper, probabilities: dict[str, float]) -> None:
    """Keep a book of these scores, as the keeper does."""
    version = Version(Path(), "shop-churn", "1", "1")
    keeper.put(PROBLEM, version, (1, AsOf.then(2)), scored(probabilities), Counter())


def bodies(keeper: Keeper) -> list[dict[str, Any]]:
    """What every event says that is to be delivered."""
    (subscription,) = keeper.hooks.subscriptions()
    names = [each.event for each in keeper.hooks.deliveries(subscription.id, None, 0, 1000)]
    with keeper.store.database.reading() as connection:
        query = select(HOOK_EVENTS.c.event, HOOK_EVENTS.c.body)
        found = {event: json.loads(body)["data"] for event, body in connection.execute(query)}
    assert len(names) == len(found) == len(set(names))
    return [found[name] for name in names]


def told(keeper: Keeper) -> list[tuple[str, str, str]]:
    """Customer, band before and band of each of them."""
    return [(data["customer"], data["band_before"], data["band"]) for data in bodies(keeper)]


@pytest.mark.parametrize("absent", [1, 3])
def test_who_comes_back_in_another_band_is_told_of_once(keeper: Keeper, absent: int) -> None:
    """However many books a customer was absent from, and whatever the others do; the list says the
    same. Who comes back as they were, and a newcomer, are silent."""
    kept(keeper, {"moved": HIGH, "same": HIGH, "stays": LOW})
    for _ in range(absent):
        kept(keeper, {"stays": LOW})
    assert [] == told(keeper)
    back = {"moved": LOW, "same": HIGH, "stays": LOW, "new": HIGH}
    kept(keeper, back)
    assert [("moved", "very high", "low")] == told(keeper)
    listed = {row.customer: row.band_before for row in page(keeper.book, Question(PROBLEM)).rows}
    expected = {"moved": "very high", "same": "very high", "stays": "low", "new": None}
    assert expected == listed
    kept(keeper, back)
    assert 1 == len(told(keeper))


def test_each_absence_is_followed_from_where_the_customer_stood_last(keeper: Keeper) -> None:
    """High, away, low, away, high: two changes, neither of them from the first book."""
    for probability in (HIGH, None, LOW, None, None, HIGH, None, HIGH):
        kept(keeper, {"stays": LOW} | ({} if probability is None else {"moves": probability}))
    assert [("moves", "very high", "low"), ("moves", "low", "very high")] == told(keeper)


def test_a_book_that_is_not_finished_remembers_nobody_and_forgets_nobody(
    keeper: Keeper, book: BookStore
) -> None:
    """What dies with its transaction leaves the bands of those who went as they were."""
    kept(keeper, {"moved": HIGH, "stays": LOW})
    kept(keeper, {"stays": LOW})
    before = book.stood(PROBLEM)
    table = scored({"moved": LOW})
    made = Generation(PROBLEM, 0, MAKING, "shop-churn", "1", "1", 2, 2, 1, 2, 0, {}, ())
    number = book.begin(made)
    book.add(PROBLEM, number, rows(table, *ranks(table), before.bands))
    with pytest.raises(ZeroDivisionError), book.database.writing() as connection:
        book.finish(connection, PROBLEM, number, 1, {}, cells(table))
        book.remember(connection, PROBLEM, before, ["moved"])
        raise ZeroDivisionError
    assert before == book.stood(PROBLEM)
    kept(keeper, {"moved": LOW, "stays": LOW})
    assert [("moved", "very high", "low")] == told(keeper)


def test_problems_and_workspaces_remember_their_own(database: Database, book: BookStore) -> None:
    """Nobody's band is taken from another workspace's book."""
    other = BookStore(database, EventStore(database).workspace("other").workspace)
    for each, probability in ((book, HIGH), (other, LOW)):
        put(each, {"c": probability})
        put(each, {})
    assert {"c": "very high"} == book.stood(PROBLEM).bands
    assert {"c": "low"} == other.stood(PROBLEM).bands
    assert {} == book.stood("another").bands


def test_what_is_told_stays_in_the_ledger_and_what_is_listed_in_its_book(
    keeper: Keeper, book: BookStore
) -> None:
    """The score of an event is read by its name however many books come after, of a list while its
    book or the next is current; both say the same. Nobody else's score is written twice."""
    kept(keeper, {"moved": HIGH, "stays": LOW, "odd/ü name": LOW})
    kept(keeper, {"moved": LOW, "stays": LOW, "odd/ü name": LOW})
    ledger = Ledger(book.database)
    made = book.current(PROBLEM)
    assert made is not None
    names = {
        who: score_id(made.made, made.number, PROBLEM, who)
        for who in ("moved", "stays", "odd/ü name")
    }
    listed = {who: find(book, name) for who, name in names.items()}
    for who, found in listed.items():
        assert found is not None
        recorded, answer = found[0], json.loads(found[1])
        assert (who, "low", LOW) == (recorded.customer, recorded.band, recorded.probability)
        assert (names[who], who, "1") == (recorded.score_id, answer["customer"], recorded.version)
    (event,) = bodies(keeper)
    assert event["score_id"] == names["moved"]
    assert listed["moved"] == ledger.find(book.workspace, event["score_id"])
    assert [names["moved"]] == [r.score_id for r, _ in ledger.every(book.workspace, "", 10)]
    kept(keeper, {"stays": LOW})
    assert listed["stays"] == find(book, names["stays"])
    kept(keeper, {"stays": LOW})
    assert [None] * 3 == [find(book, name) for name in names.values()]
    assert listed["moved"] == ledger.find(book.workspace, event["score_id"])


def test_a_name_that_no_book_gave_finds_nothing(keeper: Keeper, book: BookStore) -> None:
    """Another moment, number, problem, customer or workspace, and whatever is no name at all."""
    kept(keeper, {"c": HIGH})
    made = book.current(PROBLEM)
    assert made is not None
    mine = (made.made, made.number, PROBLEM, "c")
    name = score_id(*mine)
    assert find(book, name) is not None
    for place, other in enumerate((made.made + 1, made.number + 1, "other", "d")):
        assert find(book, score_id(*(*mine[:place], other, *mine[place + 1 :]))) is None
    for nonsense in (name + "=", name + "A", name[1:], name.upper(), f"{name}.{name}", ".1.", "",
                     f"{made.made:014x}.1._w", f"{made.made:014x}.1.AA", "x" * 3000):  # fmt: skip
        assert find(book, nonsense) is None
    others = BookStore(book.database, EventStore(book.database).workspace("other").workspace)
    assert find(others, name) is None
