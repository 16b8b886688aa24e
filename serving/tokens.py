"""Signed tokens of another identity provider (OIDC, JWT), where one is configured.

Takes a bearer's text; gives the caller that its claims name. The provider's keys are fetched by
`refresh`, from a thread of its own; a request never waits for them. A token names its workspace
and scopes, or it counts for nothing. Knows nothing about HTTP answers.
"""

import json
import logging
import time
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any

import jwt

from serving.discovery import ProviderError, describe
from serving.keys import SCOPES, Caller
from serving.settings import Settings

LOG = logging.getLogger("milepost.serving")

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
"""Signatures by key pairs alone: a shared secret or none is never right."""
FRESH, AGAIN, SOON = 300.0, 30.0, 5.0
"""Seconds until the provider's keys are fetched again: usually, where they could not be had, and
when an unknown one was named."""
MOST_BYTES = 1_000_000
MOST_KNOWN = 1000
LEEWAY = 30


class Tokens:
    """What a provider's tokens are checked against."""

    def __init__(self, settings: Settings) -> None:
        self.issuer, self.audience = settings.oidc_issuer, settings.oidc_audience
        self.address = settings.oidc_keys
        self.workspace_claim, self.scope_claim = settings.oidc_workspace, settings.oidc_scopes
        self._keys: dict[str, Any] = {}
        self._fetched = -FRESH
        self._lasts = FRESH
        self._asked_for_more = False
        self._known: dict[str, tuple[Caller, float]] = {}

    def check(self, text: str) -> Caller | None:
        """Who a token speaks for; None when it is not one of the provider's, or not now."""
        if not self.issuer:
            return None
        found = self._known.get(text)
        if found is not None and found[1] > time.time():
            return found[0]
        try:
            number = jwt.get_unverified_header(text).get("kid", "")
            key = self._keys.get(number)
            if key is None:
                self._asked_for_more = True
                return None
            claims = jwt.decode(
                text, key.key, algorithms=[key.algorithm_name], audience=self.audience,
                issuer=self.issuer, leeway=LEEWAY, options={"require": ["exp", "iss", "aud"]},
            )  # fmt: skip
        except (jwt.PyJWTError, ValueError, TypeError):
            return None
        return self._remembered(text, claims)

    def refresh(self) -> None:
        """Fetch the provider's keys when it is time; a provider that is away changes nothing."""
        age = time.monotonic() - self._fetched
        if not self.issuer or age < (SOON if self._asked_for_more else self._lasts):
            return
        self._fetched, self._asked_for_more, self._lasts = time.monotonic(), False, AGAIN
        try:
            address = self.address or describe(self.issuer).keys
            with urllib.request.urlopen(address, timeout=3) as answer:  # noqa: S310 - set, or https
                found = json.loads(answer.read(MOST_BYTES))
            keys = _keys_of(found)
        except (OSError, HTTPException, ValueError, RecursionError, ProviderError) as error:
            LOG.warning("the keys of the identity provider stay as they were: %r", error)
            return
        self._keys, self._lasts = keys, FRESH
        self._known = {}

    def _remembered(self, text: str, claims: Mapping[str, Any]) -> Caller | None:
        workspace, scopes = claims.get(self.workspace_claim), claims.get(self.scope_claim, "")
        if not isinstance(workspace, str) or not workspace:
            return None
        named = scopes.split() if isinstance(scopes, str) else scopes
        caller = Caller(
            f"token:{claims.get('sub', '')}"[:200], workspace,
            tuple(scope for scope in SCOPES if isinstance(named, list) and scope in named),
        )  # fmt: skip
        if len(self._known) >= MOST_KNOWN:
            self._known = {}
        self._known[text] = caller, min(float(claims["exp"]) + LEEWAY, time.time() + FRESH)
        return caller


def _keys_of(found: Any) -> dict[str, jwt.PyJWK]:
    """The keys of a key set that can check a signature; others in it are passed over (RFC 7517).

    Raises
    ------
    ValueError
        When it is no key set.
    """
    given = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        raise ValueError("that is no key set")
    keys = {}
    for each in given:
        try:
            key = jwt.PyJWK(each)
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError, KeyError):
            continue
        if key.key_id and key.algorithm_name in ALGORITHMS:
            keys[str(key.key_id)] = key
    return keys
