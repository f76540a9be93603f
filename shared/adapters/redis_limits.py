"""Limits of providers on Redis: who holds a place, who waits, what was asked in the last minute, who cools down.

One script call for each question, on the server's clock. A flush forgets everything, and so allows more than the limits
for a moment: held places come back with the next `keep`, rates and cooldowns within a minute.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import timedelta
from typing import Any, Final, cast

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.domain.errors import Unavailable
from shared.ports.provider_limits import Entry, Limit, NoPlace, Place

BUCKETS: Final = 60
"""Into so many parts a window is counted; one is forgotten when all of it is older than a window."""
KEPT_FOR: Final = timedelta(seconds=3)
"""How long a place that was given back is kept for who is next: a bell, a claim, and a photo that is loaded."""
FORGOTTEN_AFTER: Final = timedelta(minutes=5)
"""A holder who waits and did not ask again for so long waits no more."""
UNLIMITED: Final = -1

# A field of `requests` or `tokens` is `b` (a batch) or `l`, and the number of its bucket. `room` returns for how many
# milliseconds a call of this cost does not fit: until the buckets have gone of which it is too much.
_PRELUDE: Final = f"""
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function room(key, cost, limit, share, is_batch, size)
  if limit < 0 then return 0 end
  local all, total, batch, parts = redis.call('HGETALL', key), 0, 0, {{}}
  for i = 1, #all, 2 do
    local at, count = tonumber(string.sub(all[i], 2)), tonumber(all[i + 1])
    if (at + {BUCKETS} + 1) * size <= now then
      redis.call('HDEL', key, all[i])
    else
      local of_batch = string.sub(all[i], 1, 1) == 'b'
      total = total + count
      if of_batch then batch = batch + count end
      parts[#parts + 1] = {{at, count, of_batch}}
    end
  end
  table.sort(parts, function (a, b) return a[1] < b[1] end)
  local over = total + math.min(cost, limit) - limit
  local over_share = is_batch and batch + math.min(cost, share) - share or 0
  local free_at = now
  for _, part in ipairs(parts) do
    if over <= 0 and over_share <= 0 then break end
    if over > 0 or part[3] then free_at = (part[1] + {BUCKETS} + 1) * size end
    over = over - part[2]
    if part[3] then over_share = over_share - part[2] end
  end
  return free_at - now
end
local function places(key, limit, share, is_batch)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
  if limit < 0 then return 1 end
  local left = limit - redis.call('ZCARD', key)
  if is_batch and left > 0 then
    for _, holder in ipairs(redis.call('ZRANGE', key, 0, -1)) do
      if string.sub(holder, 1, 1) == 'b' then share = share - 1 end
    end
    left = math.min(left, share)
  end
  return left
end
"""

_ENTER: Final = f"""{_PRELUDE}
local held, waiting, asked, requests, tokens = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local holder, is_batch, rank, cost = ARGV[1], string.sub(ARGV[1], 1, 1) == 'b', ARGV[2], tonumber(ARGV[3])
local lease, window, forgotten = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local limit = {{tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])}}
local share = {{tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])}}
local size = window / {BUCKETS}
local has_place = places(held, limit[1], share[1], is_batch) > 0 or redis.call('ZSCORE', held, holder)
local wait = math.max(
  room(requests, 1, limit[2], share[2], is_batch, size), room(tokens, cost, limit[3], share[3], is_batch, size)
)
if not has_place or wait > 0 then
  for _, gone in ipairs(redis.call('ZRANGEBYSCORE', asked, '-inf', now - forgotten)) do
    redis.call('ZREM', waiting, gone)
  end
  redis.call('ZREMRANGEBYSCORE', asked, '-inf', now - forgotten)
  redis.call('ZREM', held, holder)
  redis.call('ZADD', waiting, rank, holder)
  redis.call('ZADD', asked, now, holder)
  redis.call('PEXPIRE', waiting, 2 * forgotten)
  redis.call('PEXPIRE', asked, 2 * forgotten)
  return {{0, wait, redis.call('ZRANK', waiting, holder)}}
end
local bucket = math.floor(now / size)
local field = (is_batch and 'b' or 'l') .. string.format('%.0f', bucket)
if limit[1] >= 0 then
  redis.call('ZADD', held, now + lease, holder)
  redis.call('PEXPIRE', held, 2 * lease)
end
if limit[2] >= 0 then
  redis.call('HINCRBY', requests, field, 1)
  redis.call('PEXPIRE', requests, 2 * window)
end
if limit[3] >= 0 then
  redis.call('HINCRBY', tokens, field, cost)
  redis.call('PEXPIRE', tokens, 2 * window)
