"""Sessions are chats of this dialect's own origin; their numbers are their ids."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from api.auth import Caller
from api.dialects.lite_llm_chat.files import extensions_of
from api.dialects.lite_llm_chat.frame import ids_in, instant, path_of, source, with_uploads
from api.dialects.lite_llm_chat.wire import Message, Session, SessionWithMessages
from api.front import Front
from api.services.chats import ChatView, MessageView, Origin
from shared.domain.errors import NotFound
from shared.domain.events import SearchResult

ORIGIN: Final = Origin.LITE_LLM_CHAT
_INT64: Final = 2**63


async def session_of(front: Front, caller: Caller, number: int) -> ChatView:
    """Return a caller's session.

    Raises:
        NotFound: if there is none of this number, as the old system says it.
    """
    if not 0 < number < _INT64:
        raise no_such_session(number)
    try:
        return await front.chats.find(caller.owner_id, number=number, origin=ORIGIN)
    except NotFound as error:
        raise no_such_session(number) from error


def no_such_session(number: int) -> NotFound:
    """Return the one error for a session that does not exist, is another owner's, or of another surface."""
    return NotFound(f"Session {number} not found")


def shown_session(chat: ChatView) -> Session:
    """Return a session; its provider and model are those of the last answer."""
    return Session(**_members(chat))


async def shown_with_messages(front: Front, chat: ChatView) -> SessionWithMessages:
    """Return a session with what was said in it."""
    messages = await front.chats.messages(chat.owner_id, chat.id)
    shown = await shown_messages(front, chat, messages)
    members = _members(chat)
    members["message_count"] = len(shown)
    return SessionWithMessages(messages=shown, **members)


async def shown_messages(front: Front, chat: ChatView, messages: Sequence[MessageView]) -> list[Message]:
    """Return messages of a session."""
    ids = {reference["id"] for message in messages for reference in message.media if "id" in reference}
    ids |= {str(found) for message in messages if message.role == "assistant" for found in ids_in(message.content)}
    extensions = await extensions_of(front, chat.owner_id, ids)
    return [_shown(message, extensions) for message in messages]


def _members(chat: ChatView) -> dict[str, Any]:  # the members of a Session
    provider, _, model = (chat.model or "").partition("/")
    return {
        "id": chat.number,
        "title": chat.title,
        "provider": chat.last_provider or provider,
        "model": chat.last_model or model,
        "created_at": instant(chat.created_at),
        "updated_at": instant(chat.updated_at),
        "message_count": chat.messages,
    }


def _shown(message: MessageView, extensions: dict[str, str]) -> Message:
    """Return a message; a file that an answer's text shows is not listed again, or it would be shown twice."""
    is_answer = message.role == "assistant"
    content = with_uploads(message.content, extensions) if is_answer else message.content
    paths = [(reference["type"], path_of(reference, extensions)) for reference in message.media]

    def listed(kind: str) -> list[str] | None:
        return [path for what, path in paths if what == kind and not (is_answer and path in content)] or None

    results = msgspec.convert(message.search_results or [], list[SearchResult])
    return Message(
        id=message.id,
        role=message.role,
        content=content,
        images=listed("image"),
        videos=listed("video"),
        audios=listed("audio"),
        search_results=[source(result) for result in results] or None,
        provider=message.provider,
        model=message.model,
        thought_process=message.reasoning,
        thought_signatures=message.signatures,
        created_at=instant(message.created_at),
    )
