"""Sessions are chats of this dialect's own origin; their ids, which clients may choose, are the external ones."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import structlog
from ulid import ULID

from api.auth import Caller
from api.dialects.llm_service_api.parse import AskedSession
from api.front import Front
from api.services.chat_deletion import delete_if_unused
from api.services.chats import ChatView, NewChat, Origin
from api.services.own_keys import check_own_key
from api.services.submit import resolve_model
from api.services.turns import Said, TurnRequest, prepare_turn, title_from
from shared.database.submissions import NewJob
from shared.domain.errors import NotFound, SmartSipError

ORIGIN: Final = Origin.LLM_SERVICE_API
NEW_TITLE: Final = "LLM session"

_log = structlog.get_logger(__name__)


def new_session_id() -> str:
    """Return an id nobody has: a ULID, as the document has it."""
    return str(ULID())


async def make_session(front: Front, caller: Caller, asked: AskedSession) -> str:
    """Make a session that answers as it was asked to, and return its id.

    Raises:
        InvalidRequest: if the model cannot be had; `field` says so.
    """
    session_id = new_session_id()
    new = NewChat(
        origin=ORIGIN,
        title=NEW_TITLE,
        model=await _model(front, asked),
        parameters=asked.parameters.model_dump(mode="json", exclude_defaults=True),
        external_id=session_id,
        provider_key=asked.provider_key,
    )
    await front.chats.create(caller.owner_id, new)
    return session_id


@asynccontextmanager
async def session_for(front: Front, caller: Caller, session_id: str, said: str) -> AsyncGenerator[ChatView]:
    """Give the caller's session, made now if there is none; a new one in which nothing is said after all is gone again.

    `said` is what it will be called after.
    """
    try:
        chat, is_new = await front.chats.find(caller.owner_id, external_id=session_id, origin=ORIGIN), False
    except NotFound:
        new = NewChat(origin=ORIGIN, title=title_from(said), external_id=session_id)
        chat, is_new = await front.chats.create(caller.owner_id, new)
    try:
        yield chat
    except Exception:
        if is_new:
            await _forget(front, chat)
        raise


async def turn_in(front: Front, caller: Caller, chat: ChatView, said: str) -> NewJob:
    """Return the job that answers what is said in a session, after the answers that are not ready yet.

    Raises as `prepare_turn`. It goes on if the client leaves: the answer is in the history when it comes back.
    """
    return await prepare_turn(front, caller, chat, TurnRequest(said=[Said(content=said)]))


async def _model(front: Front, asked: AskedSession) -> str | None:
    if asked.model is None:
        return None
    if asked.provider_key is not None:
        check_own_key(front, asked.model, chat_model=None)
        return asked.model
    return resolve_model(front, asked.model if asked.names_provider else await front.models.resolve(asked.model))


async def _forget(front: Front, chat: ChatView) -> None:
    try:
        await delete_if_unused(front, chat.owner_id, chat.id)
    except SmartSipError as error:
        _log.warning("unused_session_stays", chat_id=str(chat.id), error=error.code)
