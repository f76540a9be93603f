"""What a broken connection means: the exceptions of the HTTP clients as provider errors, named by their deepest cause.

The aiohttp transport under the OpenAI SDK calls every lost connection a `ConnectTimeout`, so the innermost exception
that is known decides, not the outermost.
"""

import errno
import os
import ssl
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import httpx2
import openai

from shared.domain.errors import ProviderError, ProviderTimeout, ProviderUnreachable, StreamIncomplete

TRANSPORT_ERRORS: Final = (
    openai.APIConnectionError,
    httpx2.HTTPError,
    httpx2.StreamError,
    httpx2.InvalidURL,
    aiohttp.ClientError,
    OSError,
)
"""What a request may raise besides a refusal. TLS errors and timeouts of the loop are `OSError`s."""
_CLOSED: Final = (errno.ECONNRESET, errno.EPIPE)


def classify_transport(error: BaseException, *, provider: str, base_url: str) -> ProviderError:
    """Return the provider error that an exception of `TRANSPORT_ERRORS` amounts to; its text has no credentials."""
    place = f"{provider} ({_host(base_url)})"
    for cause in reversed(list(_chain(error))):
        found = _classify_one(cause, place)
        if found is not None:
            return found
    return ProviderUnreachable(f"The connection to {place} broke: {type(error).__name__}")


def was_not_sent(error: BaseException) -> bool:
    """Return whether a request could not be written, because the other side had just closed a kept connection.

    llama.cpp promises to keep connections and closes them after each stream. Such a request can be sent again.
    """
    return any(isinstance(cause, aiohttp.ClientConnectionResetError) for cause in _chain(error))


def was_not_heard(error: BaseException) -> bool:
    """Return whether a connection was closed after the request was written, and before a byte of the answer.

    On a kept connection this is nearly always the other side's farewell crossing our request (RFC 9112, 9.5), but it
    cannot be told from a server that died of it.
    """
    return any(
        isinstance(cause, aiohttp.ServerDisconnectedError)
        or (isinstance(cause, aiohttp.ClientOSError) and cause.errno in _CLOSED)
        for cause in _chain(error)
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__


def _classify_one(error: BaseException, place: str) -> ProviderError | None:  # noqa: C901 - a table in code
    match error:
        case aiohttp.ClientConnectorDNSError():
            return ProviderUnreachable(f"The name of {place} cannot be resolved")
        case aiohttp.ClientHttpProxyError():
            return ProviderUnreachable(f"The proxy before {place} refused the connection with {error.status}")
        case aiohttp.ClientProxyConnectionError():
            return ProviderUnreachable(f"The proxy before {place} cannot be reached: {_reason(error.os_error)}")
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return ProviderUnreachable(f"No secure connection to {place} could be made: {_tls_reason(error)}")
        case aiohttp.ClientConnectorError():
            return ProviderUnreachable(f"{place} cannot be reached: {_reason(error.os_error)}")
        case aiohttp.ConnectionTimeoutError() | httpx2.ConnectTimeout() | httpx2.PoolTimeout():
            return ProviderTimeout(f"No connection to {place} was made in time")
        case aiohttp.ServerTimeoutError() | httpx2.TimeoutException():
            return ProviderTimeout(f"{place} did not answer in time")
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientConnectionResetError():
            return ProviderUnreachable(f"{place} closed the connection before it answered")
        case aiohttp.ClientOSError() if error.errno in _CLOSED:
            return ProviderUnreachable(f"{place} closed the connection before it answered")
        case aiohttp.ClientPayloadError():
            return StreamIncomplete(f"{place} closed the connection in the middle of its answer")
        case httpx2.DecodingError():
            return StreamIncomplete(f"{place} sent a compressed answer that cannot be read")
        case aiohttp.ClientResponseError():
            return ProviderUnreachable(f"{place} does not answer in HTTP: is its base URL right?")
        case _:
            return None


def _reason(error: OSError) -> str:
    # the system's own words: those of asyncio repeat the address, and a list of them for more than one address
    return os.strerror(error.errno).lower() if error.errno else "no address of it answers"


def _tls_reason(error: BaseException) -> str:
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    return getattr(cause, "verify_message", None) or getattr(cause, "reason", None) or type(cause).__name__


def _host(base_url: str) -> str:
    parts = urlsplit(base_url)
    host = parts.hostname or "unknown host"
    return f"{host}:{parts.port}" if parts.port else host
