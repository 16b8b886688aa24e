"""The ledger over HTTP: what was answered can be read, listed and computed again."""

import time
from typing import Any

import httpx
import pytest
from conftest import Service, run

ASKED = {"problem": "churn", "customer": "c001", "as_of": "2024-02-01"}


@pytest.fixture
def client(shop_service: Service) -> httpx.Client:
    return shop_service.client()


def recorded(client: httpx.Client, score_id: str) -> httpx.Response:
    """The score of an id, which is written a moment after its answer."""
    deadline = time.monotonic() + 20
    while True:
        found = client.get(f"/v1/scores/{score_id}")
        if found.status_code != 404 or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def test_a_score_is_given_again_as_it_was(client: httpx.Client) -> None:
    """The bytes of the first answer; an id that nobody gave is a 404."""
    first = client.post("/v1/scores", json=ASKED)
    score_id = first.json()["score_id"]
    assert "scored" == first.json()["status"]
    assert first.content == recorded(client, score_id).content
    assert "score_unknown" == client.get("/v1/scores/000").json()["code"]


def test_scores_stand_in_the_customer_s_history(client: httpx.Client) -> None:
    """The newest first, with what was answered; those of a vector in a request are nobody's."""
    given = [client.post("/v1/scores", json={**ASKED, "customer": "c009"}).json() for _ in "ab"]
    recorded(client, given[-1]["score_id"])
    found: dict[str, Any] = client.get("/v1/customers/c009").json()
    assert [one["score_id"] for one in given[::-1]] == [
        one["score_id"] for one in found["scores"][:2]
    ]
    assert given[-1]["probability"] == found["scores"][0]["probability"]


def test_recorded_scores_are_computed_again_to_the_bit(
    shop_service: Service, client: httpx.Client
) -> None:
    """`serving replay` counts stored customers, histories and vectors of requests identical."""
    features = client.post("/v1/scores", json={**ASKED, "features": True}).json()["features"]
    client.post("/v1/scores", json={"problem": "churn", "features": features})
    last = client.post("/v1/scores", json=ASKED).json()["score_id"]
    recorded(client, last)
    done = run(
        "serving", "replay", str(shop_service.config), "--workspace", str(shop_service.workspace)
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    assert "identical" in done.stdout


def test_what_changed_adds_up(client: httpx.Client) -> None:
    """The difference to the score before is split into time, events and model without a rest."""
    asked = {"problem": "churn", "customer": "c005", "as_of": "2024-01-05"}
    before = client.post("/v1/scores", json=asked).json()
    recorded(client, before["score_id"])
    now = client.post(
        "/v1/scores", json={**asked, "as_of": "2024-02-01", "changed": True, "touchpoints": True}
    ).json()
    assert {"scored"} == {before["status"], now["status"]}
    changed = now["changed"]
    assert before["score_id"] == changed["since"]
    parts = changed["by_time"] + changed["by_events"] + changed["by_model"]
    assert changed["points"] == pytest.approx(parts, abs=1e-9)
    difference = 100 * (now["probability"] - before["probability"])
    assert changed["points"] == pytest.approx(difference, abs=1e-9)
    assert 0 == changed["by_model"]
    sizes = [abs(one["points"]) for one in now["touchpoints"] if one["points"] is not None]
    assert sizes and sizes == sorted(sizes, reverse=True)
