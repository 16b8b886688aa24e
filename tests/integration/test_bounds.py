"""Bounds of a workspace's sources and names of properties, on SQLite and PostgreSQL alike."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import serve
from journeys import make_shop
from sqlalchemy import select
from stores import addresses, opened, sent

from features.config import read_config
from serving import quarantine
from serving.bounds import TOO_MANY_NAMES, TOO_MANY_SOURCES, Bounds
from serving.event_store import TenantStore
from serving.importing import import_sources
from serving.intake import ACTION, Intake
from serving.tables import PROPERTIES

ROW = {"customer": "c", "event": "order", "event_time": "2024-01-01"}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with addresses(request.param, tmp_path_factory.mktemp("store")) as found:
        yield found


@pytest.fixture
def intake() -> Iterator[Intake]:
    made = Intake(Bounds(2, 3))
    yield made
    made.close()


def names(store: TenantStore) -> set[str]:
    with store.database.reading() as connection:
        mine = PROPERTIES.c.workspace == store.workspace
        return set(connection.execute(select(PROPERTIES.c.name).where(mine)).scalars())


def test_a_row_that_names_one_more_is_set_aside_alone(url: str, intake: Intake) -> None:
    """With its place and reason; rows with known names go on, before and behind it, also in other
    requests and processes; a duplicate stays one, and nothing of the row is kept."""
    store, other = opened(url, "alone"), opened(url, "alone")
    rows: list[object] = [
        {**ROW, "a": 1, "b": 2, "event_id": "1"},
        {**ROW, "c": 1, "d": 2, "event_id": "2"},
        {"customer": "c", "attributes": {"a": 1}, "valid_from": "2024-01-01"},
        {**ROW, "b": 2, "d": "", "event_id": "3"},
        {**ROW, "source": "second", "event_id": "1"},
        {**ROW, "source": "third", "event_id": "1"},
        {**ROW, "a": 1, "b": 2, "event_id": "1"},
    ]
    results = sent(intake, store, rows)
    expected = ["accepted", TOO_MANY_NAMES, "accepted", "accepted", "accepted", TOO_MANY_SOURCES,
                "duplicate"]  # fmt: skip
    assert expected == [each.reason or each.status for each in results]
    assert {"quarantined"} == {each.status for each in results if each.reason}
    assert all("MILEPOST_MAX_" in str(each.detail) for each in results if each.reason)
    late = sent(intake, other, [{**ROW, "e": 1}, {**ROW, "b": "text"}, {**ROW, "source": "fourth"}])
    assert [TOO_MANY_NAMES, None, TOO_MANY_SOURCES] == [each.reason for each in late]
    assert ({"a", "b"}, ["api", "second"]) == (names(store), [f.name for f in store.feeds()])
    reasons = [row.reason for row in quarantine.page(store, 10)[0]]
    assert 2 * [TOO_MANY_NAMES] + 2 * [TOO_MANY_SOURCES] == sorted(reasons)


def test_what_was_beyond_is_kept_once_the_bound_is_raised(url: str, intake: Intake) -> None:
    """A replay under the old bound keeps nothing, under a larger one everything, once."""
    store, larger = opened(url, "raised"), Intake(Bounds(9, 9))
    sent(intake, store, [{**ROW, "source": "only"}, {**ROW, "source": "only too"}])
    beyond = sent(intake, store, [{**ROW, "source": "beyond", "a": n} for n in range(3)])
    assert {TOO_MANY_SOURCES} == {each.reason for each in beyond}
    assert ({"quarantined": 3}, None) == quarantine.replay(store, intake, None)
    assert ({"accepted": 3}, None) == quarantine.replay(store, larger, None)
    assert ({}, None) == quarantine.replay(store, larger, None)
    assert 3 == {feed.name: feed.rows for feed in store.feeds()}["beyond"]
    larger.close()


def test_those_who_send_side_by_side_share_the_bound(url: str) -> None:
    """Whoever writes at the same time, no more names are kept than there may be."""
    bounds = Bounds(5, 20)

    def send(worker: int) -> int:
        store, intake = opened(url, "beside"), Intake(bounds)
        rows: list[object] = [
            {**ROW, "source": f"s{worker}{n}", f"p{worker}{n}": n} for n in range(10)
        ]
        found = [sent(intake, store, [row])[0].status for row in rows]
        intake.close()
        return found.count("accepted")

    opened(url, "beside")
    with ThreadPoolExecutor(3) as pool:
        accepted = sum(pool.map(send, range(3)))
    store = opened(url, "beside")
    assert 5 == accepted == len(store.feeds()) == len(names(store))


def test_actions_and_imports_are_never_beyond(url: str, intake: Intake, tmp_path: Path) -> None:
    """What people write down is kept however full the workspace is, and so is what its own sources
    bring; both leave an event of a known name as welcome as before."""
    store = opened(url, "full")
    business = read_config(make_shop(tmp_path, 20))
    done = import_sources(business, store, progress=False)
    assert {"accepted"} == set(done) and len(names(store)) > 3 and len(store.feeds()) > 2
    action = {**ROW, "event": "action_call", "who": "jane", "cost": 1, "event_id": "1"}
    assert "accepted" == sent(intake, store, [action], ACTION)[0].status
    known = {**ROW, "source": store.feeds()[0].name, "value": 2}
    assert "accepted" == sent(intake, store, [known])[0].status
    assert TOO_MANY_SOURCES == sent(intake, store, [{**known, "source": "new"}])[0].reason


def test_the_setting_bounds_what_is_posted(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over HTTP: 207, the row's index, its reason and what to do; the others are kept."""
    monkeypatch.setenv("MILEPOST_MAX_PROPERTIES", "1")
    for service in serve(shop, tmp_path / "bounded"):
        with service.client() as client:
            rows = [{**ROW, "value": 1}, {**ROW, "surely new": 1}, ROW]
            answered = client.post("/v1/events", json=rows)
        found = answered.json()
    assert (207, 2, 1) == (answered.status_code, found["accepted"], found["quarantined"])
    result = found["results"][1]
    assert (1, TOO_MANY_NAMES) == (result["index"], result["reason"])
    assert "MILEPOST_MAX_PROPERTIES" in result["detail"]
