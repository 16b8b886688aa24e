"""Two businesses in one service: a key of one never sees anything of the other."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import ROOT, free_port, make_key, run
from journeys import make_shop
from trained import put_on_shelf

from serving.access import SCOPE_OF, is_open

BOTH = "c001"
"""A customer's id that both businesses use; all other ids begin with the business's letter."""
HOOK = "https://hooks.{}.example/band"
NOBODYS = "0" * 32
"""An id that nobody has."""

Asked = dict[str, Any]


@dataclass
class Business:
    """One side: its client, and names of things that exist there alone."""

    name: str
    config: Path
    workspace: Path
    client: httpx.Client
    key_id: str
    customer: str
    score_id: str = ""
    webhook: str = ""
    quarantined: str = ""
    event_id: str = ""
    action: str = ""

    def marks(self, text: str) -> list[str]:
        """What a text holds that no answer to the other may hold."""
        customer = rf"(?<![\w+/=-]){self.customer[0]}0\d\d(?!\w)"
        names = (
            self.name, self.score_id, self.webhook, self.quarantined, self.event_id, self.key_id,
            self.action, HOOK.format(self.name),
        )  # fmt: skip
        return re.findall(customer, text) + [name for name in names if name in text]


def renamed(folder: Path, name: str, letter: str, seed: int) -> Path:
    """A shop under another name, whose customers begin with another letter, but for one."""
    config = make_shop(folder, 60, seed)
    config.write_text(config.read_text().replace('name = "shop"', f'name = "{name}"'))
    for table in ("orders.csv", "tickets.csv", "customers.csv"):
        rows = (folder / table).read_text()
        (folder / table).write_text(re.sub(rf"(?m)^c(?=\d)(?!{BOTH[1:]})", letter, rows))
    return config


@pytest.fixture(scope="module")
def two(
    shop_run: tuple[Path, object], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Business, Business]]:
    """A bakery and a florist that one service serves, each with a thing of every kind."""
    workspace = tmp_path_factory.mktemp("two")
    sides = []
    port = free_port()
    for seed, (name, letter) in enumerate((("bakery", "k"), ("florist", "q"))):
        config = renamed(tmp_path_factory.mktemp(name), name, letter, seed)
        put_on_shelf(shop_run[0] / "shop" / "churn" / "model", workspace, name)
        done = run("serving", "import", str(config), "--workspace", str(workspace))
        assert done.returncode == 0, done.stderr
        key = make_key(config, workspace)
        client = httpx.Client(
            base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {key}"},
            timeout=60,
        )  # fmt: skip
        sides.append(Business(name, config, workspace, client, key.split("_")[1], f"{letter}002"))
    process = subprocess.Popen(
        [sys.executable, "-m", "serving", "run", *(str(side.config) for side in sides),
         "--workspace", str(workspace), "--port", str(port)],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        for side in sides:
            wait_for_list(side.client)
            fill(side)
        yield sides[0], sides[1]
    finally:
        process.terminate()
        process.wait(30)


def wait_for_list(client: httpx.Client) -> None:
    """Wait until the service answers and has made the first list."""
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline:
        try:
            if client.get("/v1/at-risk").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise TimeoutError("no list")


def fill(side: Business) -> None:
    """Make one thing of every kind."""
    client = side.client
    asked = {"problem": "churn", "customer": side.customer, "as_of": "2024-01-20"}
    side.score_id = client.post("/v1/scores", json=asked).json()["score_id"]
    hook = {"url": HOOK.format(side.name)}
    side.webhook = client.post("/v1/webhooks", json=hook).json()["id"]
    assert 202 == client.post(f"/v1/webhooks/{side.webhook}/test").status_code
    bad = {"customer": side.customer, "event": "order", "event_time": "no time"}
    assert 207 == client.post("/v1/events", json=bad).status_code
    side.quarantined = client.get("/v1/quarantine").json()["rows"][0]["row"]
    done = {"customer": side.customer, "kind": "call", "note": f"The {side.name} called."}
    side.action = client.post("/v1/actions", json=done).json()["id"]
    page = client.get(f"/v1/customers/{side.customer}").json()
    side.event_id = page["events"][0]["event_id"]


def own_state(side: Business) -> list[Any]:
    """What a side sees of its own things, without what time alone changes."""
    paths = (
        f"/v1/customers/{side.customer}", f"/v1/customers/{BOTH}", f"/v1/scores/{side.score_id}",
        "/v1/quarantine", "/v1/webhooks", "/v1/actions",
    )  # fmt: skip
    answers = [side.client.get(path) for path in paths]
    assert [200] * len(paths) == [answer.status_code for answer in answers]
    return [answer.json() for answer in answers]


def score_of(other: Business) -> Asked:
    return {"problem": "churn", "customer": other.customer}


ORDER = {"event": "order", "value": 3.0}
NEWS: Asked = {"customer": "new", "event": "order", "event_time": "2024-01-20", "value": 3}
MESSAGE: Asked = {"userId": "new", "timestamp": "2024-01-20T00:00:00Z"}
LIST = {"problem": "churn", "limit": 1000}

ASK: dict[tuple[str, str], Callable[[Business], Asked]] = {
    ("POST", "/v1/scores"): lambda other: {"json": score_of(other)},
    ("POST", "/v1/scores/batch"): lambda other: {
        "json": {"requests": [score_of(other), {**score_of(other), "customer": BOTH}]}
    },
    ("POST", "/v1/what-if"): lambda other: {
        "json": {**score_of(other), "suppose": {"events": [ORDER]}}
    },
    ("GET", "/v1/scores/{score_id}"): lambda other: {},
    ("GET", "/v1/customers/{customer}"): lambda other: {},
    ("GET", "/customers/{customer}"): lambda other: {"params": {"since": other.score_id}},
    ("GET", "/v1/problems"): lambda other: {},
    ("POST", "/v1/events"): lambda other: {"json": {**NEWS, "event_id": "e-1"}},
    ("POST", "/v1/track"): lambda other: {"json": {**MESSAGE, "event": "order"}},
    ("POST", "/v1/identify"): lambda other: {"json": {**MESSAGE, "traits": {"city": "Ulm"}}},
    ("POST", "/v1/page"): lambda other: {"json": MESSAGE},
    ("POST", "/v1/screen"): lambda other: {"json": MESSAGE},
    ("POST", "/v1/group"): lambda other: {"json": {**MESSAGE, "groupId": "acme"}},
    ("POST", "/v1/batch"): lambda other: {
        "json": {"batch": [{**MESSAGE, "type": "track", "event": "order"}]}
    },
    ("GET", "/v1/quarantine"): lambda other: {"params": {"replayed": True}},
    ("POST", "/v1/quarantine/replay"): lambda other: {"json": {"rows": [other.quarantined]}},
    ("POST", "/v1/actions"): lambda other: {"json": {"customer": other.customer, "kind": "call"}},
    ("POST", "/v1/actions/{action}/outcome"): lambda other: {"json": {"outcome": "done"}},
    ("GET", "/v1/actions"): lambda other: {},
    ("POST", "/v1/notes"): lambda other: {"json": {"customer": other.customer, "text": "x"}},
    ("POST", "/v1/opinions"): lambda other: {
        "json": {"customer": other.customer, "says": "no", "because": "x"}
    },
    ("GET", "/v1/disagreements"): lambda other: {},
    ("GET", "/actions"): lambda other: {},
    ("POST", "/actions"): lambda other: {"data": {"customer": other.customer, "kind": "call"}},
    ("POST", "/actions/outcome"): lambda other: {"data": {"action": other.action}},
    ("POST", "/notes"): lambda other: {"data": {"customer": other.customer, "text": "x"}},
    ("POST", "/opinions"): lambda other: {"data": {"customer": other.customer, "says": "no"}},
    ("GET", "/disagreements"): lambda other: {},
    ("GET", "/v1/at-risk"): lambda other: {"params": LIST},
    ("GET", "/at-risk"): lambda other: {"params": LIST},
    ("GET", "/v1/journey-map"): lambda other: {},
    ("GET", "/journey-map"): lambda other: {},
    ("GET", "/v1/export/book"): lambda other: {"params": {"format": "csv"}},
    ("GET", "/v1/export/predictive-scores"): lambda other: {},
    ("GET", "/metrics"): lambda other: {},
    ("POST", "/v1/webhooks"): lambda other: {"json": {"url": "https://example.com/own"}},
    ("POST", "/v1/worklist"): lambda other: {
        "json": {"problem": "churn", "customers": [other.customer], "do": "wake"}
    },
    ("POST", "/at-risk"): lambda other: {"data": {f"pick:{other.customer}": "1", "do": "wake"}},
    ("GET", "/my-week"): lambda other: {},
    ("POST", "/my-week"): lambda other: {"data": {"many": "5"}},
    ("POST", "/views"): lambda other: {"data": {"name": "x"}},
    ("GET", "/v1/webhooks"): lambda other: {},
    ("GET", "/v1/webhooks/{webhook}"): lambda other: {},
    ("DELETE", "/v1/webhooks/{webhook}"): lambda other: {},
    ("POST", "/v1/webhooks/{webhook}/test"): lambda other: {},
    ("GET", "/v1/webhooks/{webhook}/deliveries"): lambda other: {},
    ("POST", "/v1/webhooks/{webhook}/replay"): lambda other: {"json": {}},
    ("GET", "/v1/personas"): lambda other: {"params": {"problem": "churn"}},
    ("GET", "/personas"): lambda other: {"params": {"problem": "churn"}},
    ("GET", "/v1/model"): lambda other: {"params": {"problem": "churn"}},
    ("GET", "/model"): lambda other: {"params": {"problem": "churn"}},
    ("GET", "/livez"): lambda other: {},
    ("GET", "/readyz"): lambda other: {},
    ("GET", "/openapi.json"): lambda other: {},
    ("GET", "/docs"): lambda other: {},
    ("GET", "/"): lambda other: {},
}
"""How each route is asked for what is the other's."""

