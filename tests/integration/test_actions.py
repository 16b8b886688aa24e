"""The ledger of actions, on SQLite and on PostgreSQL alike."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from journeys import make_shop
from sqlalchemy import select
from stores import addresses, opened, sent

from features.actions import ACTION_EVENTS, FOLLOW_UP, KINDS, event_of
from features.config import Business, read_config
from features.durations import DAY, parse_moment
from features.language import events
from features.sources import digest, read_histories
from models.contract import Contract
from serving.actions import MISTAKE, Action, Actions, FollowUp, UsedError, Wanted
from serving.database import Database
from serving.event_store import ACTIONS, EventStore, TenantStore, store_of
from serving.importing import import_sources
from serving.intake import ACTION, Intake
from serving.migrations import upgrade
from serving.snapshot import histories_of
from serving.tables import PROPERTIES, TOUCHED

SPRING = parse_moment("2024-03-01")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with addresses(request.param, tmp_path_factory.mktemp("store")) as found:
        yield found


@pytest.fixture
def intake() -> Iterator[Intake]:
    made = Intake()
    yield made
    made.close()


@pytest.fixture
def actions(url: str, request: pytest.FixtureRequest) -> Actions:
    """The ledger of a workspace of the test's own."""
    store = opened(url, request.node.name)
    return Actions(store.database, store.workspace)


def call(name: str, customer: str = "ann", day: int = 0, **more: object) -> Action:
    at = SPRING + day * DAY
    made = Action(name, customer, "call", at, at, "jane", 3.5, "open", "open", "no answer <b>")
    return replace(made, **more)  # type: ignore[arg-type]


def test_an_action_is_kept_once_by_its_id(actions: Actions) -> None:
    """The same sent again changes nothing, whenever it comes; another one is a conflict."""
    assert actions.add(call("a"))
    assert not actions.add(call("a", recorded=SPRING + DAY))
    actions.follow("a", FollowUp("f", SPRING, "jane", "reached", ""))
    assert not actions.add(call("a"))
    for other in ({"customer": "bob"}, {"cost": None}, {"first_outcome": "done"}, {"note": ""}):
        with pytest.raises(UsedError):
            actions.add(call("a", **other))
    assert [replace(call("a"), outcome="reached")] == actions.page(Wanted(), 10)


def test_the_newest_word_on_an_action_stands(actions: Actions) -> None:
    """Later words are added and none is lost; the action and its filters show the newest."""
    actions.add(call("a"))
    for place, outcome in enumerate(("reached", "declined")):
        said = FollowUp(f"f{place}", SPRING + place, "jane", outcome, f"word {place}")
        assert actions.follow("a", said)
        assert not actions.follow("a", said)
    found = actions.find("a")
    assert found is not None and ("open", "declined") == (found.first_outcome, found.outcome)
    assert ["declined", "reached"] == [each.outcome for each in actions.follow_ups(["a"])["a"]]
    assert [found] == actions.page(Wanted(outcome="declined"), 5)
    assert [] == actions.page(Wanted(outcome="reached"), 5)


def test_the_newest_action_of_each_customer(actions: Actions) -> None:
    """One answer for many customers: the last by its own time, without what was a mistake."""
    for place, (customer, day) in enumerate((("ann", 1), ("ann", 3), ("ann", 2), ("bob", 9))):
        actions.add(call(f"a{place}", customer, day))
    actions.add(call("wrong", "ann", 7, first_outcome=MISTAKE, outcome=MISTAKE))
    many = [f"c{number}" for number in range(1_200)]
    found = actions.newest(["ann", "bob", "nobody", *many])
    assert {"ann": "a1", "bob": "a3"} == {who: each.action for who, each in found.items()}
    assert {} == actions.newest([])


def test_pages_of_actions_go_on_where_they_stopped(actions: Actions) -> None:
    """Newest first, also of one moment; every action stands on one page, filters let through."""
    rng = np.random.default_rng(3)
    made = [
        call(f"a{n:02d}", f"c{n % 3}", int(rng.integers(4)), kind=KINDS[n % 5], who=f"p{n % 2}")
        for n in range(40)
    ]
    for each in made:
        actions.add(each)
    ordered = sorted(made, key=lambda each: each.place, reverse=True)
    for wanted in (Wanted(), Wanted(kind="offer"), Wanted("c1"), Wanted("c1", who="p0")):
        found: list[Action] = []
        while part := actions.page(replace(wanted, before=found[-1].place if found else None), 7):
            found += part
        fits = [
            each for each in ordered
            if wanted.customer in ("", each.customer) and wanted.kind in ("", each.kind)
            and wanted.who in ("", each.who)
        ]  # fmt: skip
        assert fits == found


def test_workspaces_do_not_share_actions(url: str, actions: Actions) -> None:
    """Another workspace may use the same id, and sees nothing of this one."""
    actions.add(call("a"))
    other = Actions(actions.database, EventStore(actions.database).workspace("another").workspace)
    assert None is other.find("a") and {} == other.newest(["ann"]) and [] == other.page(Wanted(), 9)
    assert other.add(call("a", "bob"))


def happened(customer: str, event: str, moment: str, **more: object) -> dict[str, object]:
    return {"customer": customer, "event": event, "event_time": moment, **more}


