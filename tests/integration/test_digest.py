"""The weekly digest: made once, sent until it arrives, holding nobody else's customers.

Mail goes to a real SMTP server on loopback (aiosmtpd), with and without TLS.
"""

import csv
import json
import shutil
import sqlite3
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from conftest import free_port, run
from sqlalchemy import select
from stores import addresses, opened
from tracking_server import postgres_programs

from features.config import read_config
from features.durations import DAY, HOUR, WEEK, parse_moment
from models.spoken import Words
from serving.database import Database
from serving.digest import Digest, Fate, Part, Risk
from serving.digest_mail import bodies, e_mail
from serving.digest_store import DEAD, SENT, WAITING, Digests, Named
from serving.digests import Post, look, post_of, week_of
from serving.hook_tables import HOOK_EVENTS
from serving.ledger import Ledger
from serving.people import LEAD, MANAGER, PeopleError, User, Users
from serving.settings import Settings, SettingsError, read_settings
from serving.webhooks import DIGEST, hook_event
from serving.worklist import Worklist

OWNERS = ("Anna Berg", "Bert Cole", "")
MONDAY = parse_moment("2024-02-05T06:00:00Z")


class Sink:
    """Keeps what arrives; refuses the recipient whose name says so."""

    def __init__(self) -> None:
        self.came: list[EmailMessage] = []

    async def handle_RCPT(  # noqa: N802 - what aiosmtpd calls it
        self, _: Any, __: Any, envelope: Any, address: str, ___: Any
    ) -> str:
        if address.startswith("nobody"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _: Any, __: Any, envelope: Any) -> str:  # noqa: N802
        message = message_from_bytes(envelope.original_content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.came.append(message)
        return "250 OK"


@pytest.fixture
def sink() -> Iterator[tuple[Sink, str]]:
    """A mail server and its address."""
    kept = Sink()
    server = Controller(kept, hostname="127.0.0.1", port=free_port())
    server.start()
    yield kept, f"smtp://127.0.0.1:{server.port}"
    server.stop()


@pytest.fixture(scope="module")
def owned(
    shop: Path, shop_run: tuple[Path, object], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """The trained shop, whose customers have owners: its journey.toml, and a workspace with its
    book."""
    folder = tmp_path_factory.mktemp("owned")
    for name in ("orders.csv", "tickets.csv", "customers.csv"):
        shutil.copyfile(shop.parent / name, folder / name)
    customers = [row["customer"] for row in csv.DictReader((folder / "customers.csv").open())]
    rows = [f"{name},{OWNERS[n % len(OWNERS)]}" for n, name in enumerate(customers)]
    (folder / "owners.csv").write_text("\n".join(["customer,owner", *rows]) + "\n")
    said = shop.read_text().replace(
        "select customer, city, since from 'customers.csv'",
        "select customer, city, since, nullif(owner, '') as owner from 'customers.csv' "
        "join 'owners.csv' using (customer)",
    )
    (folder / "journey.toml").write_text(said + '\n[people]\nowner = "owner"\n')
    workspace = tmp_path_factory.mktemp("digests") / "copy"
    others = shutil.ignore_patterns("milepost.db*", "book-histories")
    shutil.copytree(shop_run[0], workspace, ignore=others)
    place = (str(folder / "journey.toml"), "--workspace", str(workspace))
    for command in (
        ("models", "watch", *place, "--once"), ("serving", "import", *place),
        ("serving", "keep-book", *place, "--once"),
    ):  # fmt: skip
        done = run(*command)
        assert 0 == done.returncode, done.stderr
    return folder / "journey.toml", workspace


@pytest.fixture
def post(owned: tuple[Path, Path], sink: tuple[Sink, str], tmp_path: Path) -> Post:
    """Digests of the shop, in a copy of its store: three people, one of them without address."""
    store = tmp_path / "milepost.db"
    with closing(sqlite3.connect(owned[1] / "milepost.db")) as kept:  # what is in its log, too
        kept.execute("vacuum into ?", (str(store),))
    settings = Settings(
        workspace=owned[1], database=f"sqlite:///{store}", smtp_url=sink[1], digest_day="monday",
        public_url="https://milepost.example/", digest_from="news@milepost.example",
    )  # fmt: skip
    database = Database(settings.database_url)
    users = Users(database)
    for name, role, owner in (
        ("anna", MANAGER, OWNERS[0]), ("bert", MANAGER, OWNERS[1]), ("lena", LEAD, None)
    ):  # fmt: skip
        email = None if name == "lena" else f"{name}@example.com"
        users.add("shop", name, role, "$argon2id$none", owner, "north", email)
    return post_of(read_config(owned[0]), settings, database)


def test_a_manager_reads_of_their_own_customers_alone(
    post: Post, sink: tuple[Sink, str], owned: tuple[Path, Path]
) -> None:
    """Of all customers whom text, HTML or the event for subscribers names, each is the reader's;
    links lead to the public address; who has no address gets nothing."""
    assert (2, 2) == look(post, post.settings, MONDAY)
    owners = {
        row["customer"]: row["owner"]
        for row in csv.DictReader((owned[0].parent / "owners.csv").open())
    }
    assert {"anna <anna@example.com>", "bert <bert@example.com>"} == {
        str(message["To"]) for message in sink[0].came
    }
    for message in sink[0].came:
        plain, html = bodies(message)
        mine = OWNERS[0] if "anna" in message["To"] else OWNERS[1]
        named = {name for name in owners if name in plain}
        assert named, "nobody is named, so nothing is shown"
        assert {mine} == {owners[name] for name in named}
        assert named == {name for name in owners if name in html}
        for name in named:
            assert f"https://milepost.example/customers/{name}?problem=churn" in html
    with post.store.database.reading() as connection:
        events = [json.loads(row.body) for row in connection.execute(select(HOOK_EVENTS))]
    assert {"anna", "bert"} == {event["subject"] for event in events}
    for event in events:
        assert DIGEST == event["type"]
        risks = event["data"]["problems"][0]["new_risks"]
        assert {{"anna": OWNERS[0], "bert": OWNERS[1]}[event["subject"]]} == {
            owners[risk["customer"]] for risk in risks
        }
        for risk in risks:
            recorded = Ledger(post.store.database).find(post.store.workspace, risk["score_id"])
            assert recorded is not None and risk["probability"] == recorded[0].probability
        assert "@" not in json.dumps(event)


def test_new_risks_are_those_whose_band_went_up(post: Post) -> None:
    """Each was in a lower band a week ago, and has a score that rose."""
    digest, _ = post.make(post.people("anna")[0], "2024-02-05", MONDAY)
    (part,) = digest.parts
    order = ("low", "medium", "high", "very high")
    assert part.risks
    for risk in part.risks:
        assert order.index(risk.band_before) < order.index(risk.band) >= 2
        assert risk.probability > risk.week_ago
    assert part.rose >= len(part.risks)


def test_two_workers_send_each_digest_once(post: Post, sink: tuple[Sink, str]) -> None:
    """Two processes that look at the same moment make and send one digest a person, and none again
    that week; a week later they do."""
    other = Post(post.business, post.workspace, post.store, post.settings)
    gate = Barrier(2)

    def at_once(one: Post) -> int:
        gate.wait()
        return one.make_due("2024-02-05", MONDAY)

    with ThreadPoolExecutor(2) as pool:
        assert 2 == sum(pool.map(at_once, (post, other)))
    gate.reset()

    def together(one: Post) -> int:
        gate.wait()
        return one.send_due(MONDAY)

    with ThreadPoolExecutor(2) as pool:
        assert 2 == sum(pool.map(together, (post, other)))
    assert 2 == len(sink[0].came)
    assert (0, 0) == look(post, post.settings, MONDAY + 3 * HOUR)
    assert (0, 0) == look(post, post.settings, MONDAY + 3 * DAY)
    assert (2, 2) == look(post, post.settings, MONDAY + WEEK)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_who_died_at_a_digest_is_followed_by_another(kind: str, tmp_path: Path) -> None:
    """A claim holds for ten minutes; then whoever comes may make the digest, once. So does what was
    taken to be sent. SQLite and PostgreSQL do the same."""
    if kind == "postgresql" and postgres_programs() is None:
        pytest.skip("PostgreSQL is not installed; on Debian: make system")
    with addresses(kind, tmp_path) as url:
        store = opened(url)
        kept, week = Digests(store.database, store.workspace), "2024-02-05"
        assert kept.claim("someone", week, MONDAY)
        assert not kept.claim("someone", week, MONDAY + HOUR // 10)
        assert kept.claim("someone", week, MONDAY + HOUR)
        assert not kept.claim("someone", week, MONDAY + HOUR)
        named = [Named("churn", "a", 1, 2, 3, 0.5, "high")]
        event = hook_event(DIGEST, "shop", "all", "someone", 1, "x", {})
        kept.keep("someone", week, MONDAY + HOUR, "Subject: x", named, event)
        assert ["Subject: x"] == [each.message for each in kept.take(MONDAY + HOUR)]
        assert [] == kept.take(MONDAY + HOUR)
        (again,) = kept.take(MONDAY + 2 * HOUR)
        kept.settle(again, SENT, MONDAY + 2 * HOUR, "")
        assert [] == kept.take(MONDAY + DAY)
        assert named == kept.last_named("someone", "2024-02-12")
        assert [] == kept.last_named("someone", week)
        store.database.close()


def test_a_server_that_is_away_delays_and_loses_nothing(post: Post, sink: tuple[Sink, str]) -> None:
    """A dead server is told within seconds, the digest waits with growing pauses, and arrives as it
    was made once the server is back."""
    dead = Settings(**{**post.settings.model_dump(), "smtp_url": f"smtp://127.0.0.1:{free_port()}"})
    away = Post(post.business, post.workspace, post.store, dead)
    began = time.monotonic()
    assert (2, 0) == look(away, dead, MONDAY)
    assert time.monotonic() - began < 60
    anna = post.people("anna")[0].id
    state = post.kept.state(anna, "2024-02-05")
    assert state is not None and WAITING == state[0] and "no mail server" in state[1]
    assert 0 == post.send_due(MONDAY)
    assert 2 == post.send_due(MONDAY + HOUR)
    assert (SENT, "") == post.kept.state(anna, "2024-02-05")
    ids = {message["Message-ID"] for message in sink[0].came}
    assert 2 == len(ids)


def test_a_recipient_who_does_not_exist_is_not_tried_for_ever(post: Post) -> None:
    """What the server refuses for good is dead, and the others' digests go their way."""
    Users(post.store.database).change("shop", "bert", "email", email="nobody@example.com")
    assert (2, 1) == look(post, post.settings, MONDAY)
    bert = post.people("bert")[0].id
    state = post.kept.state(bert, "2024-02-05")
    assert state is not None and DEAD == state[0] and "550" in state[1]


def test_a_digest_follows_who_was_assigned(post: Post, owned: tuple[Path, Path]) -> None:
    """Of a customer who was given to somebody else the first owner reads no more, the new one does,
    whatever the histories say."""
    anna, bert = post.people("anna")[0], post.people("bert")[0]
    rows = csv.DictReader((owned[0].parent / "owners.csv").open())
    given, kept = [row["customer"] for row in rows if row["owner"] == OWNERS[0]][:2]
    Worklist(post.store.database, post.store.workspace).assign({given: OWNERS[1]}, "lena")
    cutoff = parse_moment("2023-12-01")
    closes = cutoff + 30 * DAY
    named = [Named("churn", c, cutoff, cutoff, closes, 0.5, "high") for c in (given, kept)]
    event = hook_event(DIGEST, "shop", "all", "anna", 1, "x", {})
    for user, reads in ((anna, {kept}), (bert, {given})):
        assert post.kept.claim(user.id, "2024-01-29", MONDAY - WEEK)
        post.kept.keep(user.id, "2024-01-29", MONDAY - WEEK, "", named, event)
        digest, _ = post.make(user, "2024-02-05", MONDAY)
        assert reads == {fate.customer for fate in digest.parts[0].fates}


def test_what_became_of_earlier_ones_is_what_the_files_say(
    post: Post, owned: tuple[Path, Path]
) -> None:
    """Of customers named two months ago, whose window is over, the digest tells who ordered and who
    didn't; of those whose window is open it tells no outcome and asks again next week."""
    anna = post.people("anna")[0]
    owners = {
        row["customer"]: row["owner"]
        for row in csv.DictReader((owned[0].parent / "owners.csv").open())
    }
    orders: dict[str, list[date]] = {}
    for row in csv.DictReader((owned[0].parent / "orders.csv").open()):
        orders.setdefault(row["customer"], []).append(date.fromisoformat(row["day"][:10]))
    cutoff = parse_moment("2023-12-01")
    mine = [name for name, owner in owners.items() if owner == OWNERS[0]]
    past = [Named("churn", c, cutoff, cutoff, cutoff + 30 * DAY, 0.5, "high") for c in mine]
    end = post.store.end()
    open_ = Named("churn", mine[0], end, end, end + 30 * DAY, 0.6, "high")
    elses = next(name for name, owner in owners.items() if owner == OWNERS[1])
    named = [*past, open_, replace(open_, customer=elses)]
    event = hook_event(DIGEST, "shop", "all", "anna", 1, "x", {})
    assert post.kept.claim(anna.id, "2024-01-29", MONDAY - WEEK)
    post.kept.keep(anna.id, "2024-01-29", MONDAY - WEEK, "", named, event)
    digest, _ = post.make(anna, "2024-02-05", MONDAY)
    fates = digest.parts[0].fates
    assert elses not in {fate.customer for fate in fates}
    first, last = date(2023, 12, 1), date(2023, 12, 31)
    truth = {
        c: not any(first < day <= last for day in orders.get(c, ())) for c in mine
    }  # fmt: skip
    assert truth == {fate.customer: fate.came for fate in fates if fate.cutoff == cutoff}
    assert [None] == [fate.came for fate in fates if fate.cutoff == end]
    carried = [each for each in digest.named if each.customer == mine[0] and each.cutoff == end]
    assert not carried[0].new


def test_starttls_and_tls_need_a_certificate_that_is_trusted(
    post: Post, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`smtp+starttls` encrypts with a trusted certificate, and hands nothing over to a server whose
    certificate nobody vouches for."""
    certificate = _certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    kept = Sink()
    server = Controller(kept, hostname="127.0.0.1", port=free_port(), tls_context=context,
                        require_starttls=True)  # fmt: skip
    server.start()
    try:
        url = f"smtp+starttls://127.0.0.1:{server.port}"
        safe = Settings(**{**post.settings.model_dump(), "smtp_url": url})
        by_tls = Post(post.business, post.workspace, post.store, safe)
        assert (2, 0) == look(by_tls, safe, MONDAY)
        assert [] == kept.came
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert 2 == by_tls.send_due(MONDAY + HOUR)
    finally:
        server.stop()
    assert 2 == len(kept.came)


def test_a_person_is_sent_one_by_hand(owned: tuple[Path, Path], sink: tuple[Sink, str]) -> None:
    """`digest CONFIG --person` sends one at once; `--dry-run` prints it; nobody else gets one."""
    place = (str(owned[0]), "--workspace", str(owned[1]))
    database = Database(f"sqlite:///{owned[1]}/milepost.db")
    Users(database).add("shop", "cora", MANAGER, "$none", OWNERS[0], None, "cora@example.com")
    printed = run("serving", "digest", *place, "--dry-run", "--person", "cora")
    assert 0 == printed.returncode, printed.stderr
    assert "Went up to a high band" in printed.stdout
    assert [] == sink[0].came
    done = run("serving", "digest", *place, "--person", "cora", "--smtp", sink[1])
    assert 0 == done.returncode, done.stderr
    assert ["cora <cora@example.com>"] == [str(message["To"]) for message in sink[0].came]
    unknown = run("serving", "digest", *place, "--person", "dora", "--smtp", sink[1])
    assert (2, True) == (unknown.returncode, "no e-mail address" in unknown.stderr)


RISK = Risk("a name", "<script>alert(1)</script>\r\nBcc: x@y", 0.7, 0.3, "high", "low", 10.0, 7.0,
            None, "Said “<b>no</b>”")  # fmt: skip
PART = Part("churn", "the probability of <i>", "no order", MONDAY, "1", 3, 0.4, 0.3, 1, 0, (RISK,),
            2, (Fate("a/b?c", 0.6, MONDAY, None, True),))  # fmt: skip


def test_names_are_text_and_never_headers() -> None:
    """A script in a name is escaped in HTML, nothing is loaded, and line breaks in a name of a
    business make no header; both forms say the same customers."""
    digest = Digest("A <b>\r\nBcc: all@example.com", (PART,), (("call", 2),), ())
    user = User("1", "shop", "anna", MANAGER, None, None, "", 0, email="anna@example.com")
    message = e_mail(
        digest, user, "2024-02-05", "news@example.com", "https://m.example", Words(), ""
    )
    again = message_from_bytes(message.as_bytes(), policy=policy.default)
    assert isinstance(again, EmailMessage)
    assert again["Bcc"] is None
    assert "A <b> Bcc: all@example.com: your week" in again["Subject"]
    plain, html = bodies(again)
    for never in ("<script", "<img", "<link", "<b>no", "src=", "url(", "<i>"):
        assert never not in html
    assert "&lt;script&gt;" in html
    assert "https://m.example/customers/a%2Fb%3Fc?problem=churn" in html
    assert "it came: no order" in plain
    assert "call 2" in plain


@pytest.mark.parametrize(
    "email", ["a@b\nBcc: c@d", "a b@c", "<a@b>", "a@b,c@d", "a", "@b", "a@", "a..b@c", "ä@b", ""]
)
def test_an_address_that_is_none_is_refused(email: str, tmp_path: Path) -> None:
    """Nothing that could be two addresses, or a line of a header, is kept."""
    with pytest.raises(PeopleError):
        Users(Database(f"sqlite:///{tmp_path}/milepost.db")).add(
            "shop", "anna", MANAGER, "", None, None, email
        )


@pytest.mark.parametrize(
    ("now", "week", "in_time"),
    [("2024-02-05T06:00:00Z", "2024-02-05", True), ("2024-02-05T05:59:59Z", "2024-01-29", False),
     ("2024-02-06T05:00:00Z", "2024-02-05", True), ("2024-02-06T07:00:00Z", "2024-02-05", False)],
)  # fmt: skip
def test_a_week_begins_at_its_hour(now: str, week: str, in_time: bool) -> None:
    """From the hour of the day on, for a day; who comes later leaves it to the next week."""
    settings = Settings(digest_day="monday", digest_hour=6)
    assert (week, in_time) == week_of(settings, parse_moment(now))


@pytest.mark.parametrize(
    "wrong", [{"SMTP_URL": "http://x"}, {"DIGEST_DAY": "someday"}, {"DIGEST_FROM": "me"},
              {"PUBLIC_URL": "javascript:alert(1)"}, {"MLFLOW_URL": "javascript:alert(1)"}]
)  # fmt: skip
def test_settings_that_can_not_be_meant_are_refused(wrong: dict[str, str]) -> None:
    """A wrong scheme, day or address is told at the start."""
    with pytest.raises(SettingsError):
        read_settings({f"MILEPOST_{name}": value for name, value in wrong.items()})


def _certificate(folder: Path) -> Path:
    """A self-signed certificate of 127.0.0.1 with its key, in one file."""
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    place = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name)
        .public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(place, critical=False).sign(key, hashes.SHA256())
    )  # fmt: skip
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )  # fmt: skip
    path = folder / "certificate.pem"
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path
