"""Chats: make, list, look at, change, stop, delete. What is said in them is in `messages`."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response

from api.auth import Caller, require
from api.dependencies import FrontDep
from api.front import Front
from api.preferences import idempotency_key
from api.routes.answers import PROBLEM, REFUSED, Documented
from api.routes.chat_models import (
    PATH,
    ChatChange,
    ChatIn,
    ChatOut,
    ChatParameters,
    ChatsOut,
    ChatsQuery,
    StoppedOut,
    cursor_of,
    shown_chat,
)
from api.routes.jobs import NoParameters
from api.scopes import Scope
from api.services.chat_deletion import ask_to_stop, delete_chat, delete_chats
from api.services.chats import ChatView, NewChat, Origin
from api.services.own_keys import check_own_key
from api.services.submit import resolve_model
from shared.domain.errors import InvalidRequest

NEW_TITLE: Final = "New chat"
NO_SUCH_CHAT: Final[Documented] = {404: PROBLEM | {"description": "No such chat, or another owner's"}}
BUSY: Final[Documented] = {409: PROBLEM | {"description": "An answer has not stopped yet: ask again"}}

router = APIRouter(prefix=PATH, tags=["chats"])
ChatCaller = Annotated[Caller, Depends(require(Scope.JOBS))]


@router.post(
    "",
    status_code=201,
    responses=REFUSED | {200: {"model": ChatOut, "description": "It was made before, with the same Idempotency-Key"}},
    summary="Make a chat",
)
async def create_chat(
    wanted: ChatIn, query: NoParameters, request: Request, response: Response, front: FrontDep, caller: ChatCaller
) -> ChatOut:
    """Make a chat. A provider key that it brings is kept encrypted, used for this chat only, and never shown."""
    new = NewChat(
        origin=Origin.CHATS,
        title=wanted.title or NEW_TITLE,
        model=_model(front, wanted),
        system_prompt=wanted.system_prompt,
        parameters=_kept(wanted.parameters),
        provider_key=_secret(wanted),
        idempotency_key=idempotency_key(request.headers),
        request=_request_text(wanted),
    )
    chat, is_new = await front.chats.create(caller.owner_id, new)
    response.headers["Location"] = f"{PATH}/{chat.id}"
    if not is_new:
        response.status_code = 200
        response.headers["Idempotency-Replayed"] = "true"
    return shown_chat(chat)


@router.get("", responses=REFUSED, summary="List chats")
async def list_chats(query: Annotated[ChatsQuery, Query()], front: FrontDep, caller: ChatCaller) -> ChatsOut:
    """Return the caller's chats, the one that was used last first; those of older systems' clients are among them."""
    page = await front.chats.page(caller.owner_id, origin=query.origin, after=query.after(), limit=query.limit + 1)
    listed = page[: query.limit]
    return ChatsOut(
        chats=[shown_chat(chat) for chat in listed], next=cursor_of(listed[-1]) if len(page) > len(listed) else None
    )


@router.delete("", status_code=204, responses=BUSY, summary="Delete all chats")
async def delete_all_chats(query: NoParameters, front: FrontDep, caller: ChatCaller) -> None:
    """Delete every chat of the caller's, with everything that was asked and answered; running answers are stopped."""
    await delete_chats(front, caller.owner_id)


@router.get("/{chat_id}", responses=NO_SUCH_CHAT, summary="Look at a chat")
async def get_chat(chat_id: UUID, query: NoParameters, front: FrontDep, caller: ChatCaller) -> ChatOut:
    """Return a chat without its messages."""
    return shown_chat(await front.chats.find(caller.owner_id, chat_id=chat_id))


@router.patch("/{chat_id}", responses=NO_SUCH_CHAT | REFUSED, summary="Rename a chat, or change how it answers")
async def change_chat(
    chat_id: UUID, change: ChatChange, query: NoParameters, front: FrontDep, caller: ChatCaller
) -> ChatOut:
    """Change what is given, from the next message on; null goes back to the default."""
    chat = await front.chats.find(caller.owner_id, chat_id=chat_id)
    await front.chats.change(caller.owner_id, chat_id, **_changes(front, chat, change))
    return shown_chat(await front.chats.find(caller.owner_id, chat_id=chat_id))


@router.delete("/{chat_id}", status_code=204, responses=NO_SUCH_CHAT | BUSY, summary="Delete a chat")
async def remove_chat(chat_id: UUID, query: NoParameters, front: FrontDep, caller: ChatCaller) -> None:
    """Delete a chat with everything that was asked and answered in it; a running answer is stopped first."""
    await delete_chat(front, caller.owner_id, chat_id)


@router.post(
    "/{chat_id}/stop",
    responses=NO_SUCH_CHAT | {202: {"model": StoppedOut, "description": "A worker has not confirmed yet"}},
    summary="Stop what is being answered",
)
async def stop_chat(
    chat_id: UUID, query: NoParameters, response: Response, front: FrontDep, caller: ChatCaller
) -> StoppedOut:
    """Cancel the answer that is being written, and those that wait. What was written of it stays in the chat."""
    await front.chats.find(caller.owner_id, chat_id=chat_id)
    turns, have_ended = await ask_to_stop(front, caller.owner_id, chat_id)
    response.status_code = 200 if have_ended else 202
    return StoppedOut(turns=turns, state="stopped" if have_ended else "stopping")


def _model(front: Front, wanted: ChatIn) -> str | None:
    """Return the model that was given, once it is known that it can be asked."""
    if wanted.provider_key is not None:
        if wanted.model is None:
            raise InvalidRequest("a provider key is one provider's: name a model of it", field="model")
        check_own_key(front, wanted.model, chat_model=None)
    elif wanted.model is not None:
        resolve_model(front, wanted.model)
    return wanted.model


def _changes(front: Front, chat: ChatView, change: ChatChange) -> dict[str, Any]:
    """Return the columns to change; what was not given is not among them."""
    given = {name: getattr(change, name) for name in change.model_fields_set}
    if "title" in given:
        given["title"] = change.title or NEW_TITLE
    if "parameters" in given:
        given["parameters"] = _kept(change.parameters or ChatParameters())
    if change.model is not None and not chat.has_own_key:
        resolve_model(front, change.model)
    elif "model" in given and chat.has_own_key:
        _check_own(front, chat, change.model)
    return given


def _check_own(front: Front, chat: ChatView, model: str | None) -> None:
    if model is None:
        raise InvalidRequest("this chat brought a provider key, which is good for models it names only", field="model")
    check_own_key(front, model, chat_model=chat.model)


def _kept(parameters: ChatParameters) -> dict[str, Any]:  # JSON
    return parameters.model_dump(mode="json", exclude_defaults=True)


def _request_text(wanted: ChatIn) -> str:
    """Return what two uses of an idempotency key must share; it holds the provider key, if one was given."""
    return f"{wanted.model_dump_json(exclude_defaults=True)}\0{_secret(wanted) or ''}"


def _secret(wanted: ChatIn) -> str | None:
    return None if wanted.provider_key is None else wanted.provider_key.get_secret_value()
