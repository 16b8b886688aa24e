"""Sessions of browsers, links that work once, and signed tokens."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from serving.database import Database
from serving.keys import Keys, Ring
from serving.migrations import upgrade
from serving.people import Roster, Users
from serving.sessions import Links, Sessions
from serving.settings import Settings
from serving.tokens import AGAIN, SOON, Tokens

ISSUER = "https://id.example"
PRIVATE = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    database = Database(f"sqlite:///{tmp_path}/store.db")
    upgrade(database)
    return Keys(database)


def test_a_session_ends_with_its_key(keys: Keys) -> None:
    """A cookie stands for its key until the key is revoked; an altered one never does."""
    ring = Ring(keys)
    made = keys.create("shop", "person", ("read",), None)
    ring.refresh()
    key = ring.check(made)
    assert key is not None
    roster = Roster(Users(keys.database))
    sessions = Sessions("secret", ring, roster)
    text = sessions.begin(key)
    found = sessions.check(text)
    assert found is not None
    assert (key.id, "shop", ("read",), "person") == (
        found.id, found.workspace, found.scopes, found.name
    )  # fmt: skip
    _, number, until, nonce, signature = text.split(".")
    later = text.replace(until, str(int(until) + 1))
    other = text.replace("k.", "p.", 1)
    odd = (
        "k.\ud800.1.x.y", "p.é.1.é.é", f"k.{number}.{until}.{nonce}.é",
        f"k.{number}.².{nonce}.{signature}",
    )  # fmt: skip
    none = ("", ".", "....", text[:-1], later, other, text.replace(number, "0" * 12))
    for wrong in (*none, *odd):
        assert sessions.check(wrong) is None
    assert Sessions("another", ring, roster).check(text) is None
    keys.revoke(key.id)
    ring.refresh()
    assert sessions.check(text) is None


def test_a_link_works_once(keys: Keys) -> None:
    """The second use of a link finds nothing, nor does a guess."""
    links = Links(keys.database)
    secret = links.make("0123456789ab")
    assert ["0123456789ab", None, None] == [links.use(s) for s in (secret, secret, "guess")]


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    """Tokens whose provider's key set is a file."""
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(PRIVATE.public_key()))
    keys = [{**public, "kid": "one", "alg": "RS256"}, {"kty": "oct", "k": "c2VjcmV0", "kid": "two"}]
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": keys}))
    made = Tokens(Settings(oidc_issuer=ISSUER, oidc_keys=f"file://{tmp_path}/jwks.json"))
    made.refresh()
    return made


def signed(key: Any = PRIVATE, algorithm: str = "RS256", kid: str = "one", **changed: Any) -> str:
    claims = {
        "iss": ISSUER, "aud": "milepost", "sub": "jane", "exp": time.time() + 60,
        "workspace": "shop", "scope": "read score openid",
    }  # fmt: skip
    claims = {name: value for name, value in (claims | changed).items() if value is not None}
    return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": kid})


def test_a_token_speaks_for_its_workspace(tokens: Tokens) -> None:
    """Claims give workspace and known scopes; the same token is known again."""
    text = signed()
    for _ in range(2):
        caller = tokens.check(text)
        assert caller is not None
        assert ("token:jane", "shop") == (caller.id, caller.workspace)
        assert ("score", "read") == caller.scopes


def test_doubtful_tokens_count_for_nothing(tokens: Tokens) -> None:
    """Wrong issuer, audience, key or algorithm, no end or an old one, no workspace: nobody."""
    wrong = [
        signed(iss="https://evil.example"),
        signed(aud="other"),
        signed(exp=time.time() - 3600),
        signed(exp=None),
        signed(workspace=None),
        signed(workspace=["shop"]),
        signed(key=OTHER),
        signed(kid="unknown"),
        signed(key="secret", algorithm="HS256", kid="two"),
        signed(key="secret", algorithm="HS256"),
        signed(key=None, algorithm="none"),
        "a.b.c",
        "",
    ]
    assert [None] * len(wrong) == [tokens.check(text) for text in wrong]


def test_without_an_issuer_no_token_counts() -> None:
    """A service that names no provider believes none."""
    assert Tokens(Settings()).check(signed()) is None


@pytest.fixture
def rude() -> Iterator[str]:
    """The address of a server that does not speak HTTP."""

    class Rude(BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            self.request.sendall(b"what?\r\n\r\n")

    with ThreadingTCPServer(("127.0.0.1", 0), Rude) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/jwks.json"
        server.shutdown()
        thread.join()


WRONG = ['{"keys":["x"]}', '{"keys":5}', "[]", "5", "{", "[" * 100_000, "\x00", "rude", "none"]


@pytest.mark.parametrize("said", WRONG, ids=lambda said: said[:9])
def test_a_provider_that_answers_wrongly_changes_nothing(
    said: str, tokens: Tokens, rude: str, tmp_path: Path
) -> None:
    """The keys stay as they were, and are asked for again."""
    (tmp_path / "wrong.json").write_text(said)
    right = tokens.address
    tokens.address = {
        "rude": rude, "none": f"file://{tmp_path}/none",
    }.get(said, f"file://{tmp_path}/wrong.json")  # fmt: skip
    tokens.check(signed(kid="unknown"))
    tokens._fetched = -SOON  # as if time had gone by
    tokens.refresh()
    assert tokens.check(signed()) is not None
    tokens.address, tokens._fetched = right, tokens._fetched - AGAIN
    (tmp_path / "jwks.json").write_text('{"keys": []}')
    tokens.refresh()
    assert tokens.check(signed()) is None


def test_keys_of_other_kinds_are_passed_over(tokens: Tokens, tmp_path: Path) -> None:
    """A key set may have keys that nobody here can use; the others count."""
    file = tmp_path / "jwks.json"
    known = json.loads(file.read_text())["keys"]
    odd = [{}, {"kty": "of tomorrow", "kid": "two"}, {"kty": "RSA", "kid": "three", "n": 5}]
    file.write_text(json.dumps({"keys": [*odd, *known]}))
    fresh = Tokens(Settings(oidc_issuer=ISSUER, oidc_keys=tokens.address))
    fresh.refresh()
    assert fresh.check(signed()) is not None
