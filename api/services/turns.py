"""A turn of a chat: what somebody says becomes messages and a job in one transaction; the job's answer a message."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, Literal, assert_never
from uuid import UUID

from api.auth import Caller
from api.front import Front
from api.services.chat_deletion import remove_from, stop_turns, turn_of
from api.services.chats import ChatView
from api.services.own_keys import check_own_key
from api.services.quotas import Payer
from api.services.submit import Client, metered, payer_of, payload_of, resolve_model
from shared.database.statements import chats as statements
from shared.database.statements.chats import size_of
from shared.database.submissions import NewJob, NewMessage, NewTurn
from shared.domain.commands import MAX_TEXT_CHARS, JobSpec, Parameters, TurnTask
from shared.domain.errors import ChatBusy, Conflict, InvalidRequest, PayloadTooLarge
from shared.domain.ids import OwnerId, new_job_id
from shared.domain.jobs import DEFAULT_TIMEOUT, QUEUE_OF, Kind, OnDisconnect
from shared.domain.tokens import ASCII_CHARS_PER_TOKEN, IMAGE_TOKENS, MESSAGE_TOKENS, estimated_tokens

MAX_TITLE_FROM_TEXT: Final = 50
NO_PARAMETERS: Final = Parameters()


class IfBusy(StrEnum):
    """What becomes of a turn whose chat has one that is not over."""

    ENQUEUE = "enqueue"
    REJECT = "reject"
    INTERRUPT = "interrupt"


@dataclass(frozen=True, kw_only=True)
class Said:
    """One message of a turn; `media` are references as `shared.domain.chats` describes them, checked by the caller."""

    content: str
    role: Literal["user", "system"] = "user"
    media: tuple[dict[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class TurnRequest:
    """What is asked for. `model` is `provider/model`; without one, the chat's, or the server's default.

    `parameters` are taken over the chat's own; `old_turn` asks for another answer to what was said in that turn.
    `client` is on whose behalf the caller asks.
    """

    said: Sequence[Said] = ()
    model: str | None = None
    parameters: Parameters = NO_PARAMETERS
    system_prompt: str | None = None
    if_busy: IfBusy = IfBusy.ENQUEUE
    on_disconnect: OnDisconnect = OnDisconnect.CONTINUE
    timeout: timedelta = DEFAULT_TIMEOUT[Kind.CHAT]
    idempotency_key: str | None = None
    old_turn: int | None = None
    client: Client | None = None


async def prepare_turn(front: Front, caller: Caller, chat: ChatView, request: TurnRequest) -> NewJob:
    """Return the job of a turn, to be accepted as any other (`accept`, `accept_and_read`); nothing is stored yet.

    With `interrupt`, the turns that are not over were stopped when this returns; unless this is the repetition of a
    request that was accepted before.

    Raises:
        InvalidRequest: if a text holds NUL, or the model cannot be had; `field` says which.
        PayloadTooLarge: if a text is too long.
        TokensSpent: if a quota does not suffice.
        Conflict: if a turn that is to be interrupted does not stop in time.
    """
    new = await _prepared(front, caller, chat, request, request)
    if request.if_busy is IfBusy.INTERRUPT and not await _is_repetition(front, caller, request):
        await stop_turns(front, caller.owner_id, chat.id)
    return new


async def prepare_regeneration(
    front: Front, caller: Caller, chat: ChatView, message_id: int, request: TurnRequest
) -> NewJob:
    """Remove the answer that a message is, or was given, and all after it; return the job of another one.

    What can be refused is refused before anything is removed, and a repetition of a request that was accepted before
    removes nothing.

    Raises:
        NotFound: if there is no such message in the chat.
        ChatBusy: if the chat is and the request is for an idle one only.
        Conflict: if nothing was asked there; and as `prepare_turn`.
    """
    told = (message_id, request)
    if await _is_repetition(front, caller, request):
        return await _prepared(front, caller, chat, request, told)
    turn = await turn_of(front, caller.owner_id, chat.id, message_id)
    (question,) = await front.queries.rows(statements.last_question(caller.owner_id, chat.id, turn))
    if question.id is None:
        raise Conflict("There is nothing left that could be answered again.")
    new = await _prepared(front, caller, chat, replace(request, said=(), old_turn=turn), told)
    await _make_way(front, caller.owner_id, chat.id, request.if_busy)
    await remove_from(front, caller.owner_id, chat.id, (turn, question.id + 1))
    return new


def over(defaults: dict[str, object], parameters: Parameters) -> Parameters:
    """Return parameters with a chat's own where they say nothing."""
    return Parameters.model_validate({**defaults, **parameters.model_dump(exclude_defaults=True)})


def title_from(text: str) -> str:
    """Return a chat's title made of what was said first."""
    line = " ".join(text.split())
    return line[:MAX_TITLE_FROM_TEXT] or "New chat"