FORMS = (
    "/actions", "/actions/outcome", "/notes", "/opinions", "/at-risk", "/my-week", "/views",
)  # fmt: skip
"""Forms of pages, which no key can send: only a session has their token."""

NAMED_IN_BODY = [
    ("POST", "/v1/scores"), ("POST", "/v1/what-if"), ("POST", "/v1/actions"),
    ("POST", "/v1/worklist"), ("POST", "/v1/notes"), ("POST", "/v1/opinions"),
]  # fmt: skip
"""Routes whose body names a thing of the other, and that can only say that it does not exist."""


def ask(client: httpx.Client, route: tuple[str, str], other: Business) -> httpx.Response:
    """Ask a route for what is the other's."""
    method, path = route
    ids = {
        "{customer}": other.customer, "{score_id}": other.score_id, "{webhook}": other.webhook,
        "{action}": other.action,
    }  # fmt: skip
    for name, value in ids.items():
        path = path.replace(name, value)
    return client.request(method, path, **ASK[route](other))


def test_every_route_is_asked(two: tuple[Business, Business]) -> None:
    """The table above knows all that the service documents, and its pages."""
    paths = two[0].client.get("/openapi.json").json()["paths"]
    documented = {(m.upper(), path) for path, methods in paths.items() for m in methods}
    assert documented | set(SCOPE_OF) == set(ASK)


