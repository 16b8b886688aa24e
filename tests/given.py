"""A stored customer's history as a request brings it: the independent way to the same score."""

from typing import Any

import httpx


def as_given(client: httpx.Client, customer: str) -> dict[str, Any]:
    """The events and attributes of a stored customer, for the body of a request."""
    page = client.get(f"/v1/customers/{customer}", params={"limit": 1000}).json()
    assert page["next"] is None and page["attributes_next"] is None
    events = [
        {name: event[name] for name in ("event", "event_id", "event_time", "recorded_time")}
        | event["properties"]
        for event in page["events"]
    ]
    attributes: dict[str, Any] = {}
    for statement in reversed(page["attributes"]):
        attributes |= statement["properties"]
    return {"events": events, "attributes": attributes}


def probability(client: httpx.Client, given: dict[str, Any], as_of: str) -> float:
    """The probability of leaving of a history in a request."""
    body = {"problem": "churn", "as_of": as_of, "reasons": 0, **given}
    answer = client.post("/v1/scores", json=body).json()
    assert "scored" == answer["status"], answer
    return float(answer["probability"])
