"""How a process connects to Redis (or Valkey): one URL, short timeouts, a few quick retries, hiredis.

Redis is a hint in this system, so nothing here waits long: a caller learns within seconds that Redis is away.
"""

import asyncio
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import unquote

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared import settings
from shared.adapters.sentinel_url import SENTINEL_SCHEMES, SentinelUrl

SCHEMES: Final = ("redis", "rediss", "unix", *SENTINEL_SCHEMES)
CONNECT_TIMEOUT_S: Final = 2.0
SOCKET_TIMEOUT_S: Final = 5.0  # no command of ours takes longer than milliseconds
RETRIES: Final = 2  # bridges a restart of the server's listener, not an outage


def connect(redis: settings.Redis, *, decode: bool = False) -> Redis:
    """Return a client; no connection is made before the first command.

    Accepts `redis://`, `rediss://`, `unix://` and `redis+sentinel://user:password@host:port,host:port/master/0` (or
    `rediss+sentinel://` for TLS); `?sentinel_password=` is sent to the sentinels, the URL's own password to the master.

    Raises:
        ValueError: if the URL is none of these; the message does not show it, because it may hold a password.
    """
    url = redis.url.get_secret_value()
    scheme = url.partition("://")[0]
    if scheme not in SCHEMES:
        raise ValueError(f"the Redis URL must begin with one of {', '.join(f'{name}://' for name in SCHEMES)}")
    if scheme in SENTINEL_SCHEMES:
        client = _connect_by_sentinel(url, decode=decode)
    else:
        client = Redis.from_url(url, **_options(decode=decode))  # pyright: ignore[reportUnknownMemberType]
    pool: Any = client.connection_pool  # pools are untyped in redis-py
    pool.connection_class = type("SmartSipConnection", (_CancellableSend, pool.connection_class), {})
    return client


class _CancellableSend:
    """Lets a cancellation of whoever sends a command through, always.

    redis-py's own method waits with `asyncio.wait_for`, which in Python 3.11 swallows a cancellation that arrives in
    the same turn of the event loop in which the write was done: nearly always the case here. It also costs a task per
    command. (https://github.com/python/cpython/issues/86296, ended in 3.12.)
    """

    async def send_packed_command(
        self: Any, command: bytes | str | Iterable[bytes], check_health: bool = True
    ) -> None:  # Any: mixed into one of redis-py's connections
        """Send what is packed, within the socket's timeout."""
        if not self.is_connected:
            await self.connect_check_health(check_health=False)
        if check_health:
            await self.check_health()
        packed = command.encode() if isinstance(command, str) else command
        try:
            async with asyncio.timeout(self.socket_timeout):
                self._writer.writelines([packed] if isinstance(packed, bytes) else packed)
                await self._writer.drain()
        except TimeoutError as error:
            await self.disconnect(nowait=True)
            raise RedisTimeoutError("Redis took no command in time") from error
        except OSError as error:
            await self.disconnect(nowait=True)
            raise RedisConnectionError(f"The connection to Redis broke: {error}") from error
        except BaseException:
            await self.disconnect(nowait=True)  # a command may be half sent
            raise


def _options(*, decode: bool) -> dict[str, Any]:  # keyword arguments of redis-py, of many types
    return {
        "decode_responses": decode,
        "protocol": 2,  # pub/sub messages arrive as plain lists
        "socket_timeout": SOCKET_TIMEOUT_S,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "socket_keepalive": True,
        "health_check_interval": 0,  # a broken pooled connection costs a retry, not a PING per command
        "retry": Retry(ExponentialBackoff(cap=0.2, base=0.02), RETRIES),
        "max_connections": 256,
    }


def _connect_by_sentinel(url: str, *, decode: bool) -> Redis:
    parsed = SentinelUrl.parse(url)
    username, _, password = parsed.credentials.partition(":")
    tls = {"ssl": True} if parsed.is_tls else {}
    sentinel = Sentinel(
        [(host.strip("[]"), port) for host, port in parsed.addresses],
        sentinel_kwargs={"password": parsed.sentinel_password, "socket_timeout": CONNECT_TIMEOUT_S, **tls},
    )
    return sentinel.master_for(  # pyright: ignore[reportUnknownMemberType]
        parsed.master,
        db=parsed.database,
        username=unquote(username) or None,
        password=unquote(password) or None,
        **tls,
        **_options(decode=decode),
    )
