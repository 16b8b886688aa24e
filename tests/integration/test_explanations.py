"""What moved a score and what changed since, held to the scores of other histories."""

import httpx
import pytest
from conftest import Service
from given import as_given, probability

THEN, NOW = "2024-01-05T00:00:00Z", "2024-02-01T00:00:00Z"


@pytest.fixture
def client(shop_service: Service) -> httpx.Client:
    return shop_service.client()


def test_what_changed_is_time_then_events_then_the_model(client: httpx.Client) -> None:
    """Time is what the old events alone do by now, events are the rest; the model is the same."""
    asked = {"problem": "churn", "customer": "c005", "as_of": THEN}
    before = client.post("/v1/scores", json=asked).json()
    client.get(f"/v1/scores/{before['score_id']}")  # it is recorded by then
    now = client.post("/v1/scores", json={**asked, "as_of": NOW, "changed": before["score_id"]})
    changed = now.json()["changed"]
    given = as_given(client, "c005")
    old = [event for event in given["events"] if event["event_time"] <= THEN]
    new = [event for event in given["events"] if THEN < event["event_time"] <= NOW]
    assert old and new
    still = 100 * probability(client, {**given, "events": old}, NOW)
    all_now = 100 * probability(client, given, NOW)
    assert 100 * before["probability"] == pytest.approx(changed["points_before"], abs=1e-9)
    assert all_now == pytest.approx(changed["points_now"], abs=1e-9)
    assert still - changed["points_before"] == pytest.approx(changed["by_time"], abs=1e-9)
    assert all_now - still == pytest.approx(changed["by_events"], abs=1e-9)
    assert 0 == changed["by_model"]
    parts = changed["by_time"] + changed["by_events"] + changed["by_model"]
    assert changed["points"] == pytest.approx(parts, abs=1e-9)
    assert (before["score_id"], len(new)) == (changed["since"], changed["new_events"])


def test_the_score_before_is_of_the_same_customer_alone(client: httpx.Client) -> None:
    """A score of somebody else, or of a later moment, is none to compare with."""
    asked = {"problem": "churn", "customer": "c005", "as_of": NOW}
    later = client.post("/v1/scores", json=asked).json()["score_id"]
    other = client.post("/v1/scores", json={**asked, "customer": "c006", "as_of": THEN}).json()
    client.get(f"/v1/scores/{other['score_id']}")
    for score_id in (later, other["score_id"], "000"):
        body = {**asked, "as_of": THEN, "changed": score_id}
        refused = client.post("/v1/scores", json=body)
        assert (404, "score_unknown") == (refused.status_code, refused.json()["code"])


def test_a_touchpoint_is_the_difference_that_its_event_makes(client: httpx.Client) -> None:
    """Each of the strongest equals the score less that of the history without the event."""
    asked = {"problem": "churn", "customer": "c005", "as_of": NOW, "touchpoints": True}
    answer = client.post("/v1/scores", json=asked).json()
    told = [one for one in answer["touchpoints"] if one["points"] is not None]
    sizes = [abs(one["points"]) for one in told]
    assert sizes[0] > 0 and sizes == sorted(sizes, reverse=True)
    given = as_given(client, "c005")
    for one in told[:3]:
        rest = [event for event in given["events"] if event["event_id"] != one["event_id"]]
        assert len(given["events"]) - 1 == len(rest)
        without = probability(client, {**given, "events": rest}, NOW)
        points = 100 * (answer["probability"] - without)
        assert points == pytest.approx(one["points"], abs=1e-9)


@pytest.mark.parametrize("n", [3, 1_010])
def test_touchpoints_say_among_how_many_events_they_are(n: int, client: httpx.Client) -> None:
    """Of a long history the newest thousand events are tried, and the answer says so; events after
    the moment do not count, and without a score nothing was tried."""
    events = [
        {"event": "order" if i < 3 else "seen", "event_time": f"2024-01-{1 + i % 4:02d}"}
        for i in range(n)
    ]
    late = {"event": "order", "event_time": "2024-01-20"}
    asked = {"problem": "churn", "events": [*events, late], "as_of": THEN, "touchpoints": True}
    answer = client.post("/v1/scores", json=asked).json()
    assert {"tried": min(n, 1000), "events": n} == answer["touchpoints_among"]
    none = client.post("/v1/scores", json={**asked, "events": [late]}).json()
    assert ("no_score", [], None) == (
        none["status"], none["touchpoints"], none["touchpoints_among"]
    )  # fmt: skip
    silent = client.post("/v1/scores", json={**asked, "touchpoints": False}).json()
    assert not {"touchpoints", "touchpoints_among"} & set(silent)


def test_reasons_name_stored_events(client: httpx.Client) -> None:
    """The ids that a reason rests on are events of this customer, newest first."""
    asked = {"problem": "churn", "customer": "c005", "as_of": NOW, "reasons": 50}
    reasons = client.post("/v1/scores", json=asked).json()["reasons"]
    times = {event["event_id"]: event["event_time"] for event in as_given(client, "c005")["events"]}
    named = [reason for reason in reasons if reason["events"]]
    assert named
    for reason in named:
        moments = [times[event_id] for event_id in reason["events"]]
        assert moments == sorted(moments, reverse=True)
        assert min(20, reason["n_events"]) == len(reason["events"])