async def _prepared(front: Front, caller: Caller, chat: ChatView, request: TurnRequest, told: object) -> NewJob:
    """Return the job; `told` is what two uses of an idempotency key must have in common."""
    for number, said in enumerate(request.said):
        _check(said, number)
    task = TurnTask(
        history_tokens=front.settings.limits.history_tokens,
        system_prompt=request.system_prompt if request.system_prompt is not None else chat.system_prompt,
        has_own_key=chat.has_own_key,
    )
    spec = JobSpec(
        kind=Kind.CHAT,
        model=_model(front, chat, request),
        input=task,
        parameters=over(chat.parameters, request.parameters),
    )
    input_tokens = _said_tokens(chat, request) + await _earlier_tokens(front, chat, payer_of(caller, request.client))
    spec, draft = await metered(front, caller, spec, client=request.client, input_tokens=input_tokens)
    return NewJob(
        id=new_job_id(),
        owner_id=caller.owner_id,
        fair_key=-caller.owner_id,
        queue=QUEUE_OF[Kind.CHAT],
        kind=Kind.CHAT,
        model=spec.model,
        deadline=datetime.now(UTC) + request.timeout,
        payload=payload_of(spec),
        request_hash=_hash(chat, told),
        waiting_cap=front.settings.limits.waiting_per_owner,
        on_disconnect=request.on_disconnect,
        idempotency_key=request.idempotency_key,
        rung=front.ringer.has_room(QUEUE_OF[Kind.CHAT]),
        client=request.client.name if request.client else None,
        key_id=caller.key_id,
        turn=_turn(chat, request, spec),
        draft=draft,
    )


async def _is_repetition(front: Front, caller: Caller, request: TurnRequest) -> bool:
    """Whether a job was accepted for this idempotency key: what is done beside accepting it was done then."""
    key = request.idempotency_key
    return key is not None and bool(await front.queries.rows(statements.job_with_key(caller.owner_id, key)))


async def _make_way(front: Front, owner_id: OwnerId, chat_id: UUID, if_busy: IfBusy) -> None:
    match if_busy:
        case IfBusy.INTERRUPT:
            await stop_turns(front, owner_id, chat_id)
        case IfBusy.REJECT:
            if await front.queries.rows(statements.active_jobs_of(owner_id, chat_id).limit(1)):
                raise ChatBusy("an answer is being written in this chat", retry_after_s=1.0)
        case IfBusy.ENQUEUE:
            pass
        case _:
            assert_never(if_busy)


def _model(front: Front, chat: ChatView, request: TurnRequest) -> str:
    model = request.model or chat.model
    if not chat.has_own_key:
        return resolve_model(front, model)
    model = model or front.settings.default_model
    check_own_key(front, model, chat_model=chat.model)
    return model


def _turn(chat: ChatView, request: TurnRequest, spec: JobSpec) -> NewTurn:
    return NewTurn(
        chat_id=chat.id,
        messages=tuple(
            NewMessage(
                role=said.role,
                content=said.content,
                media=list(said.media),
                provider=spec.provider_name,
                model=spec.model_name,
            )
            for said in request.said
        ),
        old=request.old_turn,
        only_if_idle=request.if_busy is IfBusy.REJECT,
    )


def _check(said: Said, number: int) -> None:
    field = f"messages.{number}.content"
    if "\0" in said.content:
        raise InvalidRequest("holds the character NUL, which no text has", field=field)
    if len(said.content) > MAX_TEXT_CHARS:
        raise PayloadTooLarge(f"at most {MAX_TEXT_CHARS} characters are taken", field=field)


def _said_tokens(chat: ChatView, request: TurnRequest) -> int:
    """Return about what the turn itself sends."""
    said = sum(MESSAGE_TOKENS + estimated_tokens(one.content) + IMAGE_TOKENS * len(one.media) for one in request.said)
    return said + estimated_tokens(request.system_prompt or chat.system_prompt or "")


async def _earlier_tokens(front: Front, chat: ChatView, payer: Payer) -> int:
    """Return at most what goes along of what was said before; exact enough for quotas, and only asked for them."""
    if not chat.messages or not await front.quotas.may_apply(payer):
        return 0
    budget = front.settings.limits.history_tokens
    ((messages, shown, chars, wide_chars, is_under_way),) = await front.queries.rows(size_of(chat.owner_id, chat.id))
    if is_under_way:
        return budget  # nobody knows how long the answers will be that go along then
    words = -(-(chars + 3 * wide_chars) // ASCII_CHARS_PER_TOKEN)
    return min(budget, words + messages * (MESSAGE_TOKENS + 1) + shown * IMAGE_TOKENS)


def _hash(chat: ChatView, told: object) -> bytes:
    return hashlib.sha256(repr({chat.id: told}).encode()).digest()
