"""Which addresses and hosts of URLs may be called for a stranger."""

import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.services.media.public_address import address_in, is_public

OPEN: Final = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.215.14",
    "100.63.255.255",
    "100.128.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "223.255.255.255",
    "2001:4860:4860::8888",
    "2606:4700:4700::1111",
    "2a00:1450:4001:80b::200e",
]
CLOSED_V4: Final = [
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
]
CLOSED_V6: Final = [
    IPv6Network(network)
    for network in (
        "::/8",  # unspecified, loopback, IPv4-compatible and IPv4-mapped
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/32",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
        "5f00::/16",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    )
]


def v4_in(network: IPv4Network) -> st.SearchStrategy[IPv4Address]:
    return st.integers(int(network[0]), int(network[-1])).map(IPv4Address)


def v6_in(network: IPv6Network) -> st.SearchStrategy[IPv6Address]:
    return st.integers(int(network[0]), int(network[-1])).map(IPv6Address)


closed_v4 = st.sampled_from(CLOSED_V4).flatmap(v4_in)
closed_v6 = st.sampled_from(CLOSED_V6).flatmap(v6_in)
any_v4 = st.integers(0, 2**32 - 1).map(IPv4Address)


@pytest.mark.parametrize("address", OPEN)
def test_an_address_of_the_internet_may_be_called(address: str) -> None:
    assert is_public(address)


@given(closed_v4 | closed_v6)
def test_no_address_that_is_not_global_unicast_may_be_called(address: IPv4Address | IPv6Address) -> None:
    assert not is_public(str(address))


@given(any_v4, st.sampled_from(["::ffff:{}", "::{}", "64:ff9b::{}", "::ffff:0:{}", "64:ff9b:1::{}", "fe80::{}"]))
def test_no_address_that_carries_another_one_may_be_called(inside: IPv4Address, form: str) -> None:
    assert not is_public(form.format(inside))


@given(any_v4, st.integers(0, 2**80 - 1))
def test_no_tunnel_to_an_address_may_be_called(inside: IPv4Address, rest: int) -> None:
    six_to_four = IPv6Address(0x2002 << 112 | int(inside) << 80 | rest)
    teredo = IPv6Address(0x20010000 << 96 | rest << 16 | int(inside) ^ 0xFFFFFFFF)
    assert (is_public(str(six_to_four)), is_public(str(teredo))) == (False, False)


@given(st.sampled_from(OPEN).filter(lambda address: ":" in address), st.text("abz019", min_size=1))
def test_an_address_with_a_zone_is_a_local_one(address: str, zone: str) -> None:
    assert not is_public(f"{address}%{zone}")


def spellings(packed: int) -> list[str]:
    """Return how else an address can be written, as far as C libraries read it."""
    octets = [packed >> shift & 255 for shift in (24, 16, 8, 0)]
    return [
        str(packed),
        f"0x{packed:X}",
        f"0{packed:o}",
        f"{packed >> 24}.{packed & 0xFFFFFF}",
        f"{packed >> 24}.{packed >> 16 & 255}.{packed & 0xFFFF}",
        ".".join(map(hex, octets)),
        ".".join(f"0{octet:o}" for octet in octets),
        f"0x{packed >> 24:x}.{octets[1]}.0{packed & 0xFFFF:o}",
    ]


@given(any_v4)
def test_an_address_in_another_spelling_is_no_host(address: IPv4Address) -> None:
    for spelled in spellings(int(address)):
        assert socket.inet_aton(spelled) == address.packed  # this is what would be called
        with pytest.raises(ValueError):
            address_in(spelled)


@pytest.mark.parametrize(
    "host",
    [
        "",
        ".",
        "a..b",
        ".a",
        "a b",
        "a%2eb",
        "a\tb",
        "a/b",
        "a@b",
        "a\\b",
        "-a.example",
        "a-.example",
        "127.1",
        "0",
        "0x",
        "example.0x7f",
        "1.2.3.4.5",
        "256.1.1.1",
        "１.1.1.1",
        "fe80::1%eth0",
        "fe80::1%25eth0",
        "::1::",
        "v1.x:1",
        "münchen.example",
        "a" * 64,
        ".".join(["a" * 60] * 5),
    ],
)
def test_what_is_neither_a_name_nor_an_address_is_no_host(host: str) -> None:
    with pytest.raises(ValueError):
        address_in(host)


@pytest.mark.parametrize(
    "host", ["localhost", "photos.example", "my_bucket.s3.example", "xn--mnchen-3ya.example", "1a.example"]
)
def test_a_name_is_looked_up(host: str) -> None:
    assert address_in(host) is None


@pytest.mark.parametrize(
    ("host", "address"), [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("0:0:0:0:0:ffff:7f00:1", "::ffff:7f00:1")]
)
def test_an_address_is_known_as_one(host: str, address: str) -> None:
    assert address_in(host) == address
