from ipaddress import ip_network

import pytest
from starlette.requests import HTTPConnection

from api.client_address import address_of

PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


def connection(peer: str | None, *forwarded: str) -> HTTPConnection:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    return HTTPConnection({"type": "http", "client": peer and (peer, 5000), "headers": headers})


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.1", (), "192.0.2.1"),
        ("::ffff:192.0.2.1", (), "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", (), "2001:db8:1:2::/64"),
        ("192.0.2.1", ("198.51.100.7",), "192.0.2.1"),
        ("10.0.0.1", ("198.51.100.7",), "198.51.100.7"),
        ("fd00::1", ("198.51.100.7",), "198.51.100.7"),
        ("10.0.0.1", ("203.0.113.9, 198.51.100.7, 10.1.1.1",), "198.51.100.7"),
        ("10.0.0.1", ("203.0.113.9", "198.51.100.7"), "198.51.100.7"),
        ("10.0.0.1", (), "10.0.0.1"),
        ("10.0.0.1", ("",), "10.0.0.1"),
        ("10.0.0.1", ("198.51.100.7, nonsense",), "10.0.0.1"),
        ("10.0.0.1", ("10.0.0.2",), "10.0.0.2"),
        (None, ("198.51.100.7",), "unknown"),
        ("a-socket", (), "unknown"),
    ],
)
def test_an_address_is_the_last_one_that_is_not_a_proxys_word(
    peer: str | None, forwarded: tuple[str, ...], address: str
):
    assert address_of(connection(peer, *forwarded), proxies=PROXIES) == address


def test_without_proxies_nobodys_word_is_taken():
    assert address_of(connection("10.0.0.1", "198.51.100.7")) == "10.0.0.1"
