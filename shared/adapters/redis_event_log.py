"""The event log on Redis: a list per attempt, a channel per job, and one script call for many appends.

What is here may vanish at any moment (eviction, a flush, a restart); the runner writes a lost log again and readers
fall back to PostgreSQL. Nothing may depend on it for more than speed.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Final, cast
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.domain.errors import Unavailable
from shared.domain.events import Entry, decode_entries, encode_entry
from shared.ports.event_log import Append
from shared.settings import Clocks

MAX_ANNOUNCED_BYTES: Final = 64 * 1024
"""Largest message on a channel: far below Redis' output buffer limit for subscribers (32 MB, or 8 MB for 60 s)."""
KEYS_AT_ONCE: Final = 1000

# Per append: ARGV = channel, expected length, ttl in ms, replace (0 or 1), number of elements, first announced
# element, then the elements. `unpack` is limited by Lua's stack, hence the slices.
_APPEND: Final = """
local answers, at = {}, 1
for i = 1, #KEYS do
  local channel, expected, ttl = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2]
  local replace, count, announced = ARGV[at + 3] == '1', tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5])
  local first = at + 6
  at = first + count
  if replace then redis.call('DEL', KEYS[i]) end
  if not replace and redis.call('LLEN', KEYS[i]) ~= expected then
    answers[i] = 0
  else
    for from = first, at - 1, 1000 do
      redis.call('RPUSH', KEYS[i], unpack(ARGV, from, math.min(from + 999, at - 1)))
    end
    redis.call('PEXPIRE', KEYS[i], ttl)
    local from, size = first + announced - 1, 0
    for to = from, at - 1 do
      size = size + #ARGV[to]
      if to == at - 1 or size + #ARGV[to + 1] > %d then
        redis.call('PUBLISH', channel, '[' .. table.concat(ARGV, ',', from, to) .. ']')
        from, size = to + 1, 0
      end
    end
    answers[i] = 1
  end
end
return answers
""" % (MAX_ANNOUNCED_BYTES,)  # noqa: UP031 - braces are Lua's


def log_key(prefix: str, job_id: UUID, attempt: int) -> str:
    """Return the key of an attempt's list."""
    return f"{prefix}log:{job_id}:{attempt}"


def channel(prefix: str, job_id: UUID) -> str:
    """Return the channel on which a job's appends are announced, each message a JSON array of entries."""
    return f"{prefix}job:{job_id}"


def cancel_channel(prefix: str, worker_id: int) -> str:
    """Return the channel on which a worker hears that a job of its own is to be cancelled; the message is the id."""
    return f"{prefix}cancel:{worker_id}"


class RedisEventLog:
    """The port `EventLog` on Redis; every method raises `Unavailable` when Redis cannot be reached."""

    def __init__(self, client: Redis, prefix: str, clocks: Clocks) -> None:
        self._client = client
        self._prefix = prefix
        self._ttl_ms = _milliseconds(clocks.log_ttl)
        self._ended_ttl_ms = _milliseconds(clocks.ended_log_ttl)
        self._brief_ttl_ms = _milliseconds(clocks.batch_log_ttl)
        # redis-py types a script's answer as unknown; it is what the script returns.
        self._script = cast("Callable[..., Awaitable[list[int]]]", client.register_script(_APPEND))

    async def append(self, appends: Sequence[Append]) -> list[bool]:
        """Append and announce; see the port. A doubled call (an answer that was lost) answers False."""
        keys = [log_key(self._prefix, append.job_id, append.attempt) for append in appends]
        arguments: list[str | bytes | int] = []
        for append in appends:
            arguments += self._arguments(append, replace=False, announce_from=append.first_seq)
        return [answer == 1 for answer in await self._run(keys, arguments)]

    async def rewrite(self, job_id: UUID, attempt: int, entries: Sequence[Entry], *, announce_from: int) -> None:
        """Replace an attempt's whole log; see the port."""
        whole = Append(job_id=job_id, attempt=attempt, first_seq=1, entries=entries)
        arguments = [*self._arguments(whole, replace=True, announce_from=announce_from)]
        await self._run([log_key(self._prefix, job_id, attempt)], arguments)

    async def read(self, job_id: UUID, attempt: int, *, after_seq: int = 0) -> list[Entry]:
        """Return the attempt's entries after a position; see the port."""
        key = log_key(self._prefix, job_id, attempt)
        try:
            # lrange is typed for a client that decodes; this one does not.
            elements = cast("list[bytes]", await self._client.lrange(key, after_seq, -1))
        except (RedisError, OSError) as error:
            raise Unavailable("Redis cannot be reached: the event log cannot be read") from error
        return decode_entries(b"[" + b",".join(elements) + b"]")

    async def forget(self, attempts: Mapping[UUID, int]) -> None:
        """Remove every log of some jobs; see the port."""
        keys = [log_key(self._prefix, job_id, n + 1) for job_id, last in attempts.items() for n in range(last)]
        try:
            for first in range(0, len(keys), KEYS_AT_ONCE):
                await self._client.unlink(*keys[first : first + KEYS_AT_ONCE])
        except (RedisError, OSError) as error:
            raise Unavailable("Redis cannot be reached: event logs cannot be removed") from error

    async def _run(self, keys: list[str], arguments: list[str | bytes | int]) -> list[int]:
        if not keys:
            return []
        try:
            return await self._script(keys=keys, args=arguments)
        except (RedisError, OSError) as error:
            raise Unavailable("Redis cannot be reached: the event log cannot be written") from error

    def _arguments(self, append: Append, *, replace: bool, announce_from: int) -> Iterator[str | bytes | int]:
        entries = append.entries
        yield channel(self._prefix, append.job_id)
        yield append.first_seq - 1
        yield self._ttl(append)
        yield int(replace)
        yield len(entries)
        yield announce_from - append.first_seq + 1
        for entry in entries:
            yield encode_entry(entry)

    def _ttl(self, append: Append) -> int:
        if not append.entries or not append.entries[-1].is_terminal:
            return self._ttl_ms
        return self._brief_ttl_ms if append.is_brief else self._ended_ttl_ms


def _milliseconds(duration: timedelta) -> int:
    return max(1, int(duration.total_seconds() * 1000))
