"""Webhooks over HTTP: subscribing, and what is refused before anything is kept."""

from collections.abc import Iterator

import httpx
import pytest
from conftest import Service

from serving.webhooks import TYPES

URL = "https://crm.example/hooks"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def client(shop_service: Service) -> Iterator[httpx.Client]:
    """A client, before and after which there is no webhook."""
    with shop_service.client() as made:
        remove_all(made)
        yield made
        remove_all(made)


def remove_all(client: httpx.Client) -> None:
    for one in client.get("/v1/webhooks").json()["webhooks"]:
        client.delete(f"/v1/webhooks/{one['id']}")


def test_a_webhook_comes_and_goes(client: httpx.Client) -> None:
    """Its secret is shown when it is made and never again; after its removal it is unknown."""
    made = client.post("/v1/webhooks", json={"url": URL})
    assert 201 == made.status_code
    secret = made.json()["secret"]
    assert secret.startswith("whsec_")
    shown = {name: value for name, value in made.json().items() if name != "secret"}
    place = f"/v1/webhooks/{shown['id']}"
    assert shown == client.get(place).json()
    listed = client.get("/v1/webhooks")
    assert [shown] == listed.json()["webhooks"] and secret not in listed.text
    assert 202 == client.post(f"{place}/test").status_code
    told = client.get(f"{place}/deliveries").json()["deliveries"]
    assert ["milepost.test"] == [one["type"] for one in told]
    assert {"replayed": 0} == client.post(f"{place}/replay", json={"events": ["x"]}).json()
    assert (204, b"") == ((gone := client.delete(place)).status_code, gone.content)
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/test"), ("GET", "/deliveries")):
        refused = client.request(method, place + path)
        assert (404, "webhook_unknown") == (refused.status_code, refused.json()["code"])


def test_all_that_is_told_can_be_subscribed_to(client: httpx.Client) -> None:
    """Every type of event that there is may be named, and the OpenAPI document lists them."""
    made = client.post("/v1/webhooks", json={"url": URL, "types": list(TYPES)})
    assert (201, list(TYPES)) == (made.status_code, made.json()["types"])
    body = client.get("/openapi.json").json()["components"]["schemas"]["WebhookIn"]
    assert list(TYPES) == body["properties"]["types"]["items"]["enum"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"url": "%s", "url": "%s"}' % (URL.encode(), URL.encode()), 400, "request_unreadable"),
        (b'{"url": "https://a.example/\\u0000"}', 400, "request_unreadable"),
        (b'{"url": "https://a.example/\\ud800"}', 400, "request_unreadable"),
        (b'{"url": NaN}', 400, "request_unreadable"),
        (b'{"url": 5}', 422, "request_invalid"),
        (b'{"url": "%s", "mood": 1}' % URL.encode(), 422, "request_invalid"),
        (b'{"url": "%s", "types": ["all"]}' % URL.encode(), 422, "request_invalid"),
        (b'{"url": "https://127.0.0.1/hook"}', 422, "target_refused"),
        (b'{"url": "https://localhost/hook"}', 422, "target_refused"),
        (b'{"url": "http://a.example/hook"}', 422, "target_refused"),
        (b'{"url": "https://user:word@a.example/"}', 422, "target_refused"),
    ],
    ids=[
        "key twice", "NUL", "surrogate", "NaN", "number", "unknown key", "unknown type", "loopback",
        "local name", "no TLS", "password",
    ],
)  # fmt: skip
def test_a_doubtful_subscription_is_refused(
    body: bytes, status: int, code: str, client: httpx.Client
) -> None:
    """Bodies are read as strictly as everywhere, and no address leads inside."""
    refused = client.post("/v1/webhooks", content=body, headers=JSON)
    assert (status, code) == (refused.status_code, refused.json()["code"])
    assert [] == client.get("/v1/webhooks").json()["webhooks"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"events": ["\\u0000"]}', 400),
        (b'{"events": ["\\ud800"]}', 400),
        (b'{"events": 1}', 422),
        (b"", 400),
    ],
)
def test_doubtful_replays_are_refused(body: bytes, status: int, client: httpx.Client) -> None:
    """What names no letters is no request; a body that says nothing replays nothing."""
    webhook = client.post("/v1/webhooks", json={"url": URL}).json()["id"]
    refused = client.post(f"/v1/webhooks/{webhook}/replay", content=body, headers=JSON)
    assert status == refused.status_code
