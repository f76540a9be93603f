"""One subscriber connection per process, shared by everything in it that listens, and kept alive.

Whoever listens must not rely on hearing everything: when the connection was lost, or a channel could not be
subscribed in time, the gap listeners are called once Redis is back, and readers go to the log.
"""

import asyncio
import contextlib
import math
import random
from collections.abc import Callable
from typing import Any, Final, TypeAlias, cast

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.ending import end

OnMessage: TypeAlias = Callable[[bytes], None]
"""Called on the event loop with a message's bytes; must be quick."""

CONFIRM_S: Final = 2.0  # how long a subscriber waits for Redis before it goes on without
PING_EVERY_S: Final = 5.0  # finds a half-open connection within twice this
FIRST_BACKOFF_S: Final = 0.05
MAX_BACKOFF_S: Final = 2.0

_log = structlog.get_logger(__name__)


class _Channel:
    """Who listens on one channel, and whether Redis has confirmed it."""

    def __init__(self) -> None:
        self.listeners: list[OnMessage] = []
        self.confirmed = asyncio.Event()


class Subscriber:
    """Reference-counted subscriptions over one supervised connection.

    `subscribe` and `unsubscribe` work at any time, connected or not: what is wanted is kept here and sent again with
    every new connection.
    """

    def __init__(self, client: Redis) -> None:
        self._pool: Any = client.connection_pool  # redis-py's connections are untyped where we use them
        self._channels: dict[bytes, _Channel] = {}
        self._pending: dict[bytes, int] = {}  # SUBSCRIBE commands not yet confirmed, per channel
        self._unconfirmed: set[bytes] = set()
        self._may_have_missed = False
        self._outbox: list[tuple[str, bytes]] = []
        self._has_outgoing = asyncio.Event()
        self._gap_listeners: list[Callable[[], None]] = []
        self._connected = asyncio.Event()
        self._heard = False
        self._is_closing = False
        self._supervisor: asyncio.Task[None] | None = None

    @property
    def subscriptions(self) -> int:
        """How many channels are subscribed; returns to 0 when nobody listens."""
        return len(self._channels)

    @property
    def is_connected(self) -> bool:
        """Whether messages can arrive at the moment."""
        return self._connected.is_set()

    async def start(self) -> None:
        """Begin; returns when connected, or after a moment without if Redis is away."""
        self._supervisor = asyncio.create_task(self._supervise(), name="redis-subscriber")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CONFIRM_S):
                await self._connected.wait()

    async def close(self) -> None:
        """End the connection; nobody is called any more."""
        if self._supervisor is not None:
            self._is_closing = True
            await end(self._supervisor)
            self._supervisor = None
        self._channels.clear()
        self._gap_listeners.clear()

    def on_gap(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever messages may have been missed and every subscription stands again."""
        self._gap_listeners.append(listener)

    async def subscribe(self, channel: str, on_message: OnMessage) -> bool:
        """Listen on a channel; several may listen on one.

        Returns once Redis has confirmed: what is published from then on is heard. False if Redis is away or slow; the
        subscription stands all the same, and the gap listeners are called once it works.
        """
        name = channel.encode()
        entry = self._channels.get(name)
        if entry is None:
            entry = self._channels[name] = _Channel()
            self._unconfirmed.add(name)
            self._send("SUBSCRIBE", name)
        entry.listeners.append(on_message)
        if not entry.confirmed.is_set() and self._connected.is_set():
            try:
                async with asyncio.timeout(CONFIRM_S):
                    await entry.confirmed.wait()
            except TimeoutError:
                _log.warning("redis_subscription_slow", channel=channel, waited_s=CONFIRM_S)
            except BaseException:
                self.unsubscribe(channel, on_message)
                raise
        self._may_have_missed |= not entry.confirmed.is_set()
        return entry.confirmed.is_set()

    def unsubscribe(self, channel: str, on_message: OnMessage) -> None:
        """Stop listening; the last one to stop ends the subscription. Harmless if it did not listen."""
        name = channel.encode()
        entry = self._channels.get(name)
        if entry is None or on_message not in entry.listeners:
            return
        entry.listeners.remove(on_message)
        if not entry.listeners:
            del self._channels[name]
            self._unconfirmed.discard(name)
            self._send("UNSUBSCRIBE", name)

    def _send(self, command: str, name: bytes) -> None:
        if self._connected.is_set():
            self._outbox.append((command, name))
            self._has_outgoing.set()
            if command == "SUBSCRIBE":
                self._pending[name] = self._pending.get(name, 0) + 1

    async def _supervise(self) -> None:
        backoff_s = FIRST_BACKOFF_S
        while not self._is_closing:  # a task group whose tasks fail while it is cancelled tells only of the failures
            connection: Any = self._pool.make_connection()  # Any: as the pool
            try:
                await self._run(connection)
            except* (RedisError, OSError) as errors:
                _log.warning("redis_subscription_lost", error=str(errors.exceptions[0]))
            except* Exception:  # noqa: BLE001 - supervised: logged, and tried again
                _log.exception("redis_subscription_failed")
            finally:
                backoff_s = FIRST_BACKOFF_S if self.is_connected else min(backoff_s * 2, MAX_BACKOFF_S)
                self._connected.clear()
                await connection.disconnect(nowait=True)
            await asyncio.sleep(backoff_s * random.uniform(0.5, 1))  # noqa: S311 - jitter needs no secrecy

    async def _run(self, connection: Any) -> None:  # Any: as the pool
        await connection.connect()
        self._begin()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._write(connection))
            tasks.create_task(self._ping(connection))
            tasks.create_task(self._read(connection))

    def _begin(self) -> None:
        """Ask for every wanted channel; from here on changes are sent as they come."""
        self._unconfirmed = set(self._channels)
        self._pending = dict.fromkeys(self._channels, 1)
        self._outbox = [("SUBSCRIBE", name) for name in self._channels]
        for entry in self._channels.values():
            entry.confirmed.clear()
        self._has_outgoing.set()
        self._connected.set()
        self._may_have_missed |= bool(self._channels)

    async def _write(self, connection: Any) -> None:  # Any: as the pool
        while True:
            await self._has_outgoing.wait()
            self._has_outgoing.clear()
            outgoing, self._outbox = self._outbox, []
            if outgoing:
                await connection.send_packed_command(connection.pack_commands(outgoing), check_health=False)

    async def _ping(self, connection: Any) -> None:  # Any: as the pool
        while True:
            self._heard = False
            await connection.send_packed_command(connection.pack_command("PING"), check_health=False)
            await asyncio.sleep(PING_EVERY_S)
            if not self._heard:
                raise ConnectionError(f"Redis has not answered for {PING_EVERY_S:g} s")

    async def _read(self, connection: Any) -> None:  # Any: as the pool
        while True:
            response = await connection.read_response(timeout=math.inf, disconnect_on_error=False)
            self._heard = True
            if not isinstance(response, list):
                continue  # the answer to PING while nothing is subscribed
            parts = cast("list[bytes]", response)
            if parts[0] == b"message":
                self._dispatch(parts[1], parts[2])
            elif parts[0] == b"subscribe":
                self._confirm(parts[1])

    def _dispatch(self, name: bytes, content: bytes) -> None:
        entry = self._channels.get(name)
        for listener in tuple(entry.listeners) if entry is not None else ():
            try:
                listener(content)
            except Exception:  # noqa: BLE001 - one listener's fault must not end everyone's connection
                _log.exception("redis_listener_failed", channel=name.decode(errors="replace"))

    def _confirm(self, name: bytes) -> None:
        left = self._pending.get(name, 1) - 1
        if left:  # subscribed, unsubscribed and subscribed again: only the last confirmation counts
            self._pending[name] = left
            return
        self._pending.pop(name, None)
        entry = self._channels.get(name)
        if entry is not None:
            entry.confirmed.set()
            self._unconfirmed.discard(name)
        if self._may_have_missed and not self._unconfirmed:
            self._may_have_missed = False
            for listener in tuple(self._gap_listeners):
                try:
                    listener()
                except Exception:  # noqa: BLE001 - as above
                    _log.exception("redis_gap_listener_failed")
