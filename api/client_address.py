"""Where a request comes from, as failed logins are counted."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final, TypeAlias

from starlette.requests import HTTPConnection

Network: TypeAlias = IPv4Network | IPv6Network

UNKNOWN: Final = "unknown"
IPV6_SITE_BITS: Final = 64
"""One subscriber has so large a network of addresses to come from."""


def address_of(connection: HTTPConnection, *, proxies: Sequence[Network] = ()) -> str:
    """Return an IPv4 address or a network of IPv6.

    Behind `proxies` it is the last address in `X-Forwarded-For` that is not one of theirs; nobody else's word for
    where they come from is taken.
    """
    if connection.client is None:
        return UNKNOWN
    told = ",".join(connection.headers.getlist("x-forwarded-for"))
    address = UNKNOWN
    for hop in (connection.client.host, *reversed(told.split(","))):
        try:
            here = ip_address(hop.strip())
        except ValueError:
            return address
        here = (here.ipv4_mapped or here) if isinstance(here, IPv6Address) else here
        address = str(IPv6Network((here, IPV6_SITE_BITS), strict=False) if here.version == 6 else here)
        if not any(here in network for network in proxies):
            return address
    return address
