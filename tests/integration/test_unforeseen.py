"""What nobody foresaw, in the running service: the answer, the count, and the lines of the log."""

import json
import os
import re
import signal
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Service, serve
from pages import read_page

from features.compiled import NOTICE
from serving.pages import HEADERS

TORN = "0" * 13 + "1" + "f" * 16
"""The id of a recorded score whose answer is damaged on the disk."""


@pytest.fixture(scope="module")
def service(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service without models, in whose ledger one answer is damaged."""
    workspace = tmp_path_factory.mktemp("unforeseen") / "workspace"
    for made in serve(shop, workspace):
        with sqlite3.connect(workspace / "milepost.db") as store:
            store.execute(
                "insert into scores (workspace, score_id, problem, as_of, known_time, model,"
                " version, digest, answer) select workspace, ?, 'churn', 0, 0, 'm', '1', 'd', ?"
                " from workspaces",
                (TORN, b"\x10\0\0\0no lz4"),
            )
        store.close()
        yield made


def lines(service: Service) -> list[dict[str, Any]]:
    """The log, each line of which is JSON but those for the person who starts the service."""
    found = service.logged().splitlines()
    # Where the engine is compiled, the watcher has its say before the service does.
    plain = [line for line in found if not line.startswith("{")]
    (serving,) = set(plain) - {NOTICE}
    assert serving.startswith("serving shop on http://")
    return [json.loads(line) for line in found if line not in plain]


def told(service: Service, fits: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """The lines that fit, once there is one."""
    deadline = time.monotonic() + 60
    while not (found := [line for line in lines(service) if fits(line)]):
        assert time.monotonic() < deadline, service.logged()
        time.sleep(0.1)
    return found


def test_an_unforeseen_answer_is_as_any_other(service: Service) -> None:
    """It has the request's id and every security header, is a problem document or a page that
    shows nothing of the fault, and is counted under its route."""
    with service.client() as client:
        good = client.get("/v1/problems")
        bad = client.get(f"/v1/scores/{TORN}", headers={"x-request-id": "torn-1"})
        page = client.get(f"/v1/scores/{TORN}", headers={"accept": "text/html"})
        counts = client.get("/metrics").text
    assert [200, 500, 500] == [answer.status_code for answer in (good, bad, page)]
    assert "torn-1" == bad.headers["x-request-id"]
    for name in (*HEADERS, "x-request-id", "content-length"):
        assert name in good.headers and name in bad.headers and name in page.headers, name
    assert "application/problem+json" == bad.headers["content-type"]
    assert ("internal_error", 500) == (bad.json()["code"], bad.json()["status"])
    assert "its log says why" in read_page(page.text).all("p")[0].text
    assert "lz4" not in (bad.text + page.text).lower()
    found = re.search(r'requests_total\{route="/v1/scores/\{score_id\}",status="500"\} 2', counts)
    assert found, counts


def test_the_log_names_the_route_and_no_address(service: Service) -> None:
    """A line of JSON has the fault, the request's id and the template of its route; the address
    that was asked stands nowhere."""
    with service.client() as client:
        client.get(f"/v1/scores/{TORN}", headers={"x-request-id": "torn-2"})
    (line,) = told(service, lambda line: "fault" in line and line["request"] == "torn-2")
    assert ("error", "milepost.serving", "GET", "/v1/scores/{score_id}") == (
        line["level"], line["logger"], line["method"], line["route"]
    )  # fmt: skip
    assert "Traceback" in line["fault"] and "_unpacked" in line["fault"]
    (line,) = told(service, lambda line: "status" in line and line["request"] == "torn-2")
    assert ("/v1/scores/{score_id}", 500) == (line["route"], line["status"])
    assert TORN not in service.logged()


def test_libraries_and_processes_beside_it_write_lines_too(service: Service) -> None:
    """Bad HTTP, a worker and a keeper that were killed, and the watcher's words are such lines."""
    host, _, port = service.address.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(b"NONSENSE\r\n\r\n")
        assert connection.recv(12).endswith(b"400")
    number = service.process.pid
    children = Path(f"/proc/{number}/task/{number}/children").read_text().split()
    for what in ("serving\0run", "keep-book"):
        (pid,) = [pid for pid in children if what in Path(f"/proc/{pid}/cmdline").read_text()]
        os.kill(int(pid), signal.SIGKILL)
    assert told(service, lambda line: line.get("logger") == "uvicorn.error")
    assert told(service, lambda line: "a worker ended with -9" in line.get("message", ""))
    assert told(service, lambda line: "'keep-book'] ended with -9" in line.get("message", ""))
    service.wait_until_live()
