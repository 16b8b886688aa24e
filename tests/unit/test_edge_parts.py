"""Parts of the edge by themselves: budgets, rates, credentials, settings."""

import asyncio
import base64
import json
from collections.abc import MutableMapping
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import prometheus_client
import pytest
from conftest import ROOT
from pages import read_page
from starlette.requests import ClientDisconnect

from features.errors import MilepostError
from serving.access import UnauthorizedError
from serving.bodies import UnreadableError
from serving.database import Database
from serving.edge import Application, Edge, credential, refusal
from serving.errors import MEDIA_TYPE
from serving.guard import Budget
from serving.keys import KeyInvalidError, Keys, Ring
from serving.migrations import upgrade
from serving.rates import Rates
from serving.refusals import BodyTooLargeError, OverloadedError, RateLimitedError
from serving.settings import Settings, SettingsError, read_settings
from serving.state import State


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    database = Database(f"sqlite:///{tmp_path}/store.db")
    upgrade(database)
    return Keys(database)


def test_a_full_worker_refuses_at_once() -> None:
    """Beyond its places a worker takes nothing on, health has its own, and places come back."""
    budget = Budget(2, 1)
    taken = [budget.take(path) for path in ("/a", "/b", "/c", "/livez", "/readyz")]
    assert [True, True, False, True, False] == taken
    budget.give("/a")
    assert [True, False] == [budget.take("/c"), budget.take("/d")]
    assert 3 == budget.shed


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (RateLimitedError("This key asks too often."), 429, "This key asks too often."),
        (UnreadableError("The address holds NUL."), 400, "The address holds NUL."),
        (BodyTooLargeError(10_000), 413, "A body has at most 10,000 bytes."),
        (OverloadedError("All places are taken."), 503, "All places are taken."),
    ],
)
def test_a_refusal_is_a_page_for_who_reads_pages(
    error: MilepostError, status: int, says: str
) -> None:
    """A browser shows the small page of errors; a program gets a problem document."""
    page, document = answered(refusal(error, True)), answered(refusal(error, False))
    assert [status] * 2 == [page.status_code, document.status_code]
    assert "text/html; charset=utf-8" == page.headers["content-type"]
    assert says == read_page(page.text).all("p")[0].text
    assert (MEDIA_TYPE, says) == (document.headers["content-type"], document.json()["detail"])
    for name in ("retry-after", "connection"):
        assert page.headers.get(name) == document.headers.get(name)


def test_who_is_not_signed_in_is_led_there() -> None:
    """A form that is sent after the session has ended leads to the way in, not to JSON."""
    answer = answered(refusal(UnauthorizedError("Who?"), True))
    assert (303, "/sign-in") == (answer.status_code, answer.headers["location"])


@pytest.mark.parametrize(
    ("fault", "status"), [(ValueError("inner words"), 500), (ClientDisconnect(), 499)]
)
@pytest.mark.parametrize("begun", [False, True])
def test_a_fault_in_an_answer_is_counted_and_told(
    fault: Exception, status: int, begun: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """One that was foreseen by nobody is answered, or ends an answer that had begun without
    completing it; who went away gets no answer and is no fault."""
    for name in ("Histogram", "Counter"):  # a process has one registry, and here many states
        kind = partial(getattr(prometheus_client, name), registry=None)
        monkeypatch.setattr(prometheus_client, name, kind)
    state = State(Settings(log_requests=True), Database(f"sqlite:///{tmp_path}/store.db"), {})
    sent: list[MutableMapping[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise fault

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "GET", "path": "/livez", "scheme": "http", "query_string": b"",
        "headers": [(b"host", b"localhost")],
    }  # fmt: skip
    asyncio.run(Edge(app, state)(scope, receive, send))
    state.log.show()
    assert status == json.loads(capsys.readouterr().err)["status"]
    assert (status == 500) == bool(caplog.records)
    starts = [message["status"] for message in sent if message["type"] == "http.response.start"]
    assert ([200] if begun else [500] if status == 500 else []) == starts
    assert b"inner words" not in b"".join(message.get("body", b"") for message in sent)


def answered(app: Application) -> httpx.Response:
    """What an application answers to any request."""
    transport = httpx.ASGITransport(app)

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://edge") as client:
            return await client.post("/")

    return asyncio.run(ask())


def test_a_key_is_held_to_its_rate() -> None:
    """A bucket is empty after its burst, fills with time, and belongs to one key."""
    rates = Rates(2, 3)
    assert [True, True, True, False] == [rates.take("a", now=0.0) for _ in range(4)]
    assert rates.take("b", now=0.0)
    assert [True, False] == [rates.take("a", now=0.5), rates.take("a", now=0.6)]


def test_without_a_rate_nobody_is_held() -> None:
    """A rate of 0 is no limit."""
    assert all(Rates(0, 1).take("a") for _ in range(1000))


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (b"Bearer mp_1_x", "mp_1_x"),
        (b"bearer  mp_1_x ", "mp_1_x"),
        (b"Basic " + base64.b64encode(b"mp_1_x:"), "mp_1_x"),
        (b"Basic " + base64.b64encode(b"mp_1_x:secret"), "mp_1_x"),
        (b"Basic \xff", ""),
        (b"Basic " + base64.b64encode(b"\xff\xfe"), ""),
        (b"Digest mp_1_x", ""),
        (b"", ""),
    ],
)
def test_credentials_are_read_from_headers(header: bytes, text: str) -> None:
    """A bearer's token or the user name of Basic; whatever else there is, is none."""
    assert text == credential(header)


