"""Which addresses are anybody's on the internet, and which a stranger must not make this machine call.

Stricter than `ipaddress.is_global`, whose answers differ between versions of Python: an address that carries another
one inside (mapped, 6to4, Teredo, NAT64) is none, whatever it carries.
"""

import re
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

_CLOSED_V4: Final = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # between a carrier and its customers; some clouds' metadata
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local; most clouds' metadata
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments; one cloud's metadata
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
"""IANA's IPv4 special-purpose registry (read 2026-11-21), and what follows 224."""
_OPEN_V6: Final = IPv6Network("2000::/3")
"""All that IANA has given out as global unicast; mapped, NAT64, local and multicast addresses lie outside."""
_CLOSED_V6: Final = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)
_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.ASCII | re.IGNORECASE)
_NUMBER: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)", re.ASCII | re.IGNORECASE)
"""A host that ends in a number is an address (WHATWG URL section 3.5), in one of the many ways C libraries read."""
MAX_NAME_CHARS: Final = 253


def is_public(address: str) -> bool:
    """Return whether this is a global unicast address in its usual spelling; a zone makes it a local one."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    match parsed:
        case IPv4Address():
            return parsed.is_global and not any(parsed in network for network in _CLOSED_V4)
        case IPv6Address():
            is_open = parsed in _OPEN_V6 and parsed.scope_id is None
            return is_open and parsed.is_global and not any(parsed in network for network in _CLOSED_V6)


def address_in(host: str) -> str | None:
    """Return the address that a URL's host is; None if it is a name.

    Raises:
        ValueError: if it is neither, or an address in another than its usual spelling, as `127.1` or `0x7f.1` are.
    """
    if ":" in host:
        return _spelled(IPv6Address(host), host)
    if _NUMBER.fullmatch(host):
        return str(IPv4Address(host))
    if len(host) > MAX_NAME_CHARS or not _NAME.fullmatch(host):
        raise ValueError("is no name of a host")
    return None


def _spelled(address: IPv6Address, host: str) -> str:
    if address.scope_id is not None:
        raise AddressValueError(f"{host} has a zone")
    return str(address)
