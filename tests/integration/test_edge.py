"""The edge of the running service: who may ask, what is bounded, and what every answer carries."""

import json
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from conftest import Service, make_key, run, serve
from pages import read_page

from serving.access import SCOPE_OF, is_open

PROBLEM = "application/problem+json"
SCOPES = ("score", "ingest", "read", "admin")


@pytest.fixture(scope="module")
def service(shop: Path, shop_run: tuple[Path, object]) -> Iterator[Service]:
    """Two workers with short limits."""
    os.environ |= {"MILEPOST_HEADER_SECONDS": "1", "MILEPOST_BODY_SECONDS": "1"}
    try:
        yield from serve(shop, shop_run[0], "--workers", "2")
    finally:
        del os.environ["MILEPOST_HEADER_SECONDS"], os.environ["MILEPOST_BODY_SECONDS"]


def refused(response: httpx.Response, status: int, code: str) -> None:
    assert (status, PROBLEM) == (response.status_code, response.headers["content-type"])
    assert code == response.json()["code"]
    assert "nosniff" == response.headers["x-content-type-options"]


def sent(service: Service, raw: bytes, wait: float = 10) -> bytes:
    """What the service answers to bytes on a connection of their own."""
    host, _, port = service.address.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), wait) as connection:
        connection.sendall(raw)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
        return answer


def ask(client: httpx.Client, method: str, path: str, key: str | None = None) -> httpx.Response:
    """A request to a route's template with a key."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    return client.request(method, re.sub(r"\{\w+\}", "x", path), headers=headers)


def routes(service: Service) -> set[tuple[str, str]]:
    """Method and path of all that the service documents, and of its pages."""
    with service.client() as client:
        paths = client.get("/openapi.json").json()["paths"]
    documented = {(m.upper(), path) for path, methods in paths.items() for m in methods}
    return documented | set(SCOPE_OF)


def test_every_route_has_a_scope_or_is_open(service: Service) -> None:
    """No documented route is missing from the table of scopes."""
    unguarded = {(m, p) for m, p in routes(service) if (m, p) not in SCOPE_OF and not is_open(p)}
    assert set() == unguarded


def test_no_route_answers_the_wrong_caller(
    shop: Path, shop_run: tuple[Path, object], service: Service, tmp_path: Path
) -> None:
    """Every route refuses no key, a wrong, a revoked and an expired one, and a wrong scope."""
    workspace = shop_run[0]
    other = tmp_path / "journey.toml"
    renamed = re.sub(r"name = ['\"]\w+['\"]", "name = 'elsewhere'", shop.read_text(), count=1)
    other.write_text(renamed)
    keys = {
        "wrong secret": service.key[:-4] + "AAAA",
        "no key at all": "mp_123",
        "revoked": make_key(shop, workspace),
        "expired": make_key(shop, workspace, "--days", "0.000001"),
    }
    foreign = make_key(other, workspace)
    number = keys["revoked"].split("_")[1]
    place = (str(shop), "--workspace", str(workspace))
    assert 0 == run("serving", "keys", "revoke", "--id", number, *place).returncode
    lacking = {
        scope: make_key(shop, workspace, "--scopes", ",".join(set(SCOPES) - {scope}))
        for scope in ("score", "read")
    }
    time.sleep(1)
    with httpx.Client(base_url=service.address, timeout=60) as client:
        for method, path in sorted(SCOPE_OF):
            refused(ask(client, method, path), 401, "unauthorized")
            for key in keys.values():
                response = ask(client, method, path, key)
                refused(response, 401, "unauthorized")
            for key in (lacking.get(SCOPE_OF[(method, path)], foreign), foreign):
                if path in ("/", "/docs", "/openapi.json"):  # the same for everybody
                    continue
                response = ask(client, method, path, key)
                refused(response, 403, "forbidden")


def test_a_key_is_a_user_name_too(service: Service) -> None:
    """Clients that know only Basic send the key as user name."""
    with httpx.Client(base_url=service.address, auth=(service.key, "")) as client:
        assert 200 == client.get("/v1/at-risk").status_code


def test_a_person_signs_in(service: Service) -> None:
    """A key opens the pages by a cookie of its own kind, which other sites can't make use of."""
    with httpx.Client(base_url=service.address, timeout=60) as browser:
        page = browser.get("/at-risk", headers={"Accept": "text/html"})
        assert (303, "/sign-in") == (page.status_code, page.headers["location"])
        own = {"Origin": service.address}
        token = read_page(browser.get("/sign-in").text).all("input")[0].attributes["value"]
        form = {"token": token, "key": service.key}
        wrong = {**form, "key": service.key + "x"}
        assert 401 == browser.post("/sign-in", data=wrong, headers=own).status_code
        answer = browser.post("/sign-in", data=form, headers=own)
        assert (303, "/at-risk") == (answer.status_code, answer.headers["location"])
        assert {"HttpOnly", "SameSite=strict"} <= set(answer.headers["set-cookie"].split("; "))
        assert 200 == browser.get("/at-risk").status_code
        body = {"problem": "churn", "events": []}
        refused(browser.post("/v1/scores", json=body), 401, "unauthorized")
        evil = {"Origin": "http://evil.example"}
        refused(browser.post("/v1/scores", json=body, headers=evil), 401, "unauthorized")
        assert 200 == browser.post("/v1/scores", json=body, headers=own).status_code


