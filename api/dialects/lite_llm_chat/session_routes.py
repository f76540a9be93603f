"""Sessions: list, look up, create, rename, delete, truncate. Only the caller's, and only this dialect's."""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request

from api.dependencies import FrontDep
from api.dialects.lite_llm_chat.asking import CallerDep, LiteRoute, body_of
from api.dialects.lite_llm_chat.parse import parse_change, parse_new_session
from api.dialects.lite_llm_chat.sessions import ORIGIN, session_of, shown_session, shown_with_messages
from api.dialects.lite_llm_chat.wire import NewSession, Session, SessionChange, SessionWithMessages
from api.services.chat_deletion import delete_chat, delete_chats, truncate_chat
from api.services.chats import NewChat

MAX_SKIP: Final = 1_000_000
MAX_LIMIT: Final = 1000
_LAST_ID: Final = 2**63 - 1

router = APIRouter(prefix="/sessions", tags=["lite-llm-chat"], route_class=LiteRoute)


def _takes(model: type[NewSession | SessionChange]) -> dict[str, object]:
    content = {"application/json": {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}


@router.get("", summary="List sessions")
async def list_sessions(
    front: FrontDep,
    caller: CallerDep,
    skip: Annotated[int, Query(ge=0, le=MAX_SKIP)] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 100,
) -> list[Session]:
    """Return the caller's sessions, the one that was used last first."""
    page = await front.chats.page(caller.owner_id, origin=ORIGIN, skip=skip, limit=limit)
    return [shown_session(chat) for chat in page]


@router.post("", status_code=201, summary="Create a session", openapi_extra=_takes(NewSession))
async def create_session(request: Request, front: FrontDep, caller: CallerDep) -> Session:
    """Make an empty session; whether its provider is configured is looked at when something is asked."""
    title, model = parse_new_session(await body_of(request, front))
    chat, _ = await front.chats.create(caller.owner_id, NewChat(origin=ORIGIN, title=title, model=model))
    return shown_session(chat)


@router.delete("", status_code=204, summary="Delete all sessions")
async def delete_sessions(front: FrontDep, caller: CallerDep) -> None:
    """Delete every session of the caller, with all that was asked and answered in it."""
    await delete_chats(front, caller.owner_id, ORIGIN)


@router.get("/{session_id}", summary="A session with its messages")
async def get_session(session_id: int, front: FrontDep, caller: CallerDep) -> SessionWithMessages:
    """Return a session and what was said in it, in order."""
    return await shown_with_messages(front, await session_of(front, caller, session_id))


@router.patch("/{session_id}", summary="Rename a session", openapi_extra=_takes(SessionChange))
async def rename_session(session_id: int, request: Request, front: FrontDep, caller: CallerDep) -> Session:
    """Change a session's title; no title, or an empty one, keeps the one there is."""
    title = parse_change(await body_of(request, front))
    chat = await session_of(front, caller, session_id)
    if title is None:
        return shown_session(chat)
    await front.chats.change(caller.owner_id, chat.id, title=title)
    return shown_session(await session_of(front, caller, session_id))


@router.delete("/{session_id}", status_code=204, summary="Delete a session")
async def delete_session(session_id: int, front: FrontDep, caller: CallerDep) -> None:
    """Delete a session with all that was asked and answered in it."""
    chat = await session_of(front, caller, session_id)
    await delete_chat(front, caller.owner_id, chat.id)


@router.delete("/{session_id}/truncate/{message_id}", status_code=204, summary="Forget the end of a session")
async def truncate_session(session_id: int, message_id: int, front: FrontDep, caller: CallerDep) -> None:
    """Remove a message and everything after it; what is being answered there is stopped."""
    chat = await session_of(front, caller, session_id)
    if message_id <= _LAST_ID:  # there is none with a higher one
        await truncate_chat(front, caller.owner_id, chat.id, max(message_id, 0))