@pytest.mark.parametrize("turn", [0, 1], ids=["bakery asks", "florist asks"])
def test_nothing_of_the_other_is_told_or_changed(turn: int, two: tuple[Business, Business]) -> None:
    """Asked for the other's, each route says what it says of nobody's, and changes nothing."""
    me, other = two[turn], two[1 - turn]
    nobody = replace(
        other, customer="x" * len(other.customer), score_id=NOBODYS, webhook=NOBODYS,
        quarantined=NOBODYS, action=NOBODYS,
    )  # fmt: skip
    before = own_state(other)
    assert 7 <= len(other.marks(str([before, other.key_id])))
    for route in ASK:
        found = ask(me.client, route, other)
        told = found.text.replace(other.customer, "") if "/customers/" in route[1] else found.text
        assert [] == other.marks(told), route
        if "{" in route[1] or route in NAMED_IN_BODY:
            assert 404 == found.status_code, route
        elif route[0] == "POST" and route[1] in FORMS:
            assert 403 == found.status_code, route
        elif not is_open(route[1]):
            assert found.status_code < 400, (route, found.text)
        if route[0] == "GET" or found.status_code == 404:
            of_nobody = ask(me.client, route, nobody)
            assert of_nobody.status_code == found.status_code, route
            if found.status_code == 404:
                said = of_nobody.text.replace(nobody.customer, other.customer)
                assert said == found.text, route
    assert before == own_state(other)


