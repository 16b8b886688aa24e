"""Sessions of browsers, links that work once, and signed tokens."""

import json
import time
from pathlib import Path
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
from serving.tokens import Tokens

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
    key = ring.check(keys.create("shop", "person", ("read",), None))
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
