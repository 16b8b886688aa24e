"""An identity provider that people sign in with: authorization code with PKCE.

Takes settings; gives the address where a browser begins, and, when it comes back, the name that
the provider vouches for. Who that is here, and what they may, the users say. Sources: OpenID
Connect Core 1.0, section 3.1; RFC 7636 (PKCE); RFC 9207 (the issuer of an answer). Knows nothing
about cookies or sessions.
"""

import hashlib
import hmac
import secrets
import threading
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from time import monotonic, time
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

import jwt

from features.errors import MilepostError
from serving.discovery import Described, ProviderError, answer_of, describe
from serving.settings import Settings
from serving.tokens import ALGORITHMS, LEEWAY

RETURN = "/sign-in/return"
"""Where the provider sends browsers back to; it has to be told."""
LASTS = 600
"""Seconds that somebody may take at the provider."""
FRESH = 3600.0
"""Seconds until the provider is asked again what its addresses are."""
SCOPE = "openid email profile"
EMAIL = "email"
MOST = 4000
"""Characters of what a provider sends back by a browser."""


class NotVouchedError(MilepostError):
    """Somebody came back from the provider without its word on who they are."""

    code = "sign_in_refused"


class Provider:
    """The provider of the settings."""

    def __init__(self, settings: Settings) -> None:
        self.issuer, self.client = settings.oidc_issuer, settings.oidc_client
        self.secret, self.claim = settings.oidc_client_secret, settings.oidc_name
        self.back = f"{settings.public_url.rstrip('/')}{RETURN}"
        self.called = urlsplit(self.issuer).hostname or ""
        """What people know the provider by."""
        self._described: tuple[Described, float] | None = None
        self._keys: jwt.PyJWKClient | None = None
        self._lock = threading.Lock()

    @property
    def offered(self) -> bool:
        """Whether people may sign in with it."""
        return bool(self.client)

    def begin(self) -> tuple[str, str]:
        """Where a browser goes, and what it has to bring back unseen.

        Raises
        ------
        ProviderError
        """
        kept = f"{int(time())}.{secrets.token_urlsafe(32)}"
        challenge = urlsafe_b64encode(hashlib.sha256(_part(kept, "verifier").encode()).digest())
        asked = {
            "response_type": "code", "client_id": self.client, "redirect_uri": self.back,
            "scope": SCOPE, "state": _part(kept, "state"), "nonce": _part(kept, "nonce"),
            "code_challenge": challenge.decode().rstrip("="), "code_challenge_method": "S256",
        }  # fmt: skip
        place = self._addresses().authorization
        return f"{place}{'&' if '?' in place else '?'}{urlencode(asked)}", kept

    def finish(self, kept: str, brought: Mapping[str, str]) -> str:
        """The name of who came back.

        Parameters
        ----------
        kept
            What `begin` gave the browser; "" if it has nothing.
        brought
            The query that the provider sent the browser back with.

        Raises
        ------
        NotVouchedError
            When this browser did not begin here, or the provider names nobody.
        ProviderError
            When the provider is away.
        """
        began = kept.partition(".")[0]
        same = hmac.compare_digest(
            _part(kept, "state").encode(), brought.get("state", "").encode(errors="replace")
        )
        if not began.isdecimal() or time() > int(began) + LASTS or not same:
            raise NotVouchedError("This sign-in began too long ago, or elsewhere. Begin again.")
        code = brought.get("code", "")
        if brought.get("iss", self.issuer) != self.issuer or not 0 < len(code) <= MOST:
            raise NotVouchedError(f"The sign-in at {self.called} was not completed.")
        tokens = self._tokens(code, _part(kept, "verifier"))
        claims = self._claims(str(tokens.get("id_token", "")), _part(kept, "nonce"))
        return self._name(claims, tokens)

    def _tokens(self, code: str, verifier: str) -> dict[str, Any]:
        """What a code is worth, once."""
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": self.back,
            "client_id": self.client, "code_verifier": verifier,
        }  # fmt: skip
        places = self._addresses()
        if not self.secret or places.by_body:
            given = form | ({"client_secret": self.secret} if self.secret else {})
            return answer_of("POST", places.token, data=given)
        # The two are form-encoded before they are joined: RFC 6749, section 2.3.1.
        proof = quote_plus(self.client), quote_plus(self.secret)
        return answer_of("POST", places.token, data=form, auth=proof)

    def _claims(self, text: str, nonce: str) -> dict[str, Any]:
        """What the provider says of who signed in, for this client and this sign-in."""
        try:
            claims: dict[str, Any] = jwt.decode(
                text, self._key(text), algorithms=ALGORITHMS, audience=self.client,
                issuer=self.issuer, leeway=LEEWAY,
                options={"require": ["exp", "iat", "iss", "aud", "sub"]},
            )  # fmt: skip
        except jwt.PyJWKClientConnectionError as error:
            raise ProviderError("The identity provider's keys can't be had. Try again.") from error
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise NotVouchedError(f"What {self.called} says can't be believed.") from error
        said = str(claims.get("nonce", "")).encode(errors="replace")
        ours = claims.get("azp", self.client) == self.client
        if not ours or not hmac.compare_digest(nonce.encode(), said):
            raise NotVouchedError(f"What {self.called} says is not of this sign-in.")
        return claims

    def _key(self, text: str) -> Any:
        """The key that a token names; the provider's only one if it names none."""
        self._addresses()
        assert self._keys is not None
        number = jwt.get_unverified_header(text).get("kid")
        if number is not None:
            return self._keys.get_signing_key(number).key
        found = [k for k in self._keys.get_jwk_set().keys if k.public_key_use in (None, "sig")]
        if len(found) != 1:
            raise jwt.InvalidKeyError
        return found[0].key

    def _name(self, claims: Mapping[str, Any], tokens: Mapping[str, Any]) -> str:
        """The claim that names the person, from the token or from where the provider keeps it."""
        place = self._addresses().userinfo
        if self.claim not in claims and place:
            bearer = {"Authorization": f"Bearer {tokens.get('access_token', '')}"}
            more = answer_of("GET", place, headers=bearer)
            if more.get("sub") != claims["sub"]:
                raise NotVouchedError(f"{self.called} speaks of two people at once.")
            claims = more
        name = claims.get(self.claim)
        if not isinstance(name, str) or not name:
            raise NotVouchedError(f"{self.called} does not say the {self.claim} of who signed in.")
        if self.claim == EMAIL and claims.get("email_verified") is not True:
            raise NotVouchedError(
                f"{self.called} does not say that this e-mail address is verified."
            )
        return name

    def _addresses(self) -> Described:
        """The provider's addresses, asked for once an hour."""
        with self._lock:
            if self._described is None or monotonic() > self._described[1]:
                found = describe(self.issuer)
                if self._described is None or self._described[0].keys != found.keys:
                    self._keys = jwt.PyJWKClient(found.keys, timeout=5)
                self._described = found, monotonic() + FRESH
            return self._described[0]


def _part(kept: str, what: str) -> str:
    """One of the secrets of a sign-in: state, nonce or verifier, of 43 characters each."""
    said = hmac.new(kept.encode(errors="replace"), what.encode(), "sha256").digest()
    return urlsafe_b64encode(said).decode().rstrip("=")
