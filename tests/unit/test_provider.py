"""Signing in at an identity provider: whom it vouches for, and what is not believed."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import jwt
import pytest
from identity_provider import CLIENT, KID, SECRET, IdentityProvider, identity_provider, private_key

from serving import provider as provider_module
from serving.discovery import ProviderError
from serving.provider import NotVouchedError, Provider
from serving.settings import Settings, SettingsError, read_settings

HOME = "https://milepost.example/"


@pytest.fixture
def there() -> Iterator[IdentityProvider]:
    with identity_provider() as made:
        yield made


def ours(there: IdentityProvider, **more: Any) -> Provider:
    """The service's side of a provider."""
    place = {"oidc_issuer": there.address, "oidc_client": CLIENT, "public_url": HOME}
    return Provider(Settings(**place, oidc_client_secret=there.secret or "", **more))


def away(provider: Provider) -> tuple[str, dict[str, str]]:
    """What the browser keeps, and what it comes back with from the provider."""
    place, kept = provider.begin()
    answer = httpx.get(place)
    assert 303 == answer.status_code
    back = urlsplit(answer.headers["location"])
    assert f"{HOME}sign-in/return" == f"{back.scheme}://{back.netloc}{back.path}"
    return kept, dict(parse_qsl(back.query))


@pytest.mark.parametrize("in_token", [True, False])
@pytest.mark.parametrize("way", ["basic", "body", "none"])
def test_who_signs_in_comes_back_by_name(way: str, in_token: bool, there: IdentityProvider) -> None:
    """A client with a secret or none, by header or body, learns the person's address from the
    token or, where the token does not say it, from the userinfo endpoint."""
    there.in_token = in_token
    there.secret = None if way == "none" else SECRET
    there.says = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    if way == "basic":
        there.says = {}
    provider = ours(there)
    for _ in range(2):
        assert "jane@example.com" == provider.finish(*away(provider))
    assert [way] * 2 == there.seen


def test_any_claim_may_be_the_name(there: IdentityProvider) -> None:
    """A business whose provider does not verify addresses names another claim."""
    there.person = {"sub": "17", "preferred_username": "Jane"}
    provider = ours(there, oidc_name="preferred_username")
    assert "Jane" == provider.finish(*away(provider))
    assert "17" == ours(there, oidc_name="sub").finish(*away(ours(there, oidc_name="sub")))


def test_a_code_counts_once(there: IdentityProvider) -> None:
    """What came back can't be sent again, nor with what another browser keeps."""
    provider = ours(there)
    kept, brought = away(provider)
    other, others = away(provider)
    for wrong in ((other, brought), (kept, others), ("", brought), (kept, {})):
        with pytest.raises(NotVouchedError, match="Begin again"):
            provider.finish(*wrong)
    with pytest.raises(NotVouchedError, match="Begin again"):
        provider.finish(kept.replace(".", "0."), brought)
    provider.finish(kept, brought)
    with pytest.raises(ProviderError, match="400"):
        provider.finish(kept, brought)


def test_a_code_of_another_sign_in_is_worth_nothing(there: IdentityProvider) -> None:
    """A code that somebody slips in is refused by the verifier of this browser's challenge."""
    provider = ours(there)
    kept, brought = away(provider)
    _, others = away(provider)
    with pytest.raises(ProviderError, match="400"):
        provider.finish(kept, {**brought, "code": others["code"]})


