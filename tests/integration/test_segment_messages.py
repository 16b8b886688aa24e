"""Segment's messages that come again: each event counts once, on SQLite and PostgreSQL alike."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Service, serve
from sqlalchemy import func, update
from stores import addresses, opened, sent

from features.durations import HOUR, MINUTE, SECOND, format_moment, this_moment
from serving import quarantine
from serving.facts import AHEAD
from serving.intake import Intake
from serving.tables import QUARANTINE

PAST = "2024-01-02T10:00:00Z"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with addresses(request.param, tmp_path_factory.mktemp("store")) as found:
        yield found


@pytest.fixture(scope="module")
def service(url: str, shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    yield from serve(shop, tmp_path_factory.mktemp("messages"), database=url)


def posted(service: Service, kind: str, *messages: dict[str, Any]) -> list[dict[str, Any]]:
    """What became of messages, each posted in a request of its own."""
    with service.client() as client:
        answers = [client.post(f"/v1/{kind}", json=message) for message in messages]
    assert {200} == {answer.status_code for answer in answers}
    return [result for answer in answers for result in answer.json()["results"]]


def n_events(service: Service, customer: str) -> int:
    with service.client() as client:
        return int(client.get(f"/v1/customers/{customer}").json()["n_events"])


def test_a_message_without_an_id_is_told_by_what_it_says(service: Service) -> None:
    """Sent again with the times of another try it is a duplicate, by itself or in a batch; another
    time, property or context makes another event."""
    message = {"userId": "told", "event": "Order Completed", "timestamp": PAST,
               "properties": {"total": 5, "items": [1]}}  # fmt: skip
    now = this_moment()
    tries = [
        {**message, "sentAt": format_moment(now - ago), "receivedAt": format_moment(now - ago + 1)}
        for ago in (HOUR, MINUTE, 0)
    ]
    results = posted(service, "track", message, *tries)
    assert ["accepted", *["duplicate"] * 3] == [each["status"] for each in results]
    assert results[0]["event_id"].startswith("message~")
    batch = {"batch": [{"type": "track", **message}] * 2, "sentAt": format_moment(now)}
    assert ["duplicate"] * 2 == [each["status"] for each in posted(service, "batch", batch)]
    others: list[dict[str, Any]] = [
        {**message, "timestamp": "2024-01-02T10:00:01Z"},
        {**message, "properties": {"total": 5, "items": [2]}},
        {**message, "context": {"ip": "198.51.100.7"}},
        {**message, "messageId": "an id"},
    ]
    statuses = [each["status"] for each in posted(service, "track", *others, *others)]
    assert ["accepted"] * 4 + ["duplicate"] * 4 == statuses
    assert 5 == n_events(service, "told")


@pytest.mark.parametrize(
    "times", [{}, {"sentAt": PAST}, {"timestamp": None, "messageId": ""}], ids=str
)
@pytest.mark.parametrize("kind", ["track", "identify", "group", "page", "screen"])
def test_a_message_that_nothing_tells_from_its_second_try_is_set_aside(
    kind: str, times: dict[str, Any], service: Service
) -> None:
    """Without messageId and timestamp the answer says what to send; nothing of it is counted, and a
    replay keeps it no more than the first try."""
    message = {"userId": "untold", "event": "seen", "groupId": "g", "traits": {"a": 1}, **times}
    for result in posted(service, kind, message, message):
        assert ("quarantined", "id_and_time_missing") == (result["status"], result["reason"])
        assert "messageId" in result["detail"] and "timestamp" in result["detail"]
    with service.client() as client:
        tried = client.post("/v1/quarantine/replay", json={}).json()
        assert 404 == client.get("/v1/customers/untold").status_code
    assert 0 == tried["accepted"] + tried["duplicate"] < tried["quarantined"]


def test_an_id_or_any_time_of_its_own_is_enough(service: Service) -> None:
    """With messageId alone, or originalTimestamp alone, a message is kept, once."""
    for place, own in enumerate(({"messageId": "own"}, {"originalTimestamp": PAST})):
        message = {"userId": f"enough{place}", "event": "seen", **own}
        tries = [{**message, "sentAt": format_moment(this_moment() - ago)} for ago in (HOUR, 0)]
        results = posted(service, "track", *tries)
        assert ["accepted", "duplicate"] == [each["status"] for each in results]
        assert 1 == n_events(service, f"enough{place}")


def test_a_message_that_was_replayed_is_a_duplicate_when_it_comes_again(service: Service) -> None:
    """Set aside as too far ahead, kept by a replay, then sent again: one event."""
    soon = format_moment(this_moment() + AHEAD + 3 * SECOND)
    message = {"userId": "early", "event": "seen", "timestamp": soon}
    assert ["future_time"] == [each["reason"] for each in posted(service, "track", message)]
    time.sleep(4)
    with service.client() as client:
        tried = client.post("/v1/quarantine/replay", json={}).json()
    assert 1 == tried["accepted"]
    assert ["duplicate"] == [each["status"] for each in posted(service, "track", message)]
    assert 1 == n_events(service, "early")


def test_a_replay_takes_a_row_as_of_when_it_came(url: str) -> None:
    """However late and often a row is tried again, what it says without a time of its own happened
    when it first arrived, and a sender's clock is off by what it was off then."""
    store, intake = opened(url, "replayed"), Intake()
    said: list[tuple[str, dict[str, Any]]] = [
        ("segment:", {"type": "alias", "userId": "u", "event": "seen", "messageId": "m"}),
        ("segment:", {"type": "alias", "userId": "v", "event": "seen", "timestamp": PAST,
                      "sentAt": PAST}),
        ("event", {"customer": "w", "attributes": {"plan": []}}),
    ]  # fmt: skip
    for form, body in said:
        sent(intake, store, [body], form)
    came = this_moment() - 72 * HOUR
    with store.database.writing() as connection:
        mine = QUARANTINE.c.workspace == store.workspace
        mended = func.replace(func.replace(QUARANTINE.c.body, "alias", "track"), "[]", '"gold"')
        connection.execute(update(QUARANTINE).where(mine).values(arrived=came, body=mended))
    for expected in ("accepted", "duplicate"):
        assert ({expected: 3}, None) == quarantine.replay(store, intake, None)
        with store.database.writing() as connection:  # as if the process had died before it
            connection.execute(update(QUARANTINE).where(mine).values(replayed=None))
    intake.close()
    for who, side in (("u", 0), ("v", 0), ("w", 1)):
        assert [came] == [row[0] for row in store.journeys.rows(who)[side]]
