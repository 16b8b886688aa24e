"""Where webhooks may go: public hosts over HTTPS, unless a setting allows more.

Takes a URL, and checks it when it is subscribed and again, by address, at every connection; so
a name that later points into the private network leads nowhere. Knows nothing about events.
"""

import ipaddress
import socket
import ssl
import typing
from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit

import anyio.to_thread
import httpcore

from features.errors import MilepostError

LONGEST = 2_000
NOT_ROUTED = tuple(
    ipaddress.ip_network(block)
    for block in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")
)
"""IPv6 that carries IPv4 inside it: it would reach what the check below refuses."""


class TargetError(MilepostError):
    """An address that webhooks may not be sent to."""

    code = "target_refused"


def check_url(url: str, private: bool) -> SplitResult:
    """The parts of a URL that may be subscribed.

    Parameters
    ----------
    private
        Whether plain HTTP and private addresses are allowed.

    Raises
    ------
    TargetError
        When it is no such URL; says why without echoing it.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise TargetError("The URL can't be read.") from error
    if len(url) > LONGEST or any(ord(c) <= 32 or ord(c) > 126 for c in url) or "\\" in url:
        raise TargetError(f"The URL must be at most {LONGEST:,} printable ASCII characters.")
    if parts.scheme not in (("https", "http") if private else ("https",)):
        raise TargetError("The URL must begin with https://.")
    if not host or parts.username is not None or parts.password is not None or parts.fragment:
        raise TargetError("The URL must name a host, and hold no user, password or fragment.")
    if port == 0:
        raise TargetError("The URL's port must be 1 to 65535.")
    if not private:
        _check_host(host)
    return parts


def _check_host(host: str) -> None:
    """Refuse what is private by its look; names are looked up at every connection."""
    try:
        addresses = [str(ipaddress.ip_address(host.partition("%")[0]))]
    except ValueError:
        if host.rstrip(".").lower() == "localhost" or "." not in host.rstrip("."):
            raise TargetError("The URL's host is not a public one.") from None
        if host.rstrip(".").rpartition(".")[2].isdigit() or host.lower().startswith("0x"):
            raise TargetError("The URL's host is not a public one.") from None
        return
    if not all(map(is_public, addresses)):
        raise TargetError("The URL's host is not a public one.")


def is_public(address: str) -> bool:
    """Whether an address belongs to the public network."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return is_public(str(found.ipv4_mapped))
        if any(found in block for block in NOT_ROUTED):
            return False
    return found.is_global and not found.is_multicast


class Guarded(httpcore.AsyncNetworkBackend):
    """Connects to addresses that were looked up and checked, and to no other."""

    def __init__(self, private: bool) -> None:
        self._private = private
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[typing.Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address that answers; TLS still checks the host's name."""
        failed: Exception | None = None
        for address in await self._addresses(host, port):
            try:
                return await self._inner.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed or httpcore.ConnectError("no address")

    async def _addresses(self, host: str, port: int) -> list[str]:
        try:
            found = await anyio.to_thread.run_sync(
                lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM),
                abandon_on_cancel=True,
            )
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError("its name can't be looked up") from error
        addresses = [str(place[4][0]) for place in found]
        if not self._private and not all(map(is_public, addresses)):
            raise TargetError("its name leads to an address that is not public")
        return addresses


def pool(private: bool, connections: int) -> httpcore.AsyncConnectionPool:
    """Connections for webhooks; they follow no redirect and no proxy of the environment."""
    return httpcore.AsyncConnectionPool(
        ssl_context=ssl.create_default_context(),
        max_connections=connections,
        max_keepalive_connections=connections,
        keepalive_expiry=5.0,
        retries=0,
        network_backend=Guarded(private),
    )
