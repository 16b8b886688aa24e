"""The ledger over HTTP: what was answered can be read, listed and computed again."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from conftest import Service, run
from journeys import rows_at

from features.config import read_config
from features.engine import compute
from features.sources import read_histories
from models.files import load
from serving.database import Database
from serving.event_store import EventStore, store_of
from serving.ledger import Ledger
from serving.replay import Replay

AS_OF = "2024-02-01"
ASKED = {"problem": "churn", "customer": "c001", "as_of": AS_OF}
ORDERS = [
    {"event": "order", "event_time": f"2023-{month:02}-10", "value": 30} for month in range(8, 13)
]


@pytest.fixture
def client(shop_service: Service) -> httpx.Client:
    return shop_service.client()


def vector_of(client: httpx.Client) -> dict[str, Any]:
    """The features of a stored customer, by name."""
    answer = client.post("/v1/scores", json={**ASKED, "features": True}).json()
    return dict(answer["features"])


def test_a_score_is_given_again_as_it_was(client: httpx.Client) -> None:
    """The bytes of the first answer, at once."""
    first = client.post("/v1/scores", json={**ASKED, "touchpoints": True})
    assert "scored" == first.json()["status"]
    assert first.content == client.get(f"/v1/scores/{first.json()['score_id']}").content


@pytest.mark.parametrize("score_id", ["000", "x" * 300, "%20", "0' or '1'='1", "f" * 30])
def test_an_id_that_names_no_score_is_a_404(score_id: str, client: httpx.Client) -> None:
    """Whatever it looks like."""
    unknown = client.get(f"/v1/scores/{score_id}")
    assert (404, "score_unknown") == (unknown.status_code, unknown.json()["code"])


def test_every_answer_of_every_kind_is_recorded(client: httpx.Client) -> None:
    """Scores and refusals, of stored customers, histories and vectors, alone and in batches."""
    asked: list[dict[str, Any]] = [
        ASKED,
        {"problem": "churn", "events": ORDERS, "as_of": "2024-01-02"},
        {"problem": "churn", "features": vector_of(client)},
        {"problem": "churn", "events": []},
        {**ASKED, "as_of": "2031-01-01"},
    ]
    response = client.post("/v1/scores/batch", json={"requests": asked})
    answers = [json.loads(line)["score"] for line in response.text.splitlines()]
    assert ["scored"] * 3 + ["no_score"] * 2 == [one["status"] for one in answers]
    answers += [client.post("/v1/scores", json=one).json() for one in asked]
    assert answers == [client.get(f"/v1/scores/{one['score_id']}").json() for one in answers]


def test_the_record_holds_the_hash_of_the_vector(
    shop: Path, shop_service: Service, client: httpx.Client
) -> None:
    """SHA-256 of the vector that the engine computes from the sources, and of what adds up."""
    answer = client.post("/v1/scores", json={**ASKED, "customer": "c002"}).json()
    client.get(f"/v1/scores/{answer['score_id']}")
    database = Database(f"sqlite:///{shop_service.workspace}/milepost.db")
    workspace = EventStore(database).workspace("shop").workspace
    found = Ledger(database).find(workspace, answer["score_id"])
    database.close()
    assert found is not None
    histories = read_histories(read_config(shop))
    model = load(shop_service.workspace / "shop" / "churn" / "model")
    rows = rows_at(histories.log, ("c002", AS_OF))
    vector = compute(model.contract.features, histories.log, histories.attributes, rows)
    assert np.float32 == vector.dtype
    assert hashlib.sha256(vector[0].tobytes()).hexdigest() == found[0].vector_hash
    contributions = model.contributions(vector)[0][0]
    assert hashlib.sha256(contributions.tobytes()).hexdigest() == found[0].contributions_hash
    assert model.probabilities(vector)[0] == found[0].probability


def test_a_score_of_a_list_or_an_export_is_found_where_single_ones_are(
    shop_service: Service, client: httpx.Client
) -> None:
    """By its name, with the hash of the very vector that the customer is scored from alone."""
    listed = client.get("/v1/at-risk", params={"problem": "churn", "limit": 3}).json()
    exports = {
        name: client.get(f"/v1/export/{name}", params={"problem": "churn"}).text.splitlines()
        for name in ("book", "predictive-scores")
    }
    in_book = {row["customer"]: row for row in map(json.loads, exports["book"])}
    named = {
        row["entity_id"]: row["score_id"] for row in map(json.loads, exports["predictive-scores"])
    }
    database = Database(f"sqlite:///{shop_service.workspace}/milepost.db")
    workspace = EventStore(database).workspace("shop").workspace
    for row in listed["customers"]:
        found = client.get(f"/v1/scores/{row['score_id']}").json()
        for field in (
            "score_id",
            "customer",
            "probability",
            "percentile",
            "band",
            "as_of",
            "reasons",
        ):
            assert row[field] == found[field]
        mine = in_book[row["customer"]]
        assert row["score_id"] == mine["score_id"] == named[row["customer"]]
        assert listed["model_version"] == found["model_version"]
        asked = {"problem": "churn", "customer": row["customer"]}
        alone = client.post("/v1/scores", json=asked).json()
        client.get(f"/v1/scores/{alone['score_id']}")
        recorded = Ledger(database).find(workspace, alone["score_id"])
        assert recorded is not None
        assert (found["probability"], found["known_time"]) == (
            alone["probability"], alone["known_time"]
        )  # fmt: skip
        assert recorded[0].vector_hash == found["vector_hash"] == mine["vector_hash"]
    database.close()
    unknown = client.get(f"/v1/scores/{row['score_id']}A")
    assert (404, "score_unknown") == (unknown.status_code, unknown.json()["code"])


def test_recorded_scores_are_computed_again_to_the_bit(
    shop_service: Service, client: httpx.Client
) -> None:
    """`serving replay` finds stored customers, histories and vectors of requests identical."""
    for more in ({"customer": "c001"}, {"events": ORDERS}, {"features": vector_of(client)}):
        body = {"problem": "churn", "as_of": AS_OF, **more}
        last = client.post("/v1/scores", json=body).json()
    client.get(f"/v1/scores/{last['score_id']}")
    place = (str(shop_service.config), "--workspace", str(shop_service.workspace))
    done = run("serving", "replay", *place)
    assert 0 == done.returncode, done.stdout + done.stderr
    counted = done.stdout.splitlines()[0].split()
    assert counted[0] == counted[2] and int(counted[0].replace(",", "")) >= 4, done.stdout
    assert "0 different" in done.stdout


def test_a_replay_names_a_version_that_is_gone_and_where_to_put_it_back(
    shop: Path, shop_service: Service, client: httpx.Client, tmp_path: Path
) -> None:
    """With the files where it says they are looked for, the same score is identical again."""
    score_id = client.post("/v1/scores", json=ASKED).json()["score_id"]
    client.get(f"/v1/scores/{score_id}")
    database = Database(f"sqlite:///{shop_service.workspace}/milepost.db")
    store = store_of(database, read_config(shop))
    found = Ledger(database).find(store.workspace, score_id)
    assert found is not None
    said = Replay(store, tmp_path).difference(found[0], None)
    assert said is not None and "version 1 is gone: the shelf keeps the newest 20" in said
    place = said.rpartition(" as ")[2]
    shutil.copytree(shop_service.workspace / "shop" / "churn" / "model", tmp_path / place)
    assert Replay(store, tmp_path).difference(found[0], None) is None
    database.close()
