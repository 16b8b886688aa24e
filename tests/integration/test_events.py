"""Events over HTTP: the canonical form, Segment's calls, and the quarantine."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import segment.analytics as analytics
from conftest import Service, run, serve

ROW = {"customer": "c900", "event": "order", "event_time": "2024-01-02T10:00:00Z", "value": 3.5}


@pytest.fixture(scope="module")
def shop_service(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of its own: events that arrive make the lists of other tests anew."""
    yield from serve(shop, tmp_path_factory.mktemp("events"))


def test_one_event_an_array_and_lines_are_taken(shop_service: Service) -> None:
    """The same event is accepted once, however it is sent."""
    with shop_service.client() as client:
        first = client.post("/v1/events", json={**ROW, "event_id": "h1"})
        again = client.post("/v1/events", json=[{**ROW, "event_id": "h1"}])
        lines = "\n".join(json.dumps({**ROW, "event_id": f"h{i}"}) for i in (1, 2))
        third = client.post(
            "/v1/events", content=lines, headers={"Content-Type": "application/x-ndjson"}
        )
    assert [200, 200, 200] == [r.status_code for r in (first, again, third)]
    statuses = [[x["status"] for x in r.json()["results"]] for r in (first, again, third)]
    assert [["accepted"], ["duplicate"], ["duplicate", "accepted"]] == statuses


def test_a_bad_row_is_refused_alone(shop_service: Service) -> None:
    """The others of its request are stored; the answer is 207 and says why."""
    body = (
        b'[{"customer":"c901","event":"order","event_time":"2024-01-02"},'
        b'{"customer":"a","customer":"b"},{"customer":"c901","event":"order"},"x"]'
    )
    with shop_service.client() as client:
        headers = {"Content-Type": "application/json"}
        answered = client.post("/v1/events", content=body, headers=headers)
        broken = client.post("/v1/events", content=b"[{]", headers=headers)
        listed = client.get("/v1/quarantine", params={"limit": 1})
        more = client.get("/v1/quarantine", params={"after": listed.json()["next"]})
        again = client.post("/v1/quarantine/replay", json={})
    assert (207, 400) == (answered.status_code, broken.status_code)
    found = answered.json()
    expected = ["accepted", "refused", "quarantined", "refused"]
    assert expected == [x["status"] for x in found["results"]]
    assert 4 == found["received"] == sum(found[x] for x in set(expected) | {"duplicate"})
    assert (200, 200, 200) == (listed.status_code, more.status_code, again.status_code)
    assert "event_time_missing" == listed.json()["rows"][0]["reason"]


def test_a_library_of_others_is_pleased(shop_service: Service) -> None:
    """Segment's own client delivers, and a message that is sent twice counts once."""
    failures: list[object] = []
    client = analytics.Client(
        shop_service.key, host=shop_service.address, on_error=lambda *told: failures.append(told)
    )
    client.track("c902", "Order Completed", {"total": 7.5, "products": [1, 2]})
    client.identify("c902", {"plan": "gold"})
    client.group("c902", "acme", {"seats": 3})
    client.page("c902", name="Pricing")
    client.flush()
    client.join()
    assert [] == failures
    message = {"userId": "c902", "event": "x", "messageId": "m1", "timestamp": "2024-01-01"}
    with shop_service.client() as http:
        answers = [http.post("/v1/track", json=message).json() for _ in range(2)]
    assert [(1, 0), (0, 1)] == [(a["accepted"], a["duplicate"]) for a in answers]


@pytest.mark.parametrize("body", [b"[]", b'[{"userId": "c903"}]', b'"text"', b"null", b"5"])
@pytest.mark.parametrize("kind", ["track", "identify", "page", "screen", "group"])
def test_a_call_that_is_no_message_is_refused(
    kind: str, body: bytes, shop_service: Service
) -> None:
    """422 to whoever sends something else than an object: no library of Segment's does."""
    with shop_service.client() as client:
        headers = {"Content-Type": "application/json"}
        refused = client.post(f"/v1/{kind}", content=body, headers=headers)
    assert (422, "request_invalid") == (refused.status_code, refused.json()["code"])


def test_training_reads_an_export(shop: Path, tmp_path: Path) -> None:
    """A training set from exported histories has the bytes of one from the sources."""
    workspace = ("--workspace", str(tmp_path / "w"))
    for command in (
        ("serving", "import", str(shop), *workspace),
        ("serving", "export", str(shop), str(tmp_path / "copy"), *workspace),
        ("training", "build", str(shop), *workspace, "--out", str(tmp_path / "one")),
        ("training", "build", str(shop), *workspace, "--out", str(tmp_path / "two"),
         "--histories", str(tmp_path / "copy")),
    ):  # fmt: skip
        done = run(*command)
        assert done.returncode == 0, done.stderr
    files = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*.parquet"))
    assert files
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


@pytest.mark.parametrize("customer", ["a/b", "/", "a b?c#d", "%2F", "é", "x" * 300])
def test_a_customer_of_any_name_is_found(customer: str, shop_service: Service) -> None:
    """Whatever an id holds, its journey can be read under it."""
    row = {**ROW, "customer": customer, "event_id": f"of {customer}"[:100]}
    with shop_service.client() as client:
        assert 200 == client.post("/v1/events", json=row).status_code
        found = client.get(f"/v1/customers/{quote(customer, safe='')}")
    assert (200, customer) == (found.status_code, found.json()["customer"])


def test_what_arrives_between_two_pages_shifts_none(shop_service: Service) -> None:
    """A newer event that comes while somebody pages is not seen, and nothing comes twice."""
    with shop_service.client() as client:
        first = client.get("/v1/customers/c012", params={"limit": 3}).json()
        event = {"customer": "c012", "event": "order", "event_time": "2024-02-03", "value": 9}
        assert 200 == client.post("/v1/events", json=event).status_code
        asked = {"limit": 1000, "cursor": first["next"]}
        rest = client.get("/v1/customers/c012", params=asked).json()
    ids = [event["event_id"] for event in (*first["events"], *rest["events"])]
    assert len(set(ids)) == len(ids) == first["n_events"] == rest["n_events"] - 1
