"""Before every call to a provider: may it be asked now? The answer is shared by all workers, and never waited for.

Redis only counts. Where it is away, everything is let through: the providers' own limits are still there, and their
refusals are retried.
"""

import asyncio
import hashlib
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
import structlog

from shared.domain.errors import ProviderError, ProviderRateLimited, Unavailable
from shared.domain.ids import JobId
from shared.domain.jobs import Queue
from shared.ports.provider_limits import Entry, Limit, NoPlace, Place, ProviderLimits
from shared.settings import Clocks, ProviderEndpoint
from shared.settings_providers import ProviderLimits as LimitSettings
from workers.cooldowns import Cooldowns

LOOK_S: Final = 1.0
"""How often places are kept, and cooldowns of other processes learned."""
ANSWER_S: Final = 1.0
"""A script takes 0.2 ms; a Redis that takes longer than this is away."""
LEAST_WAIT_S: Final = 0.25
LONGEST_PLACE_WAIT_S: Final = 10.0
"""Whoever is next is woken; this is for those whose waking was lost."""
LONGEST_WAIT_S: Final = 120.0
FIRST_HOLD_S: Final = 2.0
"""What a call is thought to take as long as none was seen."""
_RANKS: Final = {Queue.DEVICE: 0, Queue.CHAT: 1, Queue.MEDIA: 1, Queue.BATCH: 2}
_RANK: Final = 1e13
"""Above all milliseconds since 1970: who waits is served by queue, and then by age."""