def test_a_ring_knows_living_keys(keys: Keys) -> None:
    """A new key works after the next reading, a revoked one no more, a wrong one never."""
    ring = Ring(keys)
    text = keys.create("shop", "crm", ("score",), None)
    assert ring.is_strange(text) and ring.check(text) is None
    ring.refresh()
    found = ring.check(text)
    assert found is not None and ("shop", ("score",)) == (found.workspace, found.scopes)
    for wrong in (text[:-1], text + "x", "mp_", "mp__", f"mp_{found.id}_", "\ud800", "mp_é_é"):
        assert ring.check(wrong) is None and not ring.is_strange(wrong)
    assert keys.revoke(found.id) and not keys.revoke(found.id)
    ring.refresh()
    assert ring.check(text) is None


def test_a_ring_outlives_its_database(keys: Keys, tmp_path: Path) -> None:
    """While the database is away, keys as last read go on working."""
    ring, text = Ring(keys), keys.create("shop", "crm", ("score",), 1)
    ring.refresh()
    keys.database.close()
    (tmp_path / "store.db").rename(tmp_path / "away.db")
    ring.refresh()
    assert ring.check(text) is not None


@pytest.mark.parametrize("days", [0.0, -1.0, float("nan"), float("inf"), 1e9])
def test_a_key_has_an_end_that_can_be_meant(days: float, keys: Keys) -> None:
    """No key is made that never works, or for centuries."""
    with pytest.raises(KeyInvalidError):
        keys.create("shop", "crm", ("score",), days)


def test_a_key_has_known_scopes(keys: Keys) -> None:
    """A misspelt scope is refused."""
    with pytest.raises(KeyInvalidError, match="score, ingest, read, admin"):
        keys.create("shop", "crm", ("scores",), None)


def test_an_unknown_setting_is_refused() -> None:
    """A misspelt setting names the nearest one; a value that can't be meant names its setting."""
    with pytest.raises(SettingsError, match="MILEPOST_WORKERS"):
        read_settings({"MILEPOST_WORKRES": "2"})
    with pytest.raises(SettingsError, match="workers"):
        read_settings({"MILEPOST_WORKERS": "none"})
    assert 3 == read_settings({"MILEPOST_WORKERS": "2"}, workers="3").workers


def test_names_are_checked_on_loopback() -> None:
    """A service on loopback goes by loopback names unless others are given."""
    assert "localhost" in Settings().known_hosts
    assert frozenset() == Settings(host="0.0.0.0").known_hosts
    assert frozenset(("a.example",)) == Settings(hosts="A.example").known_hosts


def test_every_limit_is_documented() -> None:
    """docs/security.md names the settings that bound requests."""
    page = (ROOT / "docs" / "security.md").read_text()
    for name in Settings.model_fields:
        if name.endswith(("_body", "_seconds")) and name != "keep_alive_seconds":
            assert f"`{name.upper()}`" in page
