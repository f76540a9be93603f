"""`redis+sentinel://user:password@host:port,host:port/master/0`: several hosts in one URL, which urllib refuses."""

from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import parse_qs

SENTINEL_SCHEMES: Final = ("redis+sentinel", "rediss+sentinel")
SENTINEL_PORT: Final = 26379
FORM: Final = "a sentinel URL is redis+sentinel://host:port,host:port/master/0"


@dataclass(frozen=True, kw_only=True)
class SentinelUrl:
    """What such a URL says. Hosts of IPv6 addresses keep their brackets; credentials are percent-encoded."""

    addresses: tuple[tuple[str, int], ...]
    credentials: str
    master: str
    database: int
    sentinel_password: str | None
    is_tls: bool

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read a URL.

        Raises:
            ValueError: if it has another form; the message does not show it, because it may hold a password.
        """
        scheme, _, rest = url.partition("://")
        place, _, query = rest.partition("?")
        netloc, _, path = place.partition("/")
        credentials, _, hosts = netloc.rpartition("@")
        master, _, database = path.strip("/").partition("/")
        if scheme not in SENTINEL_SCHEMES or not (hosts and master) or not _is_number(database or "0"):
            raise ValueError(FORM)
        return cls(
            addresses=tuple(map(_address, hosts.split(","))),
            credentials=credentials,
            master=master,
            database=int(database or "0"),
            sentinel_password=parse_qs(query).get("sentinel_password", [None])[-1],
            is_tls=scheme.startswith("rediss"),
        )


def _address(host: str) -> tuple[str, int]:
    if not host.rpartition("]")[2].count(":"):
        return host, SENTINEL_PORT
    name, _, port = host.rpartition(":")
    if not (name and _is_number(port)):
        raise ValueError(FORM)
    return name, int(port)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()