end
redis.call('ZREM', waiting, holder)
redis.call('ZREM', asked, holder)
return {{1, bucket, 0}}
"""

_LEAVE: Final = f"""{_PRELUDE}
local held, waiting, asked, requests, tokens = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local holder, bucket, unused, window = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local kept, limit = tonumber(ARGV[5]), {{tonumber(ARGV[6]), tonumber(ARGV[7])}}
local share, size = {{tonumber(ARGV[8]), tonumber(ARGV[9])}}, window / {BUCKETS}
redis.call('ZREM', held, holder)
local field = string.sub(holder, 1, 1) .. bucket
if unused ~= 0 and redis.call('HEXISTS', tokens, field) == 1 then redis.call('HINCRBY', tokens, field, -unused) end
local next = redis.call('ZRANGE', waiting, 0, 0)[1]
if not next or limit[1] < 0 then return '' end
local is_batch = string.sub(next, 1, 1) == 'b'
if places(held, limit[1], share[1], is_batch) <= 0 then return '' end
if room(requests, 1, limit[2], share[2], is_batch, size) > 0 then return '' end
redis.call('ZREM', waiting, next)
redis.call('ZREM', asked, next)
redis.call('ZADD', held, now + kept, next)
redis.call('PEXPIRE', held, 2 * kept)
return next
"""

_KEEP: Final = f"""{_PRELUDE}
for i, key in ipairs(KEYS) do
  redis.call('ZADD', key, now + ARGV[1], ARGV[i + 1])
  redis.call('PEXPIRE', key, 2 * ARGV[1])
end
"""

_COOL: Final = f"""{_PRELUDE}
redis.call('ZADD', KEYS[1], 'GT', now + ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('PEXPIREAT', KEYS[1], redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2])
"""

_COOLING: Final = f"""{_PRELUDE}
local found = redis.call('ZRANGE', KEYS[1], string.format('%.0f', now), '+inf', 'BYSCORE', 'WITHSCORES')
for i = 2, #found, 2 do found[i] = tonumber(found[i]) - now end
return found
"""


class RedisProviderLimits:
    """The port `ProviderLimits` on Redis. `lease` is how long a place is held without `keep`."""

    def __init__(
        self, client: Redis, prefix: str, *, lease: timedelta, window: timedelta = timedelta(minutes=1)
    ) -> None:
        self._prefix = prefix
        self._lease_ms = _milliseconds(lease)
        self._window_ms = _milliseconds(window)
        self._cooldowns = f"{prefix}cooldown"
        scripts = (client.register_script(script) for script in (_ENTER, _LEAVE, _KEEP, _COOL, _COOLING))
        # redis-py types a script's answer as unknown; it is what the script returns.
        self._enter, self._leave, self._keep, self._cool, self._cooling = (
            cast("Callable[..., Awaitable[Any]]", script) for script in scripts
        )

    async def enter(self, entry: Entry) -> Place | NoPlace:
        """See the port."""
        has_place, number, ahead = await _told(
            self._enter(
                keys=self._keys(entry.account),
                args=[
                    *(_member(entry), entry.rank, entry.tokens),
                    *(self._lease_ms, self._window_ms, _milliseconds(FORGOTTEN_AFTER)),
                    *_numbers(entry.limit),
                    *_numbers(entry.for_batches),
                ],
            )
        )
        return Place(entry=entry, window=int(number)) if has_place else NoPlace(int(number) / 1000, int(ahead))

    async def leave(self, place: Place, *, used_tokens: int) -> Place | None:
        """See the port."""
        entry = place.entry
        found = await _told(
            self._leave(
                keys=self._keys(entry.account),
                args=[
                    *(_member(entry), place.window, entry.tokens - used_tokens, self._window_ms),
                    _milliseconds(KEPT_FOR),
                    *_numbers(entry.limit)[:2],
                    *_numbers(entry.for_batches)[:2],
                ],
            )
        )
        following = _text(found)
        if not following:
            return None
        changes = {"holder": following[1:], "is_batch": following[0] == "b", "tokens": 0}
        return Place(entry=msgspec.structs.replace(entry, **changes))

    async def keep(self, places: Collection[Place]) -> None:
        """See the port."""
        held = [place.entry for place in places if place.entry.limit.concurrency is not None]
        if held:
            keys = [self._keys(entry.account)[0] for entry in held]
            await _told(self._keep(keys=keys, args=[self._lease_ms, *map(_member, held)]))

    async def cool(self, scope: str, *, for_s: float) -> None:
        """See the port."""
        await _told(self._cool(keys=[self._cooldowns], args=[scope, max(1, int(for_s * 1000))]))

    async def cooling(self) -> Mapping[str, float]:
        """See the port."""
        found = await _told(self._cooling(keys=[self._cooldowns], args=[]))
        return {_text(scope): int(left) / 1000 for scope, left in zip(found[::2], found[1::2], strict=True)}

    def _keys(self, account: str) -> list[str]:
        kinds = ("held", "waiting", "asked", "requests", "tokens")
        return [f"{self._prefix}limit:{account}:{kind}" for kind in kinds]


async def _told(question: Awaitable[Any]) -> Any:  # what the script returns
    try:
        return await question
    except (RedisError, OSError) as error:
        raise Unavailable("Redis cannot be reached: the providers' limits cannot be asked") from error


def _member(entry: Entry) -> str:
    return ("b" if entry.is_batch else "l") + entry.holder


def _numbers(limit: Limit) -> list[int]:
    numbers = (limit.concurrency, limit.requests, limit.tokens)
    return [UNLIMITED if number is None else number for number in numbers]


def _milliseconds(duration: timedelta) -> int:
    return max(1, int(duration.total_seconds() * 1000))


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
