"""Which addresses an `http-request` may reach: none inside the house, unless that is allowed.

The check sits where the connection is made: on the addresses a name resolved
to, which are then the ones connected to. So a redirect, or a DNS answer that
changes between a check and the use, opens no way around it.
"""

import ipaddress
import socket
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_WRAPPED: Final = tuple(
    ipaddress.IPv6Network(network) for network in ("64:ff9b::/96", "::/96", "::ffff:0:0:0/96")
)
"""IPv6 networks whose last 32 bits are an IPv4 address: NAT64 (RFC 6052), and two older ways."""

_INSIDE: Final = tuple(ipaddress.IPv6Network(n) for n in ("64:ff9b:1::/48", "fec0::/10"))
"""Local NAT64 (RFC 8215) and the former site-local addresses (RFC 3879)."""


class ForbiddenDestination(Exception):
    """The request would go to an address that is not public."""

    def __init__(self, host: str, address: str) -> None:
        super().__init__(
            f"'{host}' is {address}, which is not a public address; "
            "HTTP_ALLOW_PRIVATE_ADDRESSES=true on the runner allows it"
        )


class GuardedResolver(AbstractResolver):
    """Resolves names, and refuses those that lead to any address that is not public."""

    def __init__(self) -> None:
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of `host`. Raises ForbiddenDestination."""
        found = await self._resolver.resolve(host, port, family)
        for result in found:
            if not is_public(ipaddress.ip_address(result["host"])):
                raise ForbiddenDestination(host, result["host"])
        return found

    async def close(self) -> None:
        """Release what the resolver holds."""
        await self._resolver.close()


def check_literal(host: str) -> None:
    """Refuse an address written as such, which no resolver ever sees."""
    try:
        address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return
    if not is_public(address):
        raise ForbiddenDestination(host, str(address))


def is_public(address: Address) -> bool:
    """Tell whether an address, and any IPv4 address wrapped in it, belongs to the internet."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if any(address in network for network in _INSIDE):
            return False
        if inner is None and any(address in network for network in _WRAPPED):
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast
