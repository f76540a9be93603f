"""Fetching what is at an address that a stranger gave, without being led where strangers must not go.

A name is looked up once for each connection, all its addresses are checked, and the connection is made to one of those,
so that a second, different answer of the DNS changes nothing. Every redirect goes the same way. Nothing of this process
goes along: no cookies, no credentials, no proxy, nothing from the environment. Errors name the host that the caller
gave, and never an address that it has.
"""

import asyncio
import errno
import re
import socket
import ssl
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from shared.domain.errors import InvalidRequest, MediaRefused, PayloadTooLarge
from workers.services.media.public_address import address_in, is_public

PORTS: Final = frozenset({80, 443, 8080, 8443})
"""Where pictures are served; other ports belong to other protocols, which a crafted path could talk to."""
MAX_REDIRECTS: Final = 3
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
PIECE_BYTES: Final = 64 * 1024
HEADERS: Final = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "SmartSip"}
_PLAIN: Final = re.compile(r"[!-~]+")

Lookup: TypeAlias = Callable[[str], Awaitable[list[str]]]
"""From a name to its addresses; raises `OSError` if there are none."""

_lookups: Final = ThreadPoolExecutor(max_workers=4, thread_name_prefix="lookup")
"""Of their own: a stranger's slow DNS server must not hold up the threads and lookups of everything else."""


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """What was at an address; `media_type` is what its server calls it, in lower case, or nothing."""

    content: bytes = field(repr=False)
    media_type: str


class _Unfit(ValueError):
    """A URL that no request can be made for; the text says why."""


class _NotPublic(Exception):
    """A host has an address that is not public, or none at all: nobody is told which."""


async def look_up(name: str) -> list[str]:
    """Return the addresses of a name, as this machine's resolver knows them."""
    loop = asyncio.get_running_loop()
    found = await loop.run_in_executor(_lookups, _getaddrinfo, name)
    return list(dict.fromkeys(str(address[4][0]) for address in found))


def _getaddrinfo(name: str) -> list[tuple[Any, ...]]:  # as `socket.getaddrinfo` has it
    return list(socket.getaddrinfo(name, None, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG))


@dataclass(frozen=True, kw_only=True)
class Web:
    """What of the world outside may be called, and how."""

    lookup: Lookup = look_up
    may_call: Callable[[str], bool] = is_public
    """Of an address."""
    ports: frozenset[int] | None = PORTS
    """None: every port."""
    tls: ssl.SSLContext | None = None
    """Whose certificates are believed; None: those that this machine believes."""

    def with_private(self) -> "Web":
        """Return the same, open to every address and port."""
        return replace(self, may_call=_any, ports=None)


def _any(address: str) -> bool:
    return True


THE_WEB: Final = Web()


async def fetch_url(
    url: str,
    *,
    max_bytes: int,
    timeout_s: float,
    allow_private: bool = False,
    field: str = "url",
    web: Web = THE_WEB,
) -> Fetched:
    """Return what is at an http(s) address, held in memory; `timeout_s` is for all of it, redirects included.

    `allow_private` is for addresses that the administrator stands for: then any address and port may be called. `field`
    is where the caller put the URL.

    Raises:
        InvalidRequest: if it is no URL that can be fetched.
        MediaRefused: if it is not public, or its server refuses, fails, lies or is too slow.
        PayloadTooLarge: if there are more bytes.
    """
    fetch = _Fetch(url, max_bytes=max_bytes, field=field, web=web.with_private() if allow_private else web)
    try:
        async with asyncio.timeout(timeout_s):
            return await fetch.run()
    except TimeoutError as error:
        raise fetch.refused(f"did not send it within {timeout_s:.3g} s") from error
    except _NotPublic as error:
        raise fetch.not_public() from error
    except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError, ssl.SSLError) as error:
        raise fetch.refused("cannot be reached securely: its certificate or its TLS was refused") from error
    except aiohttp.ClientConnectorError as error:
        raise fetch.refused("cannot be reached") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise fetch.refused("broke the connection, or does not answer in HTTP") from error


