"""What is said in chats: list, say, answer anew, remove."""

from dataclasses import replace
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from api.auth import Caller, require
from api.dependencies import FrontDep
from api.front import Front
from api.preferences import idempotency_key, preferred_wait_s
from api.routes.accepting import accept_and_answer
from api.routes.answers import PROBLEM, REFUSED, Documented, whole_job
from api.routes.chat_models import PATH
from api.routes.job_models import AcceptedModel
from api.routes.jobs import NoParameters
from api.routes.message_models import (
    MAX_ID,
    AnswerIn,
    MessageIn,
    MessagesOut,
    MessagesQuery,
    TurnModel,
    cursor_of,
    shown_message,
)
from api.scopes import Scope
from api.services.chat_deletion import truncate_at
from api.services.turn_media import media_references
from api.services.turns import Said, prepare_regeneration, prepare_turn
from shared.domain.errors import InvalidRequest
from shared.domain.ids import JobId, OwnerId

router = APIRouter(prefix=f"{PATH}/{{chat_id}}/messages", tags=["chats"])
ChatCaller = Annotated[Caller, Depends(require(Scope.JOBS))]
MessageId = Annotated[int, Path(ge=1, le=MAX_ID)]
AS_ALWAYS: Final = AnswerIn()
_ABSENT: Final[Documented] = {404: PROBLEM | {"description": "No such chat or message, or another owner's"}}
_BUSY: Final[Documented] = {409: PROBLEM | {"description": "An answer has not stopped yet: ask again"}}
_ANSWERS: Final[Documented] = REFUSED | {
    200: {"model": TurnModel, "description": "The job, ended within `Prefer: wait`; or its events, if asked for"},
    202: {"model": AcceptedModel, "description": "Accepted: it will end"},
    402: PROBLEM | {"description": "The quota is used up"},
    404: PROBLEM | {"description": "No such chat or message, or another owner's"},
    409: PROBLEM | {"description": "The chat is busy (`chat_busy`), or an answer has not stopped yet"},
    429: PROBLEM | {"description": "Too much is waiting"},
}
_TAKES: Final[dict[str, Any]] = {  # an OpenAPI fragment
    "parameters": [
        {"name": "Prefer", "in": "header", "schema": {"type": "string"}, "example": "wait=20"},
        {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "maxLength": 255}},
    ]
}


@router.get("", responses=_ABSENT | REFUSED, summary="List a chat's messages")
async def list_messages(
    chat_id: UUID, query: Annotated[MessagesQuery, Query()], front: FrontDep, caller: ChatCaller
) -> MessagesOut:
    """Return what was said, oldest first. What nobody could answer stays here, and is not shown to the model again."""
    await front.chats.find(caller.owner_id, chat_id=chat_id)
    page = await front.chats.messages(caller.owner_id, chat_id, after=query.after(), limit=query.limit + 1)
    listed = [shown_message(message) for message in page[: query.limit]]
    return MessagesOut(messages=listed, next=cursor_of(listed[-1]) if len(page) > len(listed) else None)


@router.post(
    "", status_code=202, response_model=AcceptedModel, responses=_ANSWERS, openapi_extra=_TAKES, summary="Say something"
)
async def say(
    chat_id: UUID, said: MessageIn, query: NoParameters, request: Request, front: FrontDep, caller: ChatCaller
) -> Response:
    """Say something, and have it answered by a job. A 2xx means: both are stored, and the job will end.

    A chat writes one answer at a time: what is said meanwhile waits (`enqueue`), is refused (`reject`), or stops what
    is being written (`interrupt`). Otherwise as `POST /v2/jobs`: `Prefer: wait=20` answers 200 with the job and the
    answer as the chat keeps it, `Accept: text/event-stream` with the events, and with an `Idempotency-Key` repeating is
    harmless.
    """
    wait_s = preferred_wait_s(request.headers, longest_s=front.settings.limits.wait_s)
    turn = said.turn(idempotency_key(request.headers))
    chat = await front.chats.find(caller.owner_id, chat_id=chat_id)
    media = await media_references(front, caller.owner_id, images=said.images, videos=said.videos, audios=said.audios)
    if not (said.text.strip() or media):
        raise InvalidRequest("say something, or show something", field="text")
    words = Said(content=said.text, media=media)
    new = await prepare_turn(front, caller, chat, replace(turn, said=(words,)))
    return await accept_and_answer(request, front, new, wait_s=wait_s, show=_whole_turn)


@router.post(
    "/{message_id}/regenerate",
    status_code=202,
    response_model=AcceptedModel,
    responses=_ANSWERS,
    openapi_extra=_TAKES,
    summary="Answer anew",
)
async def regenerate(
    chat_id: UUID,
    message_id: MessageId,
    query: NoParameters,
    request: Request,
    front: FrontDep,
    caller: ChatCaller,
    wanted: AnswerIn = AS_ALWAYS,
) -> Response:
    """Remove the answer that a message is, or was given, with everything after it, and have it answered anew.

    What the user said stays. The answer is given as to a new message.
    """
    wait_s = preferred_wait_s(request.headers, longest_s=front.settings.limits.wait_s)
    turn = wanted.turn(idempotency_key(request.headers))
    chat = await front.chats.find(caller.owner_id, chat_id=chat_id)
    new = await prepare_regeneration(front, caller, chat, message_id, turn)
    return await accept_and_answer(request, front, new, wait_s=wait_s, show=_whole_turn)


@router.delete("/{message_id}", status_code=204, responses=_ABSENT | _BUSY, summary="Remove a message and all after it")
async def truncate(
    chat_id: UUID, message_id: MessageId, query: NoParameters, front: FrontDep, caller: ChatCaller
) -> None:
    """Remove a message and everything that was said after it; answers that are being written there are stopped."""
    await front.chats.find(caller.owner_id, chat_id=chat_id)
    await truncate_at(front, caller.owner_id, chat_id, message_id)


async def _whole_turn(front: Front, owner_id: OwnerId, job_id: JobId) -> tuple[dict[str, Any], bool]:
    """Return a job's document (JSON) with what it said in its chat, and whether it has ended."""
    document, has_ended = await whole_job(front, owner_id, job_id)
    said = await front.chats.answer_of(owner_id, job_id) if has_ended else None
    return document | {"message": said and shown_message(said).model_dump()}, has_ended
