"""A store that can't be used, over HTTP: a clear 503, and recovery without a restart."""

import fcntl
import time
from collections.abc import Callable
from pathlib import Path

import httpx
from conftest import serve
from sqlalchemy import make_url
from stores import Cable, addresses

EVENT = {"customer": "c001", "event": "order", "event_time": "2024-01-20", "event_id": "away-1"}


def refused(answer: httpx.Response) -> None:
    """It is a problem document that says so, when to try again, and nothing of the store."""
    assert (503, "store_unavailable") == (answer.status_code, answer.json()["code"])
    assert "application/problem+json" == answer.headers["content-type"]
    assert "1" == answer.headers["retry-after"]
    assert answer.json()["detail"].startswith("The store ") and "milepost.db" not in answer.text
    assert "select" not in answer.text.lower() and "127.0.0.1" not in answer.text


def until(asked: Callable[[], httpx.Response], status: int) -> httpx.Response:
    """The answer once it has this status."""
    deadline = time.monotonic() + 60
    while (answer := asked()).status_code != status:
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.2)
    return answer


def test_a_locked_file_refuses_events_and_takes_them_later(shop: Path, tmp_path: Path) -> None:
    """While another program holds the writer's lock nothing is acknowledged and histories are
    read all the same; afterwards the same event is taken, once."""
    workspace = tmp_path / "workspace"
    for service in serve(shop, workspace):
        with service.client() as client:
            with (workspace / "milepost.db-writer").open("ab") as lock:
                deadline = time.monotonic() + 60
                while True:
                    try:
                        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        break
                    except BlockingIOError:
                        assert time.monotonic() < deadline
                refused(client.post("/v1/events", json=EVENT))
                assert 200 == client.get("/v1/customers/c001").status_code
            taken = until(lambda: client.post("/v1/events", json=EVENT), 200).json()
            again = client.post("/v1/events", json=EVENT).json()
            assert (1, 1) == (taken["accepted"] + taken["duplicate"], again["duplicate"])


def test_a_lost_server_refuses_and_comes_back(shop: Path, tmp_path: Path) -> None:
    """With PostgreSQL cut off both reading and writing are 503 while the process lives and who is
    known is let in; afterwards both work."""
    with addresses("postgresql", tmp_path) as url:
        server = make_url(url)
        assert server.port is not None
        cable = Cable(server.port)
        through = server.set(port=cable.port).render_as_string(hide_password=False)
        try:
            for service in serve(shop, tmp_path / "workspace", database=through):
                with service.client() as client:
                    assert 200 == client.get("/v1/customers/c001").status_code
                    cable.cut()
                    refused(client.get("/v1/customers/c001"))
                    refused(client.post("/v1/events", json=EVENT))
                    assert 200 == client.get("/livez").status_code
                    assert 200 == client.get("/v1/problems").status_code
                    cable.mend()
                    until(lambda: client.get("/v1/customers/c001"), 200)
                    assert (
                        1
                        == until(lambda: client.post("/v1/events", json=EVENT), 200).json()[
                            "received"
                        ]
                    )
        finally:
            cable.close()
