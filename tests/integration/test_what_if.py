"""What would a score be, over HTTP: only what is actionable and plausible is answered."""

from typing import Any

import httpx
import pytest
from conftest import Service
from given import as_given, probability

AS_OF = "2024-02-01T00:00:00Z"
ASKED = {"problem": "churn", "customer": "c001", "as_of": AS_OF}
ORDER = {"event": "order", "value": 40.0, "channel": "web"}


@pytest.fixture
def client(shop_service: Service) -> httpx.Client:
    return shop_service.client()


def test_supposing_is_the_score_of_the_history_with_the_event_in_it(client: httpx.Client) -> None:
    """Both sides equal what a request gets that brings the history, without and with the event."""
    found = client.post("/v1/what-if", json={**ASKED, "suppose": {"events": [ORDER]}}).json()
    given = as_given(client, "c001")
    assert probability(client, given, AS_OF) == pytest.approx(found["probability"], abs=1e-12)
    given["events"].append({**ORDER, "event_time": AS_OF})
    assert probability(client, given, AS_OF) == pytest.approx(found["supposing"], abs=1e-12)
    points = 100 * (found["supposing"] - found["probability"])
    assert found["points"] == pytest.approx(points, abs=1e-9)
    assert found["supposing"] < found["probability"]


def test_it_is_labelled_an_association_and_kept_nowhere(client: httpx.Client) -> None:
    """The answer says that it is no effect; neither journey nor score history has grown."""
    before = client.get("/v1/customers/c001").json()
    asked = {**ASKED, "customer": "c001", "suppose": {"events": [ORDER]}}
    found = client.post("/v1/what-if", json=asked).json()
    assert "answered" == found["status"]
    assert "not what doing it would change" in found["label"]
    last = client.post("/v1/scores", json={**ASKED, "customer": "c005"}).json()
    client.get(f"/v1/scores/{last['score_id']}")  # what is recorded is recorded in order
    assert before == client.get("/v1/customers/c001").json()


@pytest.mark.parametrize(
    ("suppose", "code"),
    [
        ({}, "nothing_supposed"),
        ({"events": [{"event": "dance"}]}, "unknown_event"),
        ({"events": [{"event": "order", "mood": "good"}]}, "unknown_property"),
        ({"events": [{"event": "order", "value": 1e9}]}, "value_never_seen"),
        ({"events": [{"event": "order", "channel": "pigeon"}]}, "value_never_seen"),
        ({"events": [{"event": "order", "value": "much"}]}, "history_invalid"),
        ({"events": [{**ORDER, "event_time": "2023-02-01"}]}, "in_the_past"),
        ({"events": [{**ORDER, "event_time": "2024-02-02"}]}, "after_the_score"),
        ({"events": [ORDER] * 50}, "more_than_seen"),
        ({"events": [ORDER] * 51}, "request_invalid"),
        ({"attributes": {"city": "Ulm"}}, "not_actionable"),
        ({"attributes": {"shoe": 43}}, "unknown_attribute"),
    ],
)
def test_what_can_not_be_supposed_is_refused_with_the_reason(
    suppose: dict[str, Any], code: str, client: httpx.Client
) -> None:
    """422 with a code of its own and a sentence."""
    refused = client.post("/v1/what-if", json={**ASKED, "suppose": suppose})
    assert (422, code) == (refused.status_code, refused.json()["code"])
    assert len(refused.json()["detail"].split()) > 4


def test_a_vector_has_no_events_to_suppose_more_of(client: httpx.Client) -> None:
    """A vector of features is a request that does not fit, however complete it is."""
    features = client.post("/v1/scores", json={**ASKED, "features": True}).json()["features"]
    asked = {"problem": "churn", "features": features, "suppose": {"events": [ORDER]}}
    refused = client.post("/v1/what-if", json=asked)
    assert (422, "request_invalid") == (refused.status_code, refused.json()["code"])
