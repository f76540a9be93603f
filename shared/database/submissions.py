"""Accepting jobs. When `insert` returns, the job is committed and will end."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from shared.database.connection import Connection, Raw
from shared.database.lanes import Lane
from shared.database.statements.submit import FIND_JOBS, INSERT_JOBS, LOCK_CHATS, LOCK_QUOTAS, OPEN_QUOTAS
from shared.domain.errors import (
    ChatBusy,
    IdempotencyKeyReused,
    NotFound,
    QuotaExceeded,
    SmartSipError,
    TokensSpent,
    Unavailable,
)
from shared.domain.ids import JobId, OwnerId
from shared.domain.jobs import Kind, OnDisconnect, Queue
from shared.settings import Database

PATIENCE: Final = timedelta(seconds=5)
"""How long a caller waits for PostgreSQL to come back; the old firmware gives up after 5 s."""
RETRY_AFTER_S: Final = 5.0
"""When a caller whose jobs are too many may ask again."""


class NewMessage(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody says in a chat; `media` are references as `shared.domain.chats` describes them."""

    role: Literal["user", "system"]
    content: str
    media: list[dict[str, str]] = []
    provider: str | None = None
    model: str | None = None


class NewTurn(msgspec.Struct, frozen=True, kw_only=True):
    """A turn of a chat: new messages, or with an `old` turn's number another answer to what was said then.

    `only_if_idle` refuses it while an earlier turn is not over, as an `old` one always is; otherwise it waits for that.
    """

    chat_id: UUID
    messages: tuple[NewMessage, ...] = ()
    old: int | None = None
    only_if_idle: bool = False


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What a job may use at most, to be reserved of each of these quotas that exist; `opens` makes missing ones.

    `opens` maps a subject to the limit it begins with.
    """

    subjects: tuple[str, ...]
    input_tokens: int
    output_tokens: int
    opens: dict[str, int] = {}


class NewJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job to be accepted.

    `id` is made by the caller, so that asking again after a lost answer is harmless. `payload` is a `JobSpec` as JSON
    and `model` what it names, `request_hash` what two uses of one idempotency key must have in common, `rung` whether
    the caller will ring at once, `waiting_cap` how many jobs of this owner may wait in this queue, `image_id` the
    stored photo that the job is about, `client` and `key_id` whom the ledger names.
    """

    id: JobId
    owner_id: OwnerId
    fair_key: int
    queue: Queue
    kind: Kind
    model: str
    deadline: datetime
    payload: bytes
    request_hash: bytes
    waiting_cap: int
    on_disconnect: OnDisconnect = OnDisconnect.CONTINUE
    labels: dict[str, str] | None = None
    idempotency_key: str | None = None
    rung: bool = False
    image_id: UUID | None = None
    client: str | None = None
    key_id: UUID | None = None
    turn: NewTurn | None = None
    draft: Draft | None = None


class Inserted(msgspec.Struct, frozen=True):
    """The accepted job; `is_replay` if it was accepted before, for the same idempotency key.

    `is_behind` if it waits for an earlier turn of its chat: it is not to be rung yet.
    """

    id: JobId
    is_replay: bool
    is_behind: bool = False


class Submissions:
    """Inserts jobs, in batches when they come faster than PostgreSQL answers."""

    def __init__(self, database: Database, *, patience: timedelta = PATIENCE) -> None:
        self._connection = Connection(database, name="smartsip-submissions", patience=patience)
        self._lane = Lane[NewJob, Inserted | SmartSipError](self._connection, _insert_batch, key=_lock_order)

    async def open(self) -> None:
        """Connect, so that the first job does not wait for it.

        Raises:
            Unavailable: if PostgreSQL cannot be reached.
        """
        await self._connection.open()

    async def close(self) -> None:
        """Disconnect, after everything in flight has its answer."""
        await self._lane.drain()
        await self._connection.close()

    async def insert(self, new: NewJob) -> Inserted:
        """Accept a job; once this returns it is committed.

        Raises:
            IdempotencyKeyReused: if the key was used for another request.
            QuotaExceeded: if too many jobs of this owner wait in this queue.
            NotFound: if the owner has no such chat. ChatBusy: if it is, and the turn was for an idle one only.
            TokensSpent: if a quota does not have what the job may use.
            Unavailable: if PostgreSQL is away; whether the job was accepted is then unknown, and asking again with
                the same id is safe.
        """
        outcome = await self._lane.submit(new)
        if isinstance(outcome, SmartSipError):
            raise outcome
        return outcome


def _lock_order(new: NewJob) -> tuple[int, str]:
    """Two processes can only wait for each other over keys; otherwise first come, first served."""
    return new.owner_id, new.idempotency_key or ""


async def _insert_batch(raw: Raw, batch: list[NewJob], _is_retry: bool) -> list[Inserted | SmartSipError]:
    firsts = _first_of_each_key(batch)
    verdicts = await _insert(raw, list(firsts.values()))
    undecided = [new for new in batch if new.id not in verdicts]
    known = await _existing(raw, undecided) if undecided else {}
    return [_outcome(new, verdicts.get(firsts[_identity(new)].id), known.get(new.id, {})) for new in batch]


