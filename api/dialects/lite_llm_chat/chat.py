"""A turn of a session: everything that can be refused is, before a session is made for it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import structlog
from starlette.requests import Request
from starlette.responses import Response

from api.answers import CLIENT_CLOSED_REQUEST, answer_with_stream, whole_answer
from api.auth import Caller
from api.dialects.lite_llm_chat.asking import JSON
from api.dialects.lite_llm_chat.files import references_of
from api.dialects.lite_llm_chat.frame import EMPTY, LiteFramer, with_sources
from api.dialects.lite_llm_chat.parse import AskedChat, UnsupportedProvider
from api.dialects.lite_llm_chat.sessions import ORIGIN, no_such_session, session_of, shown_messages
from api.dialects.lite_llm_chat.wire import ChatAnswer
from api.errors import Reported
from api.front import Front
from api.services.chat_deletion import delete_if_unused
from api.services.chats import ChatView, NewChat
from api.services.turns import Said, TurnRequest, prepare_turn
from api.services.watch import ClientLeft
from shared.database.submissions import NewJob
from shared.domain.errors import SmartSipError
from shared.domain.ids import OwnerId
from shared.domain.jobs import OnDisconnect

KEPT_ALIVE: Final = {"Connection": "keep-alive"}

_log = structlog.get_logger(__name__)


async def answer_chat(front: Front, request: Request, caller: Caller, asked: AskedChat) -> Response:
    """Answer what was said, as a stream or whole.

    Raises:
        UnsupportedProvider: if the provider is not configured here.
        NotFound: if there is no such session.
        Reported: if there is no answer, and it was wanted whole.
        SmartSipError: as `references_of`, `prepare_turn`, `answer_with_stream` and `whole_answer`.
    """
    if asked.provider not in front.settings.configured_providers:
        raise UnsupportedProvider(asked.provider)
    known = None if asked.session_id is None else await session_of(front, caller, asked.session_id)
    turn = await _turn(front, caller, asked)
    async with _session(front, caller, asked, known) as chat:
        new = await prepare_turn(front, caller, chat, turn)
        if not asked.is_stream:
            return await _whole(front, request, chat, new)
        framer = LiteFramer(chat.number)
        return await answer_with_stream(front, request, new, framer, opens_at_once=True, headers=KEPT_ALIVE)


async def _turn(front: Front, caller: Caller, asked: AskedChat) -> TurnRequest:
    shown = await references_of(front, caller, asked.messages)
    return TurnRequest(
        said=[
            Said(content=message.content, role=message.role, media=media)
            for message, media in zip(asked.messages, shown, strict=True)
        ],
        model=asked.model,
        parameters=asked.parameters,
        system_prompt=asked.system_prompt,
        on_disconnect=OnDisconnect.CANCEL,
    )


@asynccontextmanager
async def _session(front: Front, caller: Caller, asked: AskedChat, known: ChatView | None) -> AsyncGenerator[ChatView]:
    """Give the session, or a new one; where nothing was said in a new one after all, it is gone again."""
    if known is not None:
        yield known
        return
    title = asked.title or f"Chat {datetime.now(UTC):%Y-%m-%d %H:%M}"
    chat, _ = await front.chats.create(caller.owner_id, NewChat(origin=ORIGIN, title=title, model=asked.model))
    try:
        yield chat
    except Exception:
        await _forget_if_unused(front, caller.owner_id, chat.id)
        raise


async def _forget_if_unused(front: Front, owner_id: OwnerId, chat_id: UUID) -> None:
    try:
        await delete_if_unused(front, owner_id, chat_id)
    except SmartSipError as error:
        _log.warning("unused_session_stays", chat_id=str(chat_id), error=error.code)


async def _whole(front: Front, request: Request, chat: ChatView, new: NewJob) -> Response:
    try:
        inserted, reply = await whole_answer(front, request, new)
    except ClientLeft:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    if not (reply.text or reply.reasoning or reply.search_results):
        raise Reported(EMPTY)
    said = await front.chats.answer_of(chat.owner_id, inserted.id)
    if said is None:  # the session was deleted in this moment
        raise no_such_session(chat.number)
    (message,) = await shown_messages(front, chat, [said])
    message = message.model_copy(update={"content": with_sources(message.content, reply.search_results)})
    answer = ChatAnswer(session_id=chat.number, message=message)
    return Response(answer.model_dump_json(), media_type=JSON)