def test_who_takes_too_long_begins_again(
    there: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After ten minutes a sign-in that was begun is over."""
    provider = ours(there)
    kept, brought = away(provider)
    monkeypatch.setattr(provider_module, "time", lambda: time.time() + provider_module.LASTS + 2)
    with pytest.raises(NotVouchedError, match="Begin again"):
        provider.finish(kept, brought)


@pytest.mark.parametrize(
    "brought",
    [
        {"error": "access_denied"},
        {"code": ""},
        {"code": "x" * 5000},
        {"code": "x", "iss": "https://evil.example"},
    ],
)
def test_a_sign_in_that_failed_there_fails_here(
    brought: dict[str, str], there: IdentityProvider
) -> None:
    """An error, no code, or the answer of another provider: nobody comes in."""
    provider = ours(there)
    kept, came = away(provider)
    with pytest.raises(NotVouchedError, match="was not completed"):
        provider.finish(kept, {"state": came["state"]} | brought)


LIES: dict[str, dict[str, Any]] = {
    "issuer": {"iss": "https://evil.example"},
    "audience": {"aud": "another"},
    "party": {"aud": [CLIENT, "another"], "azp": "another"},
    "nonce": {"nonce": "another"},
    "no nonce": {"nonce": None},
    "old": {"exp": 1_000_000_000},
    "no end": {"exp": None},
    "no begin": {"iat": None},
    "nobody": {"sub": None},
    "unverified": {"email_verified": False},
    "unverified text": {"email_verified": "true"},
    "no word": {"email_verified": None},
    "list": {"email": ["jane@example.com"]},
    "empty": {"email": ""},
}


@pytest.mark.parametrize("lie", LIES)
def test_doubtful_claims_are_not_believed(lie: str, there: IdentityProvider) -> None:
    """A token for another, of another sign-in, without an end, or of an address that nobody
    verified lets nobody in."""
    there.lies = LIES[lie]
    provider = ours(there)
    with pytest.raises(NotVouchedError):
        provider.finish(*away(provider))


SIGNED: dict[str, Callable[[dict[str, Any]], str]] = {
    "another key": lambda c: jwt.encode(
        c, private_key("two"), algorithm="RS256", headers={"kid": KID}
    ),
    "unknown key": lambda c: jwt.encode(
        c, private_key(), algorithm="RS256", headers={"kid": "two"}
    ),
    "secret from the key set": lambda c: jwt.encode(
        c, "k" * 32, algorithm="HS256", headers={"kid": "oct"}
    ),
    "no signature": lambda c: jwt.encode(c, None, algorithm="none", headers={"kid": KID}),
    "shared secret": lambda c: jwt.encode(c, "k" * 32, algorithm="HS256", headers={"kid": KID}),
    "nonsense": lambda _: "a.b.c",
    "nothing": lambda _: "",
}


@pytest.mark.parametrize("how", SIGNED)
def test_doubtful_signatures_are_not_believed(how: str, there: IdentityProvider) -> None:
    """Only a signature by a key pair that the provider publishes counts."""
    there.sign = SIGNED[how]
    there.more_keys = [{"kty": "oct", "k": "a2tr" * 10 + "a2s", "kid": "oct"}]
    provider = ours(there)
    with pytest.raises(NotVouchedError, match="can't be believed"):
        provider.finish(*away(provider))


def test_a_provider_with_one_key_need_not_name_it(there: IdentityProvider) -> None:
    """A token without the name of its key is checked with the only one; of two, neither counts."""
    there.sign = lambda claims: jwt.encode(claims, private_key(), algorithm="RS512")
    assert "jane@example.com" == ours(there).finish(*away(ours(there)))
    other = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(private_key("two").public_key()))
    there.more_keys = [{**other, "use": "enc"}]
    assert "jane@example.com" == ours(there).finish(*away(ours(there)))
    there.more_keys = [{**other, "use": "sig"}]
    with pytest.raises(NotVouchedError, match="can't be believed"):
        ours(there).finish(*away(ours(there)))


def test_two_people_at_once_are_nobody(there: IdentityProvider) -> None:
    """Where token and userinfo speak of two people, nobody comes in."""
    there.in_token, there.userinfo = False, {"sub": "18"}
    provider = ours(there)
    with pytest.raises(NotVouchedError, match="two people"):
        provider.finish(*away(provider))


@pytest.mark.parametrize(
    ("says", "why"),
    [
        ({"issuer": "https://evil.example"}, "calls itself"),
        ({"token_endpoint": "http://evil.example/token"}, "token_endpoint"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "authorization_endpoint"),
        ({"jwks_uri": None}, "jwks_uri"),
        ({"userinfo_endpoint": "file:///etc/passwd"}, "userinfo_endpoint"),
    ],
)
def test_a_doubtful_description_is_refused(
    says: dict[str, Any], why: str, there: IdentityProvider
) -> None:
    """A provider that calls itself something else, or sends secrets where others can read."""
    there.says = says
    with pytest.raises(ProviderError, match=why):
        ours(there).begin()


def test_a_provider_may_be_away_for_a_while(there: IdentityProvider) -> None:
    """Somebody who tries meanwhile is told to try again, and later comes in."""
    there.status = 500
    provider = ours(there)
    with pytest.raises(ProviderError, match="500"):
        provider.begin()
    there.status = 200
    assert "jane@example.com" == provider.finish(*away(provider))


@pytest.mark.parametrize(
    "settings",
    [
        {"OIDC_CLIENT": "m", "PUBLIC_URL": HOME},
        {"OIDC_CLIENT": "m", "PUBLIC_URL": HOME, "OIDC_ISSUER": "http://id.example"},
        {"OIDC_CLIENT": "m", "OIDC_ISSUER": "https://id.example"},
    ],
)
def test_half_of_the_settings_is_refused(settings: dict[str, str]) -> None:
    """Without an issuer by TLS, or an address to come back to, the service does not start."""
    with pytest.raises(SettingsError, match="OIDC_CLIENT needs"):
        read_settings({f"MILEPOST_{name}": value for name, value in settings.items()})
