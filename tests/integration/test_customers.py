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
