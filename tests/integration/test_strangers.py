"""Strangers while the store is held: whoever is known is answered all the same."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from conftest import Service, make_key, serve
from stores import addresses, held

SOON = 3.0
"""Seconds, on a machine that other tests are at work on too; a look into a held store lasts five
or more."""
ODD = {"cookie": "milepost=p.0123456789abcdef.99999999999.x.y"}
"""A session that might have begun a moment ago, in another worker."""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with addresses(request.param, tmp_path) as found:
        yield found


def ask_as_stranger(address: str, over: threading.Event, seen: list[httpx.Response]) -> None:
    """Ask with keys and sessions of nobody's until told to stop."""
    with httpx.Client(base_url=address, timeout=60) as client:
        while not over.is_set():
            key = {"authorization": f"Bearer mp_{os.urandom(6).hex()}_secret"}
            seen += [client.get("/v1/problems", headers=headers) for headers in (key, ODD)]
            time.sleep(0.02)


def test_strangers_hold_up_nobody(url: str, shop: Path, tmp_path: Path) -> None:
    """With every look into the store held, a known key and /livez are answered at once, strangers
    get 503 with Retry-After; afterwards they are nobody again, and a new key works."""
    workspace = tmp_path / "workspace"
    for service in serve(shop, workspace, database=url):
        seen: list[httpx.Response] = []
        over = threading.Event()
        given = (service.address, over, seen)
        strangers = [threading.Thread(target=ask_as_stranger, args=given) for _ in range(12)]
        try:
            with service.client() as client, held(url):
                for stranger in strangers:
                    stranger.start()
                until = time.monotonic() + 4
                while time.monotonic() < until:
                    for path in ("/v1/problems", "/livez"):
                        asked = time.monotonic()
                        assert 200 == client.get(path).status_code
                        assert time.monotonic() - asked < SOON
                refused = list(seen)
        finally:
            over.set()
            for stranger in strangers:
                stranger.join(60)
        assert {503} == {answer.status_code for answer in refused}
        assert {"1"} == {answer.headers["retry-after"] for answer in refused}
        told = {answer.json()["code"] for answer in refused}
        assert {"store_unavailable", "overloaded"} == told
        _is_itself_again(service, url)


def _is_itself_again(service: Service, url: str) -> None:
    """Nobody is nobody, and a key that was just made is known at once."""
    nobody = f"Bearer mp_{os.urandom(6).hex()}_secret"
    deadline = time.monotonic() + 30
    while True:
        answer = httpx.get(f"{service.address}/v1/problems", headers={"authorization": nobody})
        if answer.status_code != 503 or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    assert 401 == answer.status_code
    made = make_key(service.config, service.workspace, "--database", url)
    headers = {"authorization": f"Bearer {made}"}
    assert 200 == httpx.get(f"{service.address}/v1/problems", headers=headers).status_code
