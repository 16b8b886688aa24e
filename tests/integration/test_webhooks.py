"""Webhooks against a real listener, on both stores, with couriers that are killed."""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from conftest import ROOT

from features.durations import SECOND
from serving.courier import TRIES, Courier
from serving.database import Database
from serving.event_store import EventStore
from serving.hook_store import DEAD, DELIVERED, WAITING, Hooks
from serving.migrations import upgrade
from serving.refusals import NotFoundError
from serving.targets import TargetError, check_url, is_public
from serving.webhooks import BAND_CHANGED, HookEvent, hook_event, signature


class Sink:
    """A subscriber: remembers what it was told, and answers as it is bidden."""

    def __init__(self) -> None:
        self.heard: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                sink.heard.append(({k.lower(): v for k, v in self.headers.items()}, body))
                status = sink.answers.pop(0) if sink.answers else 204
                self.send_response(status)
                if status in (301, 302, 307):
                    self.send_header("location", f"{sink.url}/elsewhere")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.heard]


@pytest.fixture
def sink() -> Iterator[Sink]:
    """A listener on loopback."""
    made = Sink()
    thread = threading.Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def hooks(database: Database, request: pytest.FixtureRequest) -> Hooks:
    """The webhooks of a workspace of this test's own."""
    store = EventStore(database).workspace(request.node.name)
    return Hooks(database, store.workspace)


def event(subject: str, about: str, says: str = "") -> HookEvent:
    """A change of band, as small as it gets."""
    return hook_event(BAND_CHANGED, "shop", "churn", subject, 1_000_000, about, {"says": says})


def publish(database: Database, hooks: Hooks, *events: HookEvent) -> int:
    with database.writing() as connection:
        return hooks.publish(connection, events)


def deliver(database: Database, rounds: int = 1, pause: float = 0.0) -> None:
    """Let a courier make some rounds; a failed try may be made again after a pause."""

    async def some() -> None:
        courier = Courier(database, private=True, first_pause=pause)
        for _ in range(rounds):
            await courier.round()
            if courier._under_way:
                await asyncio.wait(courier._under_way)
        await courier.finish()

    asyncio.run(some())


def states(hooks: Hooks, subscription: str) -> list[str]:
    return [d.state for d in hooks.deliveries(subscription, None, 0, 1000)]


def test_a_signature_is_that_of_the_published_example() -> None:
    """The example vector of Standard Webhooks comes out to the letter."""
    expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    said = b'{"test": 2432232314}'
    assert expected == signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, said)


def test_an_event_is_delivered_signed_as_a_cloud_event(
    database: Database, hooks: Hooks, sink: Sink
) -> None:
    """The subscriber hears a CloudEvent whose signature its secret confirms, once."""
    made, secret = hooks.subscribe(sink.url, [BAND_CHANGED], 0)
    told = event("c1", "1", "Grüße")
    assert 1 == publish(database, hooks, told)
    assert 0 == publish(database, hooks, told)
    deliver(database, rounds=2)
    ((headers, body),) = sink.heard
    assert [DELIVERED] == states(hooks, made.id)
    said = json.loads(body)
    assert ("1.0", told.id, "c1") == (said["specversion"], said["id"], said["subject"])
    assert "application/cloudevents+json" == headers["content-type"]
    signed = f"{told.id}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    assert f"v1,{digest}" == headers["webhook-signature"]
    assert abs(time.time() - int(headers["webhook-timestamp"])) < 60


def test_a_failing_subscriber_is_tried_again_and_hears_each_customer_in_order(
    database: Database, hooks: Hooks, sink: Sink
) -> None:
    """While one customer's event waits, the next one of that customer waits too; others do not."""
    hooks.subscribe(sink.url, [BAND_CHANGED], 0)
    one, two, other = event("c1", "1"), event("c1", "2"), event("c2", "1")
    publish(database, hooks, one, two, other)
    sink.answers = [500, 500]
    deliver(database)
    assert sorted([one.id, other.id]) == sorted(sink.ids)
    deliver(database, rounds=3)
    assert 1 == sink.ids[2:].count(one.id) == sink.ids[2:].count(two.id)
    assert sink.ids.index(two.id) > max(i for i, e in enumerate(sink.ids) if e == one.id)


def test_what_can_not_be_delivered_is_a_dead_letter_that_can_be_replayed(
    database: Database, hooks: Hooks, sink: Sink
) -> None:
    """After its last try a letter is dead, holds up no other one, and can be sent again."""
    made, _ = hooks.subscribe(sink.url, [BAND_CHANGED], 0)
    one, two = event("c1", "1"), event("c1", "2")
    publish(database, hooks, one, two)
    sink.answers = [503] * TRIES
    deliver(database, rounds=TRIES + 1)
    dead, delivered = hooks.deliveries(made.id, None, 0, 10)
    assert (DEAD, TRIES, 503, "answered 503") == (dead.state, dead.tries, dead.status, dead.error)
    assert DELIVERED == delivered.state
    assert [dead] == hooks.deliveries(made.id, DEAD, 0, 10)
    assert 0 == hooks.replay(made.id, ["another"], 1)
    assert 1 == hooks.replay(made.id, [one.id], 1)
    deliver(database)
    assert [DELIVERED] * 2 == states(hooks, made.id)
    assert one.id == sink.ids[-1]


def test_redirects_are_not_followed_and_gone_is_gone(
    database: Database, hooks: Hooks, sink: Sink
) -> None:
    """A redirect is a failed try, 410 a dead letter at once."""
    made, _ = hooks.subscribe(sink.url, [BAND_CHANGED], 0)
    publish(database, hooks, event("c1", "1"), event("c2", "1"))
    sink.answers = [307, 410]
    deliver(database)
    assert 2 == len(sink.heard)
    assert sorted([WAITING, DEAD]) == sorted(states(hooks, made.id))


