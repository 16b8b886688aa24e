"""An OpenID provider on loopback that signs one person in at once, and can be made to lie.

It keeps to the standard where a client depends on it: a code counts once, for its redirect address,
for a client that proves itself, and for the verifier of its challenge (RFC 7636).
"""

import hashlib
import json
import secrets
import time
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote_plus, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT, SECRET = "mile post", "a:secret +"
KID = "one"


@cache
def private_key(name: str = KID) -> rsa.RSAPrivateKey:
    """A key pair of a name, made once."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class IdentityProvider:
    """What the provider holds; tests change it."""

    def __init__(self) -> None:
        self.address = ""
        self.person: dict[str, Any] = {
            "sub": "17", "email": "jane@example.com", "email_verified": True
        }  # fmt: skip
        self.secret: str | None = SECRET
        self.says: dict[str, Any] = {}
        """What its description says otherwise; None is left out."""
        self.lies: dict[str, Any] = {}
        """What a token claims otherwise; None is left out."""
        self.in_token = True
        """Whether a token says who the person is, or only the userinfo endpoint."""
        self.userinfo: dict[str, Any] = {}
        self.sign: Callable[[dict[str, Any]], str] = lambda claims: jwt.encode(
            claims, private_key(), algorithm="RS256", headers={"kid": KID}
        )
        self.more_keys: list[dict[str, Any]] = []
        self.status = 200
        self.codes: dict[str, dict[str, str]] = {}
        self.seen: list[str] = []
        """How clients proved themselves."""

    def description(self) -> dict[str, Any]:
        names = {"authorization_endpoint": "/authorize?from=link", "token_endpoint": "/token",
                 "jwks_uri": "/keys", "userinfo_endpoint": "/userinfo"}  # fmt: skip
        said = {name: self.address + path for name, path in names.items()}
        said |= {"issuer": self.address, "response_types_supported": ["code"]} | self.says
        return {name: value for name, value in said.items() if value is not None}

    def keys(self) -> dict[str, Any]:
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(private_key().public_key()))
        return {"keys": [{**public, "kid": KID, "alg": "RS256", "use": "sig"}, *self.more_keys]}

    def authorize(self, asked: dict[str, str]) -> str:
        """Where a browser is sent, with a code."""
        assert {"S256", "code"} == {asked["code_challenge_method"], asked["response_type"]}
        assert "openid" in asked["scope"].split()
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        back = {"code": code, "state": asked["state"], "iss": self.address}
        return f"{asked['redirect_uri']}?{urlencode(back)}"

    def tokens(self, form: dict[str, str], basic: str) -> dict[str, Any] | None:
        """What a code is worth; None if nothing."""
        asked = self.codes.pop(form["code"], None)
        if basic:
            client, _, secret = b64decode(basic.removeprefix("Basic ")).decode().partition(":")
            proof = unquote_plus(client), unquote_plus(secret)
        else:
            proof = form["client_id"], form.get("client_secret", "")
        self.seen.append("basic" if basic else "body" if proof[1] else "none")
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = urlsafe_b64encode(digest).decode().rstrip("=")
        right = asked is not None and (
            proof == (CLIENT, self.secret or "")
            and asked["client_id"] == CLIENT
            and asked["redirect_uri"] == form["redirect_uri"]
            and asked["code_challenge"] == challenge
            and form["grant_type"] == "authorization_code"
        )
        if not right or asked is None:
            return None
        now = int(time.time())
        claims = {"iss": self.address, "aud": CLIENT, "iat": now, "exp": now + 60,
                  "nonce": asked["nonce"], "sub": self.person["sub"]}  # fmt: skip
        claims |= (self.person if self.in_token else {}) | self.lies
        text = self.sign({name: value for name, value in claims.items() if value is not None})
        return {"id_token": text, "access_token": "access", "token_type": "Bearer"}


class Handler(BaseHTTPRequestHandler):
    """The provider's endpoints."""

    provider: IdentityProvider

    def do_GET(self) -> None:
        parts, provider = urlsplit(self.path), self.provider
        if parts.path == "/authorize":
            asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
            self.send_response(303)
            self.send_header("Location", provider.authorize(asked))
            self.end_headers()
            return
        told = {"/.well-known/openid-configuration": provider.description, "/keys": provider.keys}
        if parts.path == "/userinfo":
            allowed = self.headers["Authorization"] == "Bearer access"
            self.answer(provider.person | provider.userinfo, 200 if allowed else 401)
        else:
            self.answer(told[parts.path](), provider.status)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        found = self.provider.tokens(dict(parse_qsl(body)), self.headers.get("Authorization", ""))
        self.answer(found or {"error": "invalid_grant"}, 200 if found else 400)

    def answer(self, said: dict[str, Any], status: int) -> None:
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *said: object) -> None:
        pass


@contextmanager
def identity_provider() -> Iterator[IdentityProvider]:
    """A provider that listens on a free port."""
    provider = IdentityProvider()
    handler = type("Bound", (Handler,), {"provider": provider})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    # Another site than 127.0.0.1 to a browser, as a provider is.
    provider.address = f"http://localhost:{server.server_port}"
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