def act(kind: str, moment: str, name: str) -> dict[str, object]:
    more = {"kind": kind, "outcome": "reached", "cost": 2.0, "who": "jane", "value": 9.0}
    return happened("ann", event_of(kind), moment, event_id=name, **more)


def contract() -> Contract:
    """A contract that reads any event."""
    from types import SimpleNamespace

    return SimpleNamespace(  # type: ignore[return-value]
        event_kinds={"value": "number", "outcome": "number"}, attribute_kinds={},
        features=(events().count(),),
    )  # fmt: skip


def test_an_action_moves_neither_end_nor_journey(
    url: str, intake: Intake, request: pytest.FixtureRequest
) -> None:
    """It stands among the events; models, the end of the histories and sources know nothing of it.

    Its properties also leave the kinds of the business's own as they were.
    """
    store = opened(url, request.node.name)
    old = [happened("ann", "order", "2017-05-01", value=3.0, outcome=4.0, event_id="o1")]
    sent(intake, store, old)
    before = (store.end(), store.arrival())
    contract_ = contract()
    assert 1 == store.journeys.of("ann", contract_).n_events  # type: ignore[union-attr]
    results = sent(intake, store, [act(kind, "2026-01-02", f"a-{kind}") for kind in KINDS], ACTION)
    results += sent(intake, store, [act("call", "2026-01-02", "a-call")], ACTION)
    assert ["accepted"] * len(KINDS) + ["duplicate"] == [each.status for each in results]
    assert ["api"] == [feed.name for feed in store.feeds()]
    sent(intake, store, [happened("ann", FOLLOW_UP, "2026-01-03")])  # whoever sends it
    rows = store.journeys.rows("ann")[0]
    assert 1 + len(KINDS) + 1 == len(rows)
    assert ACTION_EVENTS | {"order"} == {row[2] for row in rows}
    assert before == (store.end(), store.arrival())
    assert 1 == store.journeys.of("ann", contract_).n_events  # type: ignore[union-attr]
    with store.database.reading() as connection:
        mine = PROPERTIES.c.workspace == store.workspace
        kinds = connection.execute(select(PROPERTIES.c.name).where(mine)).scalars().all()
        touched = connection.execute(
            select(TOUCHED.c.arrival).where(TOUCHED.c.workspace == store.workspace)
        ).all()
    assert {"value", "outcome"} == set(kinds)
    assert 1 == len(touched)
    sent(intake, store, [happened("ann", "order", "2017-06-01", value=1.0)])
    assert store.arrival() == before[1] + 1 and store.end() > before[0]


def test_only_actions_have_their_source(
    url: str, intake: Intake, request: pytest.FixtureRequest
) -> None:
    """An event that calls itself theirs is set aside: it would be in no account of sources."""
    store = opened(url, request.node.name)
    (result,) = sent(intake, store, [happened("ann", "order", "2017-05-01", source=ACTIONS)])
    assert ("quarantined", "source_invalid") == (result.status, result.reason)
    assert ([], []) == store.journeys.rows("ann")


def read_shop(tmp_path: Path, actions: bool) -> tuple[Business, TenantStore]:
    """A small shop in a store of its own, with some actions beside its events."""
    path = make_shop(tmp_path)
    if actions:
        path.write_text(f"{path.read_text()}\n[features]\nactions = true\n")
    business = read_config(path)
    database = Database(f"sqlite:///{tmp_path / 'milepost.db'}")
    upgrade(database)
    store = store_of(database, business)
    import_sources(business, store, progress=False)
    return business, store


@pytest.mark.parametrize("read", [False, True])
def test_sources_with_actions_train_as_without(tmp_path: Path, read: bool) -> None:
    """Actions that a business's SQL yields, as of a CRM or of the store itself, are in no history
    unless they are asked for; their columns are not either."""
    path = make_shop(tmp_path)
    before = read_histories(read_config(path))
    customer = before.log.customers[0]
    rows = " union all ".join(
        f"select '{customer}' as customer, '2031-01-0{n}' as event_time, '{event}' as event, "
        f"'jane' as who, {n} as value"
        for n, event in enumerate(sorted(ACTION_EVENTS), 1)
    )
    more = f'[[events]]\nname = "crm"\nsql = """{rows}"""\n'
    more += f"[features]\nactions = {str(read).lower()}\n"
    path.write_text(f'extracted_at = "2032-01-01"\n{path.read_text()}\n{more}')
    after = read_histories(read_config(path))
    assert read == (before.digest != after.digest)
    assert len(ACTION_EVENTS) * read == after.log.n_events - before.log.n_events
    assert read == ("who" in after.log.categories)


@pytest.mark.parametrize("read", [False, True])
def test_a_copy_for_training_holds_actions_only_if_asked_for(
    tmp_path: Path, intake: Intake, read: bool
) -> None:
    """The digest of the histories is the same with and without actions, unless they are read."""
    business, store = read_shop(tmp_path, read)
    before = histories_of(business, store.database.url)
    who = before.log.customers[0]
    rows = [{**act("call", "2023-06-01", f"a{n}"), "customer": who} for n in range(3)]
    sent(intake, store, rows, ACTION)
    after = histories_of(business, store.database.url)
    assert digest(before.log, before.attributes) == before.digest
    assert read == (before.digest != after.digest)
    assert 3 * read == after.log.n_events - before.log.n_events
    assert read == ("action_call" in after.log.event.levels)
    assert before.end == after.end