def test_no_proxy_is_believed_unless_it_is_named(service: Service) -> None:
    """A header that says TLS makes no cookie of TLS, not even from loopback."""
    page = httpx.get(f"{service.address}/sign-in", headers={"X-Forwarded-Proto": "https"})
    assert page.headers["set-cookie"].startswith("milepost-form=")
    assert "Secure" not in page.headers["set-cookie"]


def test_a_link_signs_in_once_and_leads_nowhere_else(service: Service) -> None:
    """A link opens the page it names among ours, the second time it opens nothing."""
    place = (str(service.config), "--workspace", str(service.workspace))
    number = service.key.split("_")[1]
    link = run("serving", "keys", "link", *place, "--id", number).stdout.strip()
    for to, status in (("//evil.example", 303), ("/docs", 401)):
        answer = httpx.get(
            f"{service.address}{link}", params={"link": link.split("=")[1], "to": to}
        )
        assert status == answer.status_code
        assert "/at-risk" == answer.headers.get("location", "/at-risk")


def test_a_key_is_shown_once(shop: Path, shop_run: tuple[Path, object], service: Service) -> None:
    """Neither the list of keys, nor the database, nor the log holds a secret."""
    secret = service.key.split("_", 2)[2]
    listed = run("serving", "keys", "list", str(shop), "--workspace", str(shop_run[0])).stdout
    assert service.key.split("_")[1] in listed and secret not in listed + service.logged()
    for file in shop_run[0].glob("milepost.db*"):
        assert secret.encode() not in file.read_bytes()


def test_requests_have_ids(service: Service) -> None:
    """A sane id is echoed, another is replaced, and each request is one line of log."""
    with service.client() as client:
        client.get("/v1/at-risk", headers={"X-Request-ID": "mine-1"})
        made = client.get("/v1/at-risk", headers={"X-Request-ID": "no good"})
    assert re.fullmatch(r"[\w.-]{1,64}", made.headers["x-request-id"])
    time.sleep(1.2)
    lines = [json.loads(line) for line in service.logged().splitlines() if line.startswith("{")]
    found = [line for line in lines if line.get("request") == "mine-1"]
    assert [("/v1/at-risk", 200)] == [(line["route"], line["status"]) for line in found]


def test_who_asked_what_is_kept(
    shop: Path, shop_run: tuple[Path, object], service: Service
) -> None:
    """The audit names key, route and status of a request, in a table that a command shows."""
    with service.client() as client:
        client.get("/v1/at-risk", headers={"X-Request-ID": "audited-1"})
    time.sleep(1.2)
    shown = run("serving", "audit", str(shop), "--workspace", str(shop_run[0])).stdout
    line = next(line for line in shown.splitlines() if line.endswith("audited-1"))
    assert f"{service.key.split('_')[1]} GET /v1/at-risk 200" in line


@pytest.mark.parametrize(
    ("headers", "body", "status", "code"),
    [
        ({"Content-Type": "text/plain"}, b"{}", 415, "media_type_unsupported"),
        ({}, b"{}", 415, "media_type_unsupported"),
        ({"Content-Encoding": "gzip"}, b"{}", 415, "media_type_unsupported"),
        ({"Host": "evil.example"}, b"{}", 400, "host_unknown"),
        ({"Content-Type": "application/json"}, b'{"a": 1, "a": 2}', 400, "request_unreadable"),
        ({"Content-Type": "application/json"}, b"x" * 11_000_000, 413, "body_too_large"),
    ],
)
def test_requests_are_bounded(
    headers: dict[str, str], body: bytes, status: int, code: str, service: Service
) -> None:
    """Wrong kinds, compression, foreign names and too large bodies are refused."""
    with service.client() as client:
        refused(client.post("/v1/scores", content=body, headers=headers), status, code)


