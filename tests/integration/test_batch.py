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


def test_the_order_is_kept_however_many(client: httpx.Client) -> None:
    """Hundreds of customers, known and unknown, come back in the order of the requests."""
    names = [f"c{number:03}" for number in range(299, -1, -3)] * 4
    names[7::50] = [f"nobody-{number}" for number in range(len(names[7::50]))]
    asked = [{"problem": "churn", "customer": name, "reasons": 0} for name in names]
    found = lines(client.post("/v1/scores/batch", json={"requests": asked}))
    assert list(range(len(names))) == [line["index"] for line in found]
    told = [line["score"]["customer"] if "score" in line else None for line in found]
    assert [None if name.startswith("nobody") else name for name in names] == told


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b'{"requests": [', "application/json", 400, "request_unreadable"),
        (b"[]", "application/json", 422, "request_invalid"),
        (b'{"requests": 5}', "application/json", 422, "request_invalid"),
        (b'{"requests": [], "mood": 1}', "application/json", 422, "request_invalid"),
        (b"0\n" * 100_001, "application/x-ndjson", 422, "request_invalid"),
        (b"{}", "text/csv", 415, "media_type_unsupported"),
    ],
    ids=["half", "no object", "no list", "unknown key", "too many", "no JSON"],
)
def test_a_batch_that_is_none_is_refused_whole(
    body: bytes, kind: str, status: int, code: str, client: httpx.Client
) -> None:
    """What has no requests to tell apart, or too many, gets one problem document and no line."""
    refused = client.post("/v1/scores/batch", content=body, headers={"Content-Type": kind})
    assert (status, code) == (refused.status_code, refused.json()["code"])


def test_clients_that_go_away_leave_their_places(
    shop_service: Service, client: httpx.Client
) -> None:
    """More readers than the service has places leave in the middle, and others are answered."""
    many = {"requests": [STORED] * 500}
    for _ in range(40):
        with (
            shop_service.client() as leaving,
            leaving.stream("POST", "/v1/scores/batch", json=many) as answer,
        ):
            assert 200 == answer.status_code
            next(answer.iter_lines())
    assert 200 == client.post("/v1/scores", json=STORED).status_code
