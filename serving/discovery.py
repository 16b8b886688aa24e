"""What an identity provider says of itself: its addresses and where its keys lie.

Takes an issuer; gives the addresses that it publishes (OpenID Connect Discovery 1.0, section 4).
Knows nothing about who signs in.
"""

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from features.errors import MilepostError
from serving.settings import is_safe

if TYPE_CHECKING:
    import httpx

PLACE = "/.well-known/openid-configuration"
PATIENCE = 5.0
"""Seconds that a provider has for each answer."""


class ProviderError(MilepostError):
    """An identity provider that is away, or says what it must not."""

    code = "provider_unavailable"


class Described(NamedTuple):
    """A provider's addresses."""

    authorization: str
    """Where a browser goes to sign in."""
    token: str
    """Where a code becomes tokens."""
    keys: str
    userinfo: str
    """Where claims are that a token lacks; "" if nowhere."""
    by_body: bool
    """Whether a client's secret goes into the body, for want of HTTP Basic."""


def describe(issuer: str) -> Described:
    """The addresses of an issuer, asked of itself.

    Raises
    ------
    ProviderError
        When it is away, is not who was asked, or names an address that anybody could read.
    """
    said = answer_of("GET", f"{issuer.rstrip('/')}{PLACE}")
    if said.get("issuer") != issuer:
        raise ProviderError(
            f"The identity provider at {issuer} calls itself {said.get('issuer')!r:.200}: "
            "MILEPOST_OIDC_ISSUER is its own name to the letter."
        )
    ways = said.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    return Described(
        authorization=_address(said, "authorization_endpoint"),
        token=_address(said, "token_endpoint"),
        keys=_address(said, "jwks_uri"),
        userinfo=_address(said, "userinfo_endpoint") if "userinfo_endpoint" in said else "",
        by_body="client_secret_basic" not in ways,
    )


def answer_of(method: str, address: str, **given: Any) -> dict[str, Any]:
    """The JSON object that a provider answers with.

    Parameters
    ----------
    given
        What httpx sends: `data`, `headers`, `auth`.

    Raises
    ------
    ProviderError
        When there is none in time, or the provider refuses.
    """
    import httpx  # here, because it takes 70 ms and most services have no provider

    try:
        response = _client().request(method, address, **given)
        said = response.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise ProviderError(
            f"The identity provider did not answer as one ({type(error).__name__}). Try again."
        ) from error
    if response.status_code != 200 or not isinstance(said, dict):
        raise ProviderError(f"The identity provider refused, with status {response.status_code}.")
    return said


def _address(said: dict[str, Any], name: str) -> str:
    found = str(said.get(name, ""))
    if not is_safe(found):
        raise ProviderError(f"The provider's {name} is {found!r:.200}, not an https:// address.")
    return found


@cache
def _client() -> "httpx.Client":
    """One client, since making one reads all certificates of the machine anew."""
    import httpx

    return httpx.Client(timeout=PATIENCE)