@pytest.mark.parametrize("address", ["/v1/customers/a%00b", "/v1/at-risk?search=%00"])
def test_no_address_holds_a_nul(address: str, service: Service) -> None:
    """The character that PostgreSQL can't keep is refused in paths and queries."""
    with service.client() as client:
        refused(client.get(address), 400, "request_unreadable")


def test_a_chunked_body_is_bounded_too(service: Service) -> None:
    """A body that does not say its size is refused when it has become too large."""
    chunks = (b"x" * 1_000_000 for _ in range(12))
    with service.client() as client:
        headers = {"Content-Type": "application/json"}
        refused(client.post("/v1/scores", content=chunks, headers=headers), 413, "body_too_large")


def test_slow_and_broken_requests_are_ended(service: Service) -> None:
    """Headers and bodies that never end are 408, endless headers 431, what is not HTTP 400."""
    start = b"POST /v1/scores HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    key = f"Authorization: Bearer {service.key}\r\n".encode()
    body = start + key + b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    for raw, status in (
        (start + b"X-A: ", b"408"),
        (b"", b"408"),
        (body, b"408"),
        (start + b"".join(b"X-%d: %b\r\n" % (i, b"a" * 1000) for i in range(50)), b"431"),
        (b"NONSENSE\r\n\r\n", b"400"),
    ):
        answer = sent(service, raw)
        assert answer.startswith(b"HTTP/1.1 " + status), answer[:100]
        assert PROBLEM.encode() in answer


def test_health_answers_head(service: Service) -> None:
    """HEAD of a health route is its GET without a body."""
    for path in ("/livez", "/readyz"):
        response = httpx.head(f"{service.address}{path}")
        assert (200, b"") == (response.status_code, response.content)


def test_readiness_shows_little_without_a_key(service: Service) -> None:
    """Versions and sources are for who has a key."""
    open_answer = httpx.get(f"{service.address}/readyz").json()
    assert ({}, []) == (open_answer["models"], open_answer["sources"])


def test_metrics_count_over_all_workers(service: Service) -> None:
    """The count of a route grows by what was asked, whoever answers."""

    def count(client: httpx.Client) -> float:
        text = client.get("/metrics").text
        found = re.search(r'requests_total\{route="/v1/at-risk",status="200"\} ([\d.]+)', text)
        return float(found[1]) if found else 0.0

    with service.client() as client:
        before = count(client)
    for _ in range(10):
        with service.client() as client:
            client.get("/v1/at-risk", params={"limit": 1})
    with service.client() as client:
        assert 10 == count(client) - before


def workers(service: Service) -> set[int]:
    """The processes that answer."""
    number = service.process.pid
    children = Path(f"/proc/{number}/task/{number}/children").read_text().split()
    lines = {int(pid): Path(f"/proc/{pid}/cmdline").read_text() for pid in children}
    return {pid for pid, line in lines.items() if "serving\0run" in line}


def test_a_worker_has_no_heavy_packages(service: Service) -> None:
    """After answers that were made with Arrow, no worker has compiled parts of pandas & Co."""
    with service.client() as client:
        assert 200 == client.get("/v1/at-risk").status_code
        assert 200 == client.get("/v1/export/book", params={"as": "csv"}).status_code
    for pid in workers(service):
        parts = Path(f"/proc/{pid}/maps").read_text()
        assert "pyarrow" in parts
        heavy = ("/pandas/", "/shap/", "/lightgbm/", "/sklearn/")
        assert [] == [name for name in heavy if name in parts]


def test_a_killed_worker_is_back(service: Service) -> None:
    """After kill -9 of a worker another takes its place, and requests are answered."""
    before = workers(service)
    assert 2 == len(before)
    os.kill(min(before), signal.SIGKILL)
    deadline = time.monotonic() + 20
    while len(workers(service) - {min(before)}) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert 2 == len(workers(service))
    assert 200 == httpx.get(f"{service.address}/livez", timeout=30).status_code
