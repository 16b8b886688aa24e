"""One customer over HTTP: the journey in pages, attributes, and suppositions."""

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


def test_an_order_more_makes_leaving_less_likely(client: httpx.Client) -> None:
    """What is supposed changes the score, is no promise, and is kept nowhere."""
    asked = {"problem": "churn", "customer": "c001", "as_of": "2024-02-01"}
    before = client.post("/v1/scores", json=asked).json()
    n_events = client.get("/v1/customers/c001").json()["n_events"]
    events = [{"event": "order", "value": 40.0, "channel": "web"}]
    found = client.post("/v1/what-if", json={**asked, "suppose": {"events": events}}).json()
    assert before["probability"] == found["probability"]
    assert found["supposing"] < found["probability"]
    points = 100 * (found["supposing"] - found["probability"])
    assert found["points"] == pytest.approx(points, abs=1e-9)
    assert "not what doing it would change" in found["label"]
    assert n_events == client.get("/v1/customers/c001").json()["n_events"]


@pytest.mark.parametrize(
    "suppose",
    [{"events": [{"event": "dance"}]}, {"events": [{"event": "order", "value": 1e9}]},
     {"attributes": {"city": "Ulm"}}, {}],
    ids=["never seen", "beyond all", "not actionable", "nothing"],
)  # fmt: skip
def test_what_can_not_be_supposed_is_refused_with_the_reason(
    suppose: dict[str, object], client: httpx.Client
) -> None:
    """422, a code of its own and a sentence."""
    asked = {"problem": "churn", "customer": "c001", "as_of": "2024-02-01"}
    refused = client.post("/v1/what-if", json={**asked, "suppose": suppose})
    assert 422 == refused.status_code
    assert refused.json()["detail"] and refused.json()["code"]
