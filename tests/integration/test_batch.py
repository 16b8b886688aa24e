"""Many scores in one request, over HTTP: a line each, whatever becomes of the others."""

import json
from typing import Any

import httpx
import pytest
from conftest import Service

STORED = {"problem": "churn", "customer": "c001", "as_of": "2024-02-01"}
ORDERS = [
    {"event": "order", "event_time": f"2023-{month:02}-10", "value": 30} for month in range(8, 13)
]
INLINE = {"problem": "churn", "events": ORDERS, "as_of": "2024-01-02"}
OWN = ("score_id",)
"""What no two answers share."""


@pytest.fixture
def client(shop_service: Service) -> httpx.Client:
    return shop_service.client()


def lines(response: httpx.Response) -> list[dict[str, Any]]:
    assert 200 == response.status_code
    return [json.loads(line) for line in response.text.splitlines()]


def said(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name not in OWN}


def test_each_line_is_what_a_request_of_its_own_gets(client: httpx.Client) -> None:
    """Stored customers and histories of the request, mixed, equal the scores asked one by one."""
    asked = [STORED, INLINE, {**STORED, "customer": "c002", "reasons": 1}, STORED]
    found = lines(client.post("/v1/scores/batch", json={"requests": asked}))
    assert [0, 1, 2, 3] == [line["index"] for line in found]
    alone = [client.post("/v1/scores", json=one).json() for one in asked]
    assert [said(one) for one in alone] == [said(line["score"]) for line in found]
    assert ["scored"] * 4 == [one["status"] for one in alone]
    assert len({line["score"]["score_id"] for line in found}) == 4


def test_lines_in_are_lines_out(client: httpx.Client) -> None:
    """NDJSON gives the same answers as a JSON document; what is no JSON is an error of its line."""
    text = "\n".join((json.dumps(STORED), "{broken", "", json.dumps(INLINE)))
    headers = {"Content-Type": "application/x-ndjson"}
    found = lines(client.post("/v1/scores/batch", content=text, headers=headers))
    assert ["score", "error", "score"] == [list(line)[1] for line in found]
    assert "request_unreadable" == found[1]["error"]["code"]
    whole = lines(client.post("/v1/scores/batch", json={"requests": [STORED]}))
    assert said(whole[0]["score"]) == said(found[0]["score"])


def test_a_bad_request_spoils_no_other(client: httpx.Client) -> None:
    """An unknown customer, an unknown problem and a request that does not fit are errors alone."""
    bad = [{**STORED, "customer": "nobody"}, {**STORED, "problem": "chrun"}, {"customer": 7}, 5]
    found = lines(client.post("/v1/scores/batch", json={"requests": [STORED, *bad, STORED]}))
    codes = [line["error"]["code"] for line in found[1:-1]]
    expected = ["customer_unknown", "problem_unknown", "request_invalid", "request_invalid"]
    assert expected == codes
    assert said(found[0]["score"]) == said(found[-1]["score"])


def test_a_client_that_goes_away_stops_nobody(shop_service: Service, client: httpx.Client) -> None:
    """After a batch whose reader left in the middle, the next request is answered."""
    many = {"requests": [STORED] * 500}
    with (
        shop_service.client() as leaving,
        leaving.stream("POST", "/v1/scores/batch", json=many) as answer,
    ):
        next(answer.iter_lines())
    assert 200 == client.post("/v1/scores", json=STORED).status_code