def test_nobody_listening_is_a_failed_try(database: Database, hooks: Hooks) -> None:
    """A closed port leaves the event waiting, with what went wrong."""
    made, _ = hooks.subscribe("http://127.0.0.1:9/x", [BAND_CHANGED], 0)
    publish(database, hooks, event("c1", "1"))
    deliver(database)
    (found,) = hooks.deliveries(made.id, WAITING, 0, 10)
    assert (1, None, "no connection (ConnectError)") == (found.tries, found.status, found.error)


def test_a_private_address_is_never_connected_to(
    database: Database, hooks: Hooks, sink: Sink
) -> None:
    """A subscription to loopback that got into the store is dead without a connection."""
    made, _ = hooks.subscribe(sink.url, [BAND_CHANGED], 0)
    named, _ = hooks.subscribe("https://localtest.invalid/x", [BAND_CHANGED], 0)
    publish(database, hooks, event("c1", "1"))

    async def once() -> None:
        courier = Courier(database, private=False)
        await courier.round()
        await courier.finish()

    asyncio.run(once())
    assert [DEAD] == states(hooks, made.id)
    assert [WAITING] == states(hooks, named.id)
    assert [] == sink.heard


def test_another_workspaces_webhooks_do_not_exist(database: Database, hooks: Hooks) -> None:
    """Listing, deliveries, replay and removal see one workspace only."""
    made, _ = hooks.subscribe("https://example.com/x", [BAND_CHANGED], 0)
    other = Hooks(database, EventStore(database).workspace("another").workspace)
    assert made.id not in [s.id for s in other.subscriptions()]
    for ask in (
        lambda: other.subscription(made.id),
        lambda: other.deliveries(made.id, None, 0, 10),
        lambda: other.replay(made.id, None, 0),
        lambda: other.remove(made.id),
    ):
        with pytest.raises(NotFoundError):
            ask()
    hooks.remove(made.id)
    assert [] == hooks.subscriptions()


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "169.254.169.254", "192.168.0.1", "100.64.0.1", "0.0.0.0", "::1",
     "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "fe80::1%eth0", "fd00::1",
     "224.0.0.1"],
)  # fmt: skip
def test_private_addresses_are_known(address: str) -> None:
    """Loopback, private, link-local, shared and mapped addresses are not public."""
    assert not is_public(address)


@pytest.mark.parametrize(
    "url",
    ["http://example.com/", "https://localhost/", "https://127.0.0.1/", "https://2130706433/",
     "https://0x7f.1/", "https://[::1]/", "https://user@example.com/", "https://example.com/#x",
     "ftp://example.com/", "https://", "https://example.com:99999/", "https://intranet/",
     "https://exa mple.com/", "https://example.com\\@127.0.0.1/", "https://127.1/"],
)  # fmt: skip
def test_urls_that_lead_inside_are_refused(url: str) -> None:
    """What is no public HTTPS address can't be subscribed."""
    with pytest.raises(TargetError):
        check_url(url, private=False)


@contextmanager
def courier(database: Database) -> Iterator[subprocess.Popen[bytes]]:
    """A courier in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "serving", "courier", "--database", database.url],
        cwd=ROOT, env={**os.environ, "MILEPOST_WEBHOOKS_PRIVATE": "true"},
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait(20)


def test_a_killed_courier_loses_nothing(database: Database, hooks: Hooks, sink: Sink) -> None:
    """Couriers killed at any moment: every event is heard at least once, each customer in order."""
    made, _ = hooks.subscribe(sink.url, [BAND_CHANGED], 0)
    events = [event(f"c{n % 20}", str(n)) for n in range(200)]
    publish(database, hooks, *events)
    for _ in range(2):
        with courier(database) as process:
            begun, deadline = len(sink.heard), time.monotonic() + 30
            while len(sink.heard) < begun + 40 and time.monotonic() < deadline:
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)
    now = int(time.time() * SECOND)
    with database.writing() as connection:  # as if the leases of the dead had ended
        connection.exec_driver_sql(f"update deliveries set due = {now} where state = 'waiting'")
    with courier(database):
        deadline = time.monotonic() + 60
        while WAITING in states(hooks, made.id) and time.monotonic() < deadline:
            time.sleep(0.05)
    assert [DELIVERED] * 200 == states(hooks, made.id)
    assert {e.id for e in events} == set(sink.ids)
    first = {e: sink.ids.index(e) for e in set(sink.ids)}
    for who in range(20):
        places = [first[e.id] for e in events if e.subject == f"c{who}"]
        assert sorted(places) == places


def test_publishing_side_by_side_delivers_each_event_once(postgresql: str) -> None:
    """An event that another publishes while one's own are kept is delivered by the other alone."""
    database = Database(postgresql)
    upgrade(database)
    workspace = EventStore(database).workspace("beside").workspace
    hooks = Hooks(database, workspace)
    made, _ = hooks.subscribe("https://example.com/", [BAND_CHANGED], 1)
    mine, theirs = (
        hook_event(BAND_CHANGED, "beside", "churn", who, 5, "1", {}) for who in ("mine", "theirs")
    )

    def slowly() -> Iterator[HookEvent]:
        yield mine
        with database.writing() as other:
            assert 1 == hooks.publish(other, [theirs])

    with database.writing() as connection:
        hooks.publish(connection, slowly())
    told = hooks.deliveries(made.id, WAITING, 0, 10)
    assert sorted([mine.id, theirs.id]) == sorted(each.event for each in told)
    hooks.remove(made.id)
    database.close()
