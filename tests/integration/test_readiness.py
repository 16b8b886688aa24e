"""`/readyz`: how the process is, and of a workspace what its own key may know."""

import json
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from conftest import Service, make_key, run
from stores import held_file
from trained import put_on_shelf

from serving.looks import AGAIN_SECONDS

NOBODY_THERE = "http://127.0.0.1:9"
"""A registry that is down: nothing listens at this port."""


def named(shop: Path, folder: Path, name: str) -> Path:
    """The shop's journey.toml and files as those of another business."""
    config = Path(shutil.copytree(shop.parent, folder / name)) / shop.name
    config.write_text(config.read_text().replace('name = "shop"', f'name = "{name}"'))
    return config


@contextmanager
def running(configs: list[Path], workspace: Path, patch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A service of these businesses whose registry is down."""
    patch.setenv("MLFLOW_TRACKING_URI", NOBODY_THERE)
    for config in configs:
        done = run("serving", "import", str(config), "--workspace", str(workspace))
        assert done.returncode == 0, done.stderr
    service = Service(configs[0], workspace, others=configs[1:])
    try:
        service.wait_until_live()
        yield service
    finally:
        service.stop()


def asked(service: Service, key: str | None = None) -> httpx.Response:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    return httpx.get(f"{service.address}/readyz", headers=headers, timeout=60)


def test_one_workspace_does_not_make_another_unready(
    shop: Path, shop_run: tuple[Path, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the registry down at start, one business on the shelf and one without a model, the
    process is ready and says that it is degraded, and names nothing; each key reads of its own
    workspace alone, and without the store the key is told so at once."""
    workspace = tmp_path / "workspace"
    put_on_shelf(shop_run[0] / "shop" / "churn" / "model", workspace, "bakery")
    configs = [named(shop, tmp_path, name) for name in ("bakery", "florist")]
    with running(configs, workspace, monkeypatch) as service:
        florist = make_key(configs[1], workspace)
        stranger, wrong = asked(service), asked(service, "mp_0123456789ab_nobodys")
        assert stranger.json() == wrong.json()
        told = stranger.json()
        assert (200, "degraded") == (stranger.status_code, told["status"])
        assert told["reason"].startswith("A workspace lacks a model")
        assert [{}, [], [], None] == [told[k] for k in ("models", "sources", "degraded", "as_of")]
        assert not re.search("bakery|florist|orders|tickets|127.0.0.1", stranger.text)
        own = asked(service, service.key).json()
        assert ("degraded", {"churn": "1"}) == (own["status"], own["models"])
        assert {"orders", "tickets", "customers 1"} == {one["name"] for one in own["sources"]}
        assert "can't be opened" in own["reason"] and "florist" not in json.dumps(own)
        deadline = time.monotonic() + 30
        lacking = told
        while lacking == told and time.monotonic() < deadline:  # no look is made for a new key here
            lacking = asked(service, florist).json()
        assert ("degraded", {}) == (lacking["status"], lacking["models"])
        assert "can't be opened" in lacking["reason"] and "bakery" not in json.dumps(lacking)
        with held_file(workspace / "milepost.db-shm"):
            time.sleep(2 * AGAIN_SECONDS)  # what was read a moment ago would do
            held = asked(service, service.key)
        assert 200 == held.status_code and [] == held.json()["sources"]
        assert any("The store" in why for why in held.json()["degraded"])


def test_a_process_that_can_answer_nothing_is_not_ready(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any model it is 503, and says to strangers no more than that one is lacking."""
    config = named(shop, tmp_path, "bakery")
    with running([config], tmp_path / "workspace", monkeypatch) as service:
        answer = asked(service)
        assert (503, "not_ready") == (answer.status_code, answer.json()["code"])
        assert "opened" not in answer.text and "Retry-After" in answer.headers
        assert "can't be opened" in asked(service, service.key).json()["detail"]