class _Fetch:
    def __init__(self, url: str, *, max_bytes: int, field: str, web: Web) -> None:
        self._max_bytes = max_bytes
        self._field = field
        self._web = web
        self._first = self._asked(url)
        self._is_redirected = False

    def refused(self, what: str) -> MediaRefused:
        return MediaRefused(f"{self._first.host} {what}.", field=self._field)

    def not_public(self) -> MediaRefused:
        if self._is_redirected:
            return self.refused("redirects to an address that is not called")
        return self.refused("has no address that may be called: only public ones are")

    async def run(self) -> Fetched:
        connector = aiohttp.TCPConnector(
            resolver=_Checked(self._web),
            use_dns_cache=False,
            force_close=True,
            socket_factory=self._socket,
            ssl=self._web.tls or True,
        )
        async with aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            headers=HEADERS,
            timeout=aiohttp.ClientTimeout(total=None),  # `fetch_url` watches the whole
        ) as session:
            return await self._follow(session)

    async def _follow(self, session: aiohttp.ClientSession) -> Fetched:
        url = self._first
        for _ in range(MAX_REDIRECTS + 1):
            self._check_address(url)
            async with session.get(url, allow_redirects=False) as response:
                if response.status not in REDIRECTS:
                    return await self._read(response)
                url = self._next(url, response.headers.get("Location", ""))
            self._is_redirected = True
        raise self.refused(f"redirects more than {MAX_REDIRECTS} times")

    async def _read(self, response: aiohttp.ClientResponse) -> Fetched:
        if response.status != 200:
            raise self.refused(f"answered with status {response.status}")
        if response.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
            raise self.refused("sent it compressed, which was not asked for")
        if (response.content_length or 0) > self._max_bytes:
            raise self._too_large()
        pieces: list[bytes] = []
        size = 0
        async for piece in response.content.iter_chunked(PIECE_BYTES):
            size += len(piece)
            if size > self._max_bytes:
                raise self._too_large()
            pieces.append(piece)
        told = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        return Fetched(content=b"".join(pieces), media_type=told)

    def _asked(self, text: str) -> URL:
        try:
            return self._judged(_parsed(text))
        except ValueError as error:
            why = str(error) if isinstance(error, _Unfit) else "names no host that can be called"
            raise InvalidRequest(f"This URL cannot be fetched: it {why}.", field=self._field) from error

    def _next(self, url: URL, location: str) -> URL:
        try:
            following = self._judged(url.join(_parsed(location)))
        except ValueError as error:
            raise self.refused("redirects to what cannot be fetched") from error
        if (url.scheme, following.scheme) == ("https", "http"):
            raise self.refused("redirects from https to http")
        return following

    def _judged(self, url: URL) -> URL:
        """Return a URL whose form is right, without the dot a name may end with; raises ValueError."""
        host = (url.raw_host or "").removesuffix(".")
        if url.scheme not in ("http", "https"):
            raise _Unfit("does not begin with https:// or http://")
        if url.raw_user is not None or url.raw_password is not None:
            raise _Unfit("has a user or a password")
        address_in(host)
        if self._web.ports is not None and url.port not in self._web.ports:
            raise _Unfit("names a port that is not called")
        return url.with_host(host).with_fragment(None)

    def _check_address(self, url: URL) -> None:
        """Addresses are not looked up, so that the resolver never sees them."""
        address = address_in(url.raw_host or "")
        if address is not None and not self._web.may_call(address):
            raise _NotPublic

    def _socket(self, target: tuple[Any, ...]) -> socket.socket:  # an entry of `socket.getaddrinfo`
        """Open a socket for an address; the last place that could stop one, however it came here."""
        family, kind, protocol, _, address = target
        if not self._web.may_call(address[0]):
            raise PermissionError(errno.EACCES, "this address is not called")
        opened = socket.socket(family, kind, protocol)
        opened.setblocking(False)
        return opened

    def _too_large(self) -> PayloadTooLarge:
        return PayloadTooLarge(
            f"{self._first.host} sends more than the {self._max_bytes:,} bytes that are taken.", field=self._field
        )


def _parsed(text: str) -> URL:
    """Return a URL; a plain one is sent to the letter, because links that expire are signed. Raises ValueError."""
    try:
        return URL(text, encoded=_PLAIN.fullmatch(text) is not None)
    except IndexError as error:  # what yarl 1.25 makes of `http://[]@`
        raise ValueError("the host cannot be read") from error


class _Checked(AbstractResolver):
    """Looks names up, and returns all of their addresses, if all may be called."""

    def __init__(self, web: Web) -> None:
        self._web = web

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """See `AbstractResolver`.

        Raises:
            _NotPublic: if there is none, or one that may not be called.
        """
        try:
            addresses = await self._web.lookup(host)
        except (OSError, UnicodeError) as error:
            raise _NotPublic from error
        if not addresses or not all(self._web.may_call(address) for address in addresses):
            raise _NotPublic
        return [_result(host, address, port) for address in addresses]

    async def close(self) -> None:
        """See `AbstractResolver`; nothing is open."""


def _result(host: str, address: str, port: int) -> ResolveResult:
    return ResolveResult(
        hostname=host,
        host=address,
        port=port,
        family=socket.AF_INET6 if ":" in address else socket.AF_INET,
        proto=0,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )
