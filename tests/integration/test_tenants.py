"""Two businesses in one service: a key of one never sees anything of the other."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from conftest import ROOT, free_port, make_key, run
from journeys import make_shop

from serving.access import SCOPE_OF

SECRET = "only-of-the-bakery"
"""A customer of the other business, whose id no answer may hold."""


@pytest.fixture(scope="module")
def two(
    shop: Path, shop_run: tuple[Path, object], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """Clients of a shop and of a bakery that one service serves."""
    bakery = make_shop(tmp_path_factory.mktemp("bakery"), 30)
    bakery.write_text(bakery.read_text().replace('name = "shop"', 'name = "bakery"'))
    workspace = shop_run[0]
    for config in (shop, bakery):
        done = run("serving", "import", str(config), "--workspace", str(workspace))
        assert done.returncode == 0, done.stderr
    keys = [make_key(config, workspace) for config in (shop, bakery)]
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "serving", "run", str(shop), str(bakery), "--workspace",
         str(workspace), "--port", str(port)],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    clients = [
        httpx.Client(
            base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {key}"},
            timeout=60,
        )
        for key in keys
    ]  # fmt: skip
    try:
        deadline = time.monotonic() + 150
        while True:
            try:
                clients[0].get("/livez")
                break
            except httpx.TransportError:
                assert time.monotonic() < deadline
                time.sleep(0.2)
        yield clients[0], clients[1]
    finally:
        process.terminate()
        process.wait(30)


def test_ids_of_the_other_do_not_exist(two: tuple[httpx.Client, httpx.Client]) -> None:
    """A customer, a score and a webhook of one are 404 for the other, as if nobody had them."""
    shop, bakery = two
    event = {"customer": SECRET, "event": "order", "event_time": "2024-01-20", "value": 3}
    assert 200 == bakery.post("/v1/events", json=event).status_code
    score_id = shop.post("/v1/scores", json={"problem": "churn", "customer": "c001"}).json()[
        "score_id"
    ]
    hook = {"url": "https://example.com/hook", "types": ["com.milepost.band.changed"]}
    made = shop.post("/v1/webhooks", json=hook)
    time.sleep(0.5)  # the ledger gathers
    assert 200 == shop.get(f"/v1/scores/{score_id}").status_code
    assert 200 == bakery.get(f"/v1/customers/{SECRET}").status_code
    answers = [
        shop.get(f"/v1/customers/{SECRET}"),
        bakery.get(f"/v1/scores/{score_id}"),
        shop.post("/v1/scores", json={"problem": "churn", "customer": SECRET}),
    ]
    if made.is_success:
        number = made.json()["id"] if "id" in made.json() else made.json()["webhook"]
        answers += [bakery.get(f"/v1/webhooks/{number}"), bakery.delete(f"/v1/webhooks/{number}")]
    assert [404] * len(answers) == [answer.status_code for answer in answers]


def test_no_answer_holds_anything_of_the_other(two: tuple[httpx.Client, httpx.Client]) -> None:
    """Every route that reads, asked with the other's key, is silent about the customer."""
    shop, bakery = two
    row = {"customer": SECRET, "event": "order", "event_time": "no time"}
    bakery.post("/v1/events", json=row)  # goes to the bakery's quarantine
    assert SECRET in bakery.get("/v1/quarantine").text
    for method, path in SCOPE_OF:
        if method == "GET":
            found = shop.get(re.sub(r"\{\w+\}", "c001", path), params={"problem": "churn"})
            assert SECRET not in found.text and "bakery" not in found.text, path


def test_lists_and_readiness_are_of_the_caller_s_own(
    two: tuple[httpx.Client, httpx.Client],
) -> None:
    """`/v1/problems` and `/readyz` tell of the versions and sources of one business."""
    shop, bakery = two
    problems = [client.get("/v1/problems").json()["problems"] for client in two]
    assert ["shop-churn", None] == [one[0]["model"] for one in problems]
    assert "not_ready" == bakery.get("/readyz").json()["code"]
    assert "bakery" not in shop.get("/readyz").text