def test_a_row_of_the_other_s_quarantine_is_not_replayed(two: tuple[Business, Business]) -> None:
    """Naming it does nothing; the other can still replay it."""
    me, other = two
    tried = me.client.post("/v1/quarantine/replay", json={"rows": [other.quarantined]}).json()
    nothing = {"accepted": 0, "duplicate": 0, "quarantined": 0, "refused": 0, "next": None}
    assert nothing == tried
    own = other.client.post("/v1/quarantine/replay", json={"rows": [other.quarantined]}).json()
    assert 1 == own["quarantined"]


def test_an_id_of_both_is_two_customers(two: tuple[Business, Business]) -> None:
    """The same id has another journey, and an event of one is no duplicate of the other's."""
    event = {"customer": BOTH, "event": "order", "event_time": "2024-01-20", "event_id": "same"}
    statuses = [side.client.post("/v1/events", json=event).json()["accepted"] for side in two]
    assert [1, 1] == statuses
    journeys = [side.client.get(f"/v1/customers/{BOTH}").json() for side in two]
    ids = [{event["event_id"] for event in journey["events"]} for journey in journeys]
    assert {"same"} == ids[0] & ids[1]
    assert journeys[0]["n_events"] != journeys[1]["n_events"]


def test_a_kind_that_no_model_knows_gets_a_hint(two: tuple[Business, Business]) -> None:
    """An event that may be misspelt is kept; the nearest kind that the business's models have
    learned from is named, in Segment's calls too."""
    client = two[0].client
    rows = [{**NEWS, "event": name, "event_id": f"h-{name}"} for name in ("order", "oder")]
    stated = {"customer": "new", "attributes": {"city": "Bonn"}}
    results = client.post("/v1/events", json=[*rows, stated]).json()["results"]
    tracked = client.post("/v1/track", json={**MESSAGE, "event": "tickets"}).json()["results"]
    assert ["accepted"] * 3 == [result["status"] for result in results]
    hint = "No model has learned from events of this kind. Did you mean 'order'?"
    assert [None, hint, None] == [result.get("hint") for result in results]
    assert tracked[0]["hint"].endswith("Did you mean 'ticket'?")


def test_lists_hold_the_caller_s_own_customers(two: tuple[Business, Business]) -> None:
    """Both sides' lists and exports are full, and of customers with their own letter."""
    for side in two:
        listed = side.client.get("/v1/at-risk", params=LIST).json()["customers"]
        exported = side.client.get("/v1/export/book").text.splitlines()
        assert len(listed) == len(exported) > 5
        letters = {row["customer"][0] for row in listed if row["customer"] != BOTH}
        assert {side.customer[0]} == letters


def test_readiness_tells_of_the_caller_s_own_models(two: tuple[Business, Business]) -> None:
    """Versions, and sources with their rows, are those of one business."""
    for side in two:
        told = side.client.get("/readyz").json()
        assert {"churn": "1"} == told["models"]
        found = side.client.get("/v1/problems").json()["problems"]
        assert [f"{side.name}-churn"] == [one["model"] for one in found]


def test_a_key_of_the_other_is_neither_listed_nor_revoked(two: tuple[Business, Business]) -> None:
    """The commands that are given one business's journey.toml know its keys and requests alone."""
    me, other = two
    place = (str(me.config), "--workspace", str(me.workspace))
    assert other.key_id not in run("serving", "keys", "list", *place).stdout
    revoked = run("serving", "keys", "revoke", "--id", other.key_id, *place)
    assert 2 == revoked.returncode
    assert 200 == other.client.get("/v1/problems").status_code
    audited = run("serving", "audit", *place).stdout
    assert me.key_id in audited and other.key_id not in audited
