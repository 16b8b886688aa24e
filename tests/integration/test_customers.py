"""One customer over HTTP: the journey in pages, attributes and scores."""

from pathlib import Path

import httpx
import pytest
from conftest import Service

from features.config import read_config
from features.sources import read_histories


@pytest.fixture
def client(shop_service: Service) -> httpx.Client:
    return shop_service.client()


def test_the_journey_comes_in_pages(shop: Path, client: httpx.Client) -> None:
    """All pages together are the source's events, newest first, each once."""
    log = read_histories(read_config(shop)).log.history("c006")
    found, cursor = [], None
    while True:
        asked = {"limit": 7} | ({} if cursor is None else {"cursor": cursor})
        page = client.get("/v1/customers/c006", params=asked).json()
        assert len(page["events"]) <= 7 and log.n_events == page["n_events"]
        found += page["events"]
        cursor = page["next"]
        if cursor is None:
            break
    names = [log.event.levels[code] for code in log.event.codes.tolist()]
    assert sorted(names) == sorted(event["event"] for event in found)
    times = [event["event_time"] for event in found]
    assert times == sorted(times, reverse=True)
    assert len({event["event_id"] for event in found}) == log.n_events
    assert {"city", "since"} <= {name for one in page["attributes"] for name in one["properties"]}


def test_a_page_is_bounded_and_says_what_follows(client: httpx.Client) -> None:
    """Statements and scores come in pages too, each with its own cursor; more than is read at a
    time is refused."""
    asked = [{"problem": "churn", "customer": "c010", "as_of": f"2024-01-1{i}"} for i in range(5)]
    ids = [client.post("/v1/scores", json=one).json()["score_id"] for one in asked]
    client.get(f"/v1/scores/{ids[-1]}")
    whole = client.get("/v1/customers/c010").json()
    assert [None] * 3 == [whole[name] for name in ("next", "attributes_next", "scores_next")]
    assert whole["n_events"] == len(whole["events"]) and whole["uncounted"] is False
    first = client.get("/v1/customers/c010", params={"limit": 1, "scores_limit": 2}).json()
    assert [1, 1, 2] == [len(first[name]) for name in ("events", "attributes", "scores")]
    assert first["n_events"] == whole["n_events"]
    cursors = {
        "cursor": first["next"], "attributes_cursor": first["attributes_next"],
        "scores_cursor": first["scores_next"],
    }  # fmt: skip
    assert cursors["cursor"] is not None and cursors["scores_cursor"] == ids[-2]
    given = {name: cursor for name, cursor in cursors.items() if cursor is not None}
    second = client.get(
        "/v1/customers/c010", params={"limit": 1, "scores_limit": 2, **given}
    ).json()
    assert whole["events"][1] == second["events"][0]
    assert whole["scores"][2:4] == second["scores"]
    for odd in ({"limit": 5001}, {"limit": 0}, {"scores_limit": 1001}, {"attributes_cursor": "x"}):
        assert 422 == client.get("/v1/customers/c010", params=odd).status_code


def test_nobody_is_a_404_and_a_strange_cursor_a_422(client: httpx.Client) -> None:
    """Neither tells anything of others."""
    unknown = client.get("/v1/customers/nobody")
    assert (404, "customer_unknown") == (unknown.status_code, unknown.json()["code"])
    strange = client.get("/v1/customers/c006", params={"cursor": "x"})
    assert (422, "request_invalid") == (strange.status_code, strange.json()["code"])


def test_the_newest_scores_stand_beside_the_journey(client: httpx.Client) -> None:
    """The last 20 of all that were given, newest first, each with what it said."""
    moments = [f"2024-01-{day:02}" for day in range(1, 23)]
    asked = [{"problem": "churn", "customer": "c009", "as_of": moment} for moment in moments]
    given = [client.post("/v1/scores", json=one).json() for one in asked]
    client.get(f"/v1/scores/{given[-1]['score_id']}")
    found = client.get("/v1/customers/c009").json()["scores"]
    told = ("score_id", "problem", "as_of", "probability", "percentile", "band", "model_version")
    expected = [[one[name] for name in told] for one in given[:-21:-1]]
    assert expected == [[one[name] for name in told] for one in found]