_log = structlog.get_logger(__name__)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Who wants to ask which model; `own_key` where the caller brought a key, `tokens` is an estimate."""

    job_id: JobId
    queue: Queue
    provider: str
    model: str
    own_key: str | None = None
    tokens: int = 0

    def __repr__(self) -> str:
        return f"Asked({self.job_id}, {self.provider}/{self.model})"


class NotNow(Exception):
    """The model is not to be asked for `wait_s` seconds; `error` is what to say if that is too long."""

    def __init__(self, wait_s: float, error: ProviderRateLimited) -> None:
        super().__init__(error.detail)
        self.wait_s = wait_s
        self.error = error


class Admission:
    """A call that may be made; what becomes of it is noted here."""

    def __init__(self, tokens: int) -> None:
        self.used_tokens = tokens
        """What the call really used, as far as it is known."""
        self.is_answered = False
        """Whether the model has begun to answer."""


class Gate:
    """One per process. `run` keeps what is held; it may be used without, for as long as a lease."""

    def __init__(
        self,
        limits: ProviderLimits,
        endpoints: Mapping[str, ProviderEndpoint],
        clocks: Clocks,
        *,
        wake: Callable[[str], Awaitable[bool]],
    ) -> None:
        self._limits = limits
        self._endpoints = endpoints
        self._look_s = min(LOOK_S, clocks.renew_every.total_seconds())
        self._wake = wake
        self._cooldowns = Cooldowns(clocks)
        self._held: dict[tuple[str, str], Place] = {}
        self._hold_s: dict[str, float] = {}
        self._is_away = False
        self._beside: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def admitted(self, asked: Asked) -> AsyncGenerator[Admission]:
        """Hold a place for one call; a `ProviderError` that leaves the block is taken in.

        Raises:
            NotNow: if the model is not to be asked at the moment.
        """
        account = self._account(asked)
        scopes = _scopes(account, asked)
        self._check_cooldown(asked, scopes)
        place = await self._enter(asked, account)
        admission = Admission(asked.tokens)
        began = time.monotonic()
        try:
            yield admission
        except ProviderError as error:
            self._take_in(scopes[0], error)
            if not admission.is_answered:
                admission.used_tokens = 0
            raise
        finally:
            if admission.is_answered:
                self._cooldowns.answered(scopes[0])
            if place is not None:
                self._give_back(place, admission.used_tokens, held_s=time.monotonic() - began)

    async def run(self) -> None:
        """Keep what is held, and learn of cooldowns, until cancelled."""
        while True:
            await asyncio.sleep(self._look_s)
            await self.look()

    async def look(self) -> None:
        """Do so once; where Redis is away, note that it is."""
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._limits.keep(tuple(self._held.values()))
                self._cooldowns.learn(await self._limits.cooling())
        except (Unavailable, TimeoutError) as error:
            self._note_away(error)
        else:
            if self._is_away:
                self._is_away = False
                _log.info("provider_limits_are_back")

    async def close(self) -> None:
        """Give back what is on its way."""
        while self._beside:
            await asyncio.wait(self._beside)

    def _account(self, asked: Asked) -> str:
        """Name a provider with one key, without naming the key."""
        endpoint = self._endpoints.get(asked.provider)
        key = asked.own_key
        if key is None and endpoint is not None and endpoint.api_key is not None:
            key = endpoint.api_key.get_secret_value()
        mark = hashlib.blake2b(key.encode(), digest_size=8).hexdigest() if key else "none"
        return f"{asked.provider}:{mark}"

    def _check_cooldown(self, asked: Asked, scopes: tuple[str, ...]) -> None:
        left_s = self._cooldowns.left_s(scopes)
        if left_s > 0:
            raise _not_now(f"{asked.provider} asked not to be asked for {asked.model} at the moment.", left_s)

    async def _enter(self, asked: Asked, account: str) -> Place | None:
        endpoint = self._endpoints.get(asked.provider)
        if endpoint is None or endpoint.limits.is_unlimited:
            return None
        entry = _entry(asked, account, endpoint.limits)
        place = await self._asked(entry)
        if isinstance(place, NoPlace):
            raise _not_now(
                f"As much is asked of {asked.provider} as its limits allow.",
                self._wait_s(account, endpoint.limits, place),
            )
        self._held[account, entry.holder] = place
        return place

    async def _asked(self, entry: Entry) -> Place | NoPlace:
        if self._is_away:
            return Place(entry=entry)
        try:
            async with asyncio.timeout(ANSWER_S):
                return await self._limits.enter(entry)
        except (Unavailable, TimeoutError) as error:
            self._note_away(error)
            return Place(entry=entry)

    def _wait_s(self, account: str, limits: LimitSettings, found: NoPlace) -> float:
        """Return when it may be this job's turn: by the rates if they are why, else by how long calls take."""
        if found.wait_s > 0:
            pace_s = 60 / limits.requests_per_minute if limits.requests_per_minute else 0.0
            return min(found.wait_s + found.ahead * pace_s, LONGEST_WAIT_S)
        hold_s = self._hold_s.get(account, FIRST_HOLD_S)
        return min(hold_s * (found.ahead + 1) / (limits.concurrency or 1), LONGEST_PLACE_WAIT_S)

    def _take_in(self, scope: str, error: ProviderError) -> None:
        pause_s = self._cooldowns.note(scope, error)
        if pause_s is not None:
            _log.info("provider_cools_down", scope=scope.partition(":")[2].rpartition(":")[0], pause_s=pause_s)
            if not self._is_away:
                self._do_beside(self._limits.cool(scope, for_s=pause_s))

    def _give_back(self, place: Place, used_tokens: int, *, held_s: float) -> None:
        account = place.entry.account
        self._held.pop((account, place.entry.holder), None)
        self._hold_s[account] = 0.8 * self._hold_s.get(account, held_s) + 0.2 * held_s
        if not self._is_away:
            self._do_beside(self._hand_on(place, used_tokens))

    async def _hand_on(self, place: Place, used_tokens: int) -> None:
        """Give a place back, and wake who is next; those who do not wait any more are passed over."""
        following = await self._limits.leave(place, used_tokens=used_tokens)
        while following is not None and not await self._wake(following.entry.holder):
            following = await self._limits.leave(following, used_tokens=0)

    def _do_beside(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._quietly(work))
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    async def _quietly(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Unavailable as error:
            # What could not be told is forgotten by itself: places after a lease, waiting jobs are woken by the sweep.
            _log.info("provider_limits_not_told", reason=str(error))

    def _note_away(self, error: Exception) -> None:
        if not self._is_away:
            self._is_away = True
            _log.warning("provider_limits_are_away", reason=str(error) or f"no answer within {ANSWER_S:g} s")


def _scopes(account: str, asked: Asked) -> tuple[str, ...]:
    """Return whose cooldowns count, this call's own first: a batch heeds the others', and they not a batch's."""
    others = f"live:{account}/{asked.model}"
    return (f"batch:{account}/{asked.model}", others) if asked.queue is Queue.BATCH else (others,)


def _entry(asked: Asked, account: str, limits: LimitSettings) -> Entry:
    return Entry(
        account=account,
        holder=str(asked.job_id),
        is_batch=asked.queue is Queue.BATCH,
        rank=_RANKS[asked.queue] * _RANK + (asked.job_id.int >> 80),  # a job's id begins with when it was accepted
        tokens=asked.tokens,
        limit=_limit(limits),
        for_batches=_limit(limits.for_batches()),
    )


def _limit(limits: LimitSettings) -> Limit:
    return Limit(concurrency=limits.concurrency, requests=limits.requests_per_minute, tokens=limits.tokens_per_minute)


def _not_now(why: str, wait_s: float) -> NotNow:
    # Not all at the same moment: the first of them tell the others whether it has passed.
    wait_s = max(LEAST_WAIT_S, wait_s) * random.uniform(1, 1.1)  # noqa: S311 - jitter, not a secret
    return NotNow(wait_s, ProviderRateLimited(why, retry_after_s=round(wait_s, 1)))
