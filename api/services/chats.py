"""Chats and their messages, as every surface that has conversations uses them. Turns are in `api.services.turns`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Row

from shared.database.queries import Queries
from shared.database.statements import chats as statements
from shared.database.tables import chat as table
from shared.domain.chats import key_purpose
from shared.domain.errors import IdempotencyKeyReused, NotFound
from shared.domain.ids import OwnerId, uuid7
from shared.encryption import Sealer

MAX_TITLE_CHARS = 255


class Origin(StrEnum):
    """The surface a chat was made through. Older systems see only their own."""

    CHATS = "chats"
    LLM_BACKEND_API = "llm_backend_api"
    LITE_LLM_CHAT = "lite_llm_chat"
    LLM_SERVICE_API = "llm_service_api"


@dataclass(frozen=True, kw_only=True)
class NewChat:
    """A chat to be made. `model` is `provider/model`; texts hold no NUL (the callers' models see to it).

    `request` is what two uses of an idempotency key must have in common, as text; it may hold the provider key.
    """

    origin: Origin
    title: str
    model: str | None = None
    system_prompt: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])  # a `Parameters` as JSON
    external_id: str | None = None
    provider_key: str | None = field(default=None, repr=False)
    idempotency_key: str | None = None
    request: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class ChatView:
    """A chat. `number` is its id where ids are integers; `last_provider` and `last_model` are of its last answer."""

    id: UUID
    number: int
    owner_id: OwnerId
    origin: Origin
    external_id: str | None
    title: str
    model: str | None
    system_prompt: str | None
    parameters: dict[str, Any]  # a `Parameters` as JSON
    has_own_key: bool
    messages: int
    last_provider: str | None
    last_model: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, kw_only=True)
class MessageView:
    """Something that was said; the fields after `media` are an answer's.

    `media` are references as `shared.domain.chats` describes them.
    """

    id: int
    turn: int
    role: str
    content: str
    media: list[dict[str, str]]
    reasoning: str | None
    search_results: list[dict[str, Any]] | None  # events.SearchResult as JSON
    signatures: list[str] | None
    tool_calls: list[dict[str, Any]] | None  # events.ToolCall as JSON
    provider: str | None
    model: str | None
    usage: dict[str, Any] | None  # events.Usage as JSON
    finish_reason: str | None
    job_id: UUID | None
    created_at: datetime


class ChatStore:
    """The chats of all owners; every method is of one owner."""

    def __init__(self, queries: Queries, sealer: Sealer) -> None:
        self._queries = queries
        self._sealer = sealer

    async def create(self, owner_id: OwnerId, new: NewChat) -> tuple[ChatView, bool]:
        """Make a chat and return it, and whether it is new: with a known external id or key, it is the one there is.

        Raises:
            IdempotencyKeyReused: if the key was used for another request.
        """
        chat_id = uuid7()
        sealed = None
        if new.provider_key is not None:
            sealed = self._sealer.seal(new.provider_key, purpose=key_purpose(chat_id))
        values = {
            "id": chat_id,
            "owner_id": owner_id,
            "origin": new.origin.value,
            "title": new.title,
            "model": new.model,
            "system_prompt": new.system_prompt,
            "parameters": dict(new.parameters),
            "external_id": new.external_id,
            "provider_key": sealed,
            "idempotency_key": new.idempotency_key,
            "request_hash": self._digest(new),
        }
        async with self._queries.transaction() as connection:
            await connection.execute(statements.new_chat(values))
        rows = await self._queries.rows(statements.chats(owner_id).where(table.c.id == chat_id))
        if rows:
            return _chat(rows[0]), True
        return await self._existing(owner_id, new), False

    async def find(
        self,
        owner_id: OwnerId,
        *,
        chat_id: UUID | None = None,
        number: int | None = None,
        external_id: str | None = None,
        origin: Origin | None = None,
    ) -> ChatView:
        """Return a chat by one of its names.

        Raises:
            NotFound: if the owner has no such chat (made through that surface).
        """
        if chat_id is not None:
            given: dict[str, object] = {"id": chat_id}
        else:
            given = {"external_id": external_id} if number is None else {"number": number}
        if origin is not None:
            given["origin"] = origin.value
        rows = await self._queries.rows(statements.chat_by(*given), {"owner_id": owner_id, **given})
        if not rows:
            raise no_such_chat()
        return _chat(rows[0])

    async def page(
        self,
        owner_id: OwnerId,
        *,
        origin: Origin | None = None,
        after: tuple[datetime, UUID] | None = None,
        skip: int = 0,
        limit: int,
    ) -> list[ChatView]:
        """Return chats, the one that was used last first; `after` is the last one's `updated_at` and id."""
        statement = statements.chats(owner_id)
        if origin is not None:
            statement = statement.where(table.c.origin == origin.value)
        rows = await self._queries.rows(statements.newest(statement, after=after, skip=skip, limit=limit))
        return [_chat(row) for row in rows]

    async def change(self, owner_id: OwnerId, chat_id: UUID, **values: object) -> None:
        """Change columns of a chat: title, model, system_prompt, parameters.

        Raises:
            NotFound: if the owner has no such chat.
        """
        if values and not await self._queries.rows(statements.change(owner_id, chat_id, values)):
            raise no_such_chat()

    async def messages(
        self, owner_id: OwnerId, chat_id: UUID, *, after: tuple[int, int] | None = None, limit: int | None = None
    ) -> list[MessageView]:
        """Return what was said, in order; `after` is the last one's turn and id."""
        statement = statements.said(owner_id, chat_id)
        if after is not None:
            statement = statements.said_after(statement, after)
        rows = await self._queries.rows(statement if limit is None else statement.limit(limit))
        return [_message(row) for row in rows]

    async def answer_of(self, owner_id: OwnerId, job_id: UUID) -> MessageView | None:
        """Return what a job said in its chat; None if it said nothing (yet)."""
        rows = await self._queries.rows(statements.answer_of(owner_id, job_id))
        return _message(rows[0]) if rows else None

    async def _existing(self, owner_id: OwnerId, new: NewChat) -> ChatView:
        if new.external_id is not None:
            return await self.find(owner_id, external_id=new.external_id, origin=new.origin)
        statement = statements.chats(owner_id).where(table.c.idempotency_key == new.idempotency_key)
        rows: Sequence[Row[Any]] = await self._queries.rows(statement)
        if not rows or rows[0].request_hash != self._digest(new):
            raise IdempotencyKeyReused("give another Idempotency-Key, or repeat the first request exactly")
        return _chat(rows[0])

    def _digest(self, new: NewChat) -> bytes | None:
        return None if new.request is None else self._sealer.digest(new.request, purpose="chat_request")


def no_such_chat() -> NotFound:
    """Return the one error for a chat that does not exist and for another owner's."""
    return NotFound("There is no chat with this id.")


def _chat(row: Row[Any]) -> ChatView:  # Any: the columns of statements.chats
    return ChatView(
        id=row.id,
        number=row.number,
        owner_id=OwnerId(row.owner_id),
        origin=Origin(row.origin),
        external_id=row.external_id,
        title=row.title,
        model=row.model,
        system_prompt=row.system_prompt,
        parameters=row.parameters,
        has_own_key=row.has_own_key,
        messages=row.messages,
        last_provider=row.last_provider,
        last_model=row.last_model,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _message(row: Row[Any]) -> MessageView:  # Any: the columns of `message`
    return MessageView(
        id=row.id,
        turn=row.turn,
        role=row.role,
        content=row.content,
        media=row.media,
        reasoning=row.reasoning,
        search_results=row.search_results,
        signatures=row.signatures,
        tool_calls=None if row.tool_calls is None else [_untagged(call) for call in row.tool_calls],
        provider=row.provider,
        model=row.model,
        usage=None if row.usage is None else _untagged(row.usage),
        finish_reason=row.finish_reason,
        job_id=row.job_id,
        created_at=row.created_at,
    )


def _untagged(event: dict[str, Any]) -> dict[str, Any]:  # JSON
    """Return an event as data: without the name that tells events apart in a log."""
    return {name: value for name, value in event.items() if name != "type"}