async def _insert(raw: Raw, batch: Sequence[NewJob]) -> dict[JobId, str]:
    chats = [new.turn.chat_id for new in batch if new.turn is not None]
    drafts = [(new.owner_id, new.draft) for new in batch if new.draft is not None]
    if not chats and not drafts:
        return dict(await (await raw.execute(INSERT_JOBS, _columns(batch), binary=True)).fetchall())
    async with raw.pipeline(), raw.transaction():  # sent as one: what would be five round trips is one
        if chats:
            await raw.execute(LOCK_CHATS, (chats,))
        if drafts:
            await _lock_quotas(raw, drafts)
        inserted = await raw.execute(INSERT_JOBS, _columns(batch), binary=True)
    return dict(await inserted.fetchall())


async def _lock_quotas(raw: Raw, drafts: Sequence[tuple[OwnerId, Draft]]) -> None:
    opened = [(owner, subject, limit) for owner, draft in drafts for subject, limit in draft.opens.items()]
    if opened:
        await raw.execute(OPEN_QUOTAS, tuple(map(list, zip(*opened, strict=True))))
    drawn = [(owner, subject) for owner, draft in drafts for subject in draft.subjects]
    await raw.execute(LOCK_QUOTAS, tuple(map(list, zip(*drawn, strict=True))))


def _outcome(new: NewJob, verdict: str | None, existing: dict[JobId, bytes]) -> Inserted | SmartSipError:
    """Say what became of one job, given the verdict on it (or on the first of the batch with its key).

    `existing` are the jobs, with their request hashes, that have its id or its key.
    """
    if new.id in existing or (verdict in ("accepted", "behind") and not existing):
        return Inserted(new.id, is_replay=False, is_behind=verdict == "behind")
    for job_id, request_hash in existing.items():
        if request_hash == new.request_hash:
            return Inserted(job_id, is_replay=True)
        return IdempotencyKeyReused("give another Idempotency-Key, or repeat the first request exactly")
    match verdict:
        case "gone":
            return NotFound("There is no chat with this id.")
        case "busy":
            return ChatBusy("an answer is being written in this chat", retry_after_s=1.0)
        case "spent":
            return TokensSpent("the tokens of this quota do not suffice for this request")
        case "crowded" if new.turn is not None:
            return QuotaExceeded("too much is waiting for its answer already", retry_after_s=RETRY_AFTER_S)
        case "crowded":
            return QuotaExceeded(
                f"{new.waiting_cap} jobs are waiting in queue {new.queue} already", retry_after_s=RETRY_AFTER_S
            )
        case _:  # The job that held the key was erased in this very moment.
            return Unavailable("the job could not be accepted at this moment; ask again", retry_after_s=1.0)


def _identity(new: NewJob) -> object:
    return (new.owner_id, new.idempotency_key) if new.idempotency_key else new.id


def _first_of_each_key(batch: Sequence[NewJob]) -> dict[object, NewJob]:
    """Leave out repetitions of a key within a batch: they are told what became of the first."""
    firsts: dict[object, NewJob] = {}
    for new in batch:
        firsts.setdefault(_identity(new), new)
    return firsts


def _columns(batch: Sequence[NewJob]) -> Sequence[Sequence[Any]]:  # Any: each column has the type its cast names
    return (
        [new.id for new in batch],
        [new.owner_id for new in batch],
        [new.fair_key for new in batch],
        [new.queue.value for new in batch],
        [new.kind.value for new in batch],
        [new.on_disconnect.value for new in batch],
        [new.deadline for new in batch],
        [new.payload for new in batch],
        [new.request_hash for new in batch],
        [new.model for new in batch],
        [json.dumps(new.labels) if new.labels else None for new in batch],
        [new.idempotency_key for new in batch],
        [new.rung for new in batch],
        [new.waiting_cap for new in batch],
        [new.image_id for new in batch],
        [new.client for new in batch],
        [new.key_id for new in batch],
        [new.turn.chat_id if new.turn else None for new in batch],
        [new.turn.old if new.turn else None for new in batch],
        [new.turn.only_if_idle if new.turn else None for new in batch],
        [_json(new.turn.messages) if new.turn and new.turn.messages else None for new in batch],
        [_json(new.draft.subjects) if new.draft else None for new in batch],
        [new.draft.input_tokens if new.draft else None for new in batch],
        [new.draft.output_tokens if new.draft else None for new in batch],
    )


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


async def _existing(raw: Raw, batch: Sequence[NewJob]) -> dict[JobId, dict[JobId, bytes]]:
    columns = (
        [new.id for new in batch],
        [new.owner_id for new in batch],
        [new.idempotency_key for new in batch],
    )
    cursor = await raw.execute(FIND_JOBS, columns, binary=True)
    found: dict[JobId, dict[JobId, bytes]] = {}
    for asked_id, existing_id, request_hash in await cursor.fetchall():
        found.setdefault(asked_id, {})[existing_id] = request_hash
    return found
