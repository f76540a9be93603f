"""Accepting a job: everything that can be refused is refused before anything is stored; the bell rings after commit."""

import hashlib
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, assert_never
from uuid import UUID

from api.auth import Caller
from api.front import Front
from api.services.images import image_of
from api.services.quotas import CLIENT_NAME, Payer
from api.services.vision import default_model, resolve_vision
from shared.database.submissions import Draft, Inserted, NewJob
from shared.domain.commands import (
    ChatInput,
    ImageInput,
    ImagePart,
    ImageSource,
    JobSpec,
    MediaTask,
    Message,
    Parameters,
    RemoteMedia,
    StoredImage,
    Submission,
    SubmitChat,
    SubmitImage,
    SubmitVideo,
    SubmitVision,
    TextPart,
    TurnTask,
    UploadTask,
    VideoInput,
    VisionInput,
    VisionTask,
)
from shared.domain.errors import InvalidRequest, NotFound
from shared.domain.ids import new_job_id
from shared.domain.jobs import DEFAULT_TIMEOUT, MAX_TIMEOUT, QUEUE_OF, Kind
from shared.domain.models import Makes
from shared.domain.remote import NOT_FETCHED
from shared.domain.tokens import IMAGE_TOKENS, MESSAGE_TOKENS, estimated_tokens
from shared.model_facts import could_make
from shared.ports.job_queue import Bell

NO_IMAGES: Final[frozenset[UUID]] = frozenset()
PROMPT_TOKENS: Final = 1000
"""What a photo's prompt and schema are taken for."""


@dataclass(frozen=True, kw_only=True)
class Client:
    """On whose behalf a caller asks; `limit_tokens` is what its quota begins with, None if it needs none.

    Raises:
        InvalidRequest: if the name cannot be one.
    """

    name: str
    limit_tokens: int | None = None

    def __post_init__(self) -> None:
        if not CLIENT_NAME.fullmatch(self.name):
            raise InvalidRequest("a client's name has 1 to 200 characters, and no controls", field="client")


async def submit(
    front: Front,
    caller: Caller,
    command: Submission,
    *,
    idempotency_key: str | None = None,
    known_images: frozenset[UUID] = NO_IMAGES,
) -> Inserted:
    """Accept a job; once this returns it is committed and will end.

    Raises:
        InvalidRequest: if the model, the deadline or an image cannot be had; `field` says which.
        IdempotencyKeyReused: if the key was used for another request.
        QuotaExceeded: if too many of the owner's jobs are waiting.
        Unavailable: if PostgreSQL is away.
    """
    new = await prepare(front, caller, command, idempotency_key=idempotency_key, known_images=known_images)
    return await accept(front, new)


async def prepare(
    front: Front,
    caller: Caller,
    command: Submission,
    *,
    idempotency_key: str | None = None,
    known_images: frozenset[UUID] = NO_IMAGES,
    client: Client | None = None,
) -> NewJob:
    """Return the job a command amounts to, checked; nothing is stored yet, and the job has its id.

    `known_images` are ids that need no check, because the caller has just looked them up; `client` is on whose behalf
    the caller asks. Raises as `submit`.
    """
    kind = Kind(command.kind)
    if command.model is None and isinstance(command, SubmitImage | SubmitVideo):
        raise InvalidRequest("name the model that is to make it: the server's default one talks", field="model")
    if isinstance(command, SubmitVision):
        model, task = await resolve_photo(front, caller, command.input, model=command.model)
    else:
        model, task = resolve_model(front, command.model), command.input
    deadline = _deadline(command, kind)
    _check_remote(front, command)
    await _check_images(front, caller, command, known_images)
    await _check_maker(front, command, model)
    spec = JobSpec(kind=kind, model=model, input=task, parameters=command.parameters)
    spec, draft = await metered(front, caller, spec, client=client, input_tokens=_input_tokens(spec))
    return NewJob(
        id=new_job_id(),
        owner_id=caller.owner_id,
        fair_key=caller.device.number if caller.device else -caller.owner_id,
        queue=QUEUE_OF[kind],
        kind=kind,
        model=model,
        deadline=deadline,
        payload=payload_of(spec),
        request_hash=_hash(command),
        waiting_cap=front.settings.limits.waiting_per_owner,
        on_disconnect=command.on_disconnect,
        labels=dict(command.labels) or None,
        idempotency_key=idempotency_key,
        rung=front.ringer.has_room(QUEUE_OF[kind]),
        image_id=_subject(command),
        client=client.name if client else None,
        key_id=caller.key_id,
        draft=draft,
    )


async def metered(
    front: Front, caller: Caller, spec: JobSpec, *, client: Client | None, input_tokens: int
) -> tuple[JobSpec, Draft | None]:
    """Return what to reserve for a job, and the job as it may run: its answer limited to what is reserved for it.

    Raises:
        TokensSpent: if a quota does not suffice.
    """
    return await metered_for(front, payer_of(caller, client), spec, input_tokens=input_tokens)


async def metered_for(
    front: Front, payer: Payer, spec: JobSpec, *, input_tokens: int | None = None
) -> tuple[JobSpec, Draft | None]:
    """Do so for a payer; without `input_tokens` they are estimated. Raises as `metered`."""
    parameters = spec.parameters
    sent = (_input_tokens(spec) if input_tokens is None else input_tokens) + _parameter_tokens(parameters)
    draft = await front.quotas.draft(payer, input_tokens=sent, max_output_tokens=parameters.max_output_tokens)
    if draft is None:
        return spec, None
    limited = parameters.model_copy(update={"max_output_tokens": draft.output_tokens})
    return spec.model_copy(update={"parameters": limited, "is_metered": True}), draft


def payer_of(caller: Caller, client: Client | None) -> Payer:
    """Return who pays for what a caller asks for."""
    return Payer(
        owner_id=caller.owner_id,
        key_id=caller.key_id,
        client=client.name if client else None,
        client_limit=client.limit_tokens if client else None,
    )


def payload_of(spec: JobSpec) -> bytes:
    """Return a job as its row carries it."""
    return spec.model_dump_json(exclude_defaults=True).encode()


async def accept(front: Front, new: NewJob, *, before_ring: Callable[[], Awaitable[object]] | None = None) -> Inserted:
    """Commit a prepared job, then ring; `before_ring` is waited for before any worker can hear of it. Raises as above.

    For callers who want to hear everything of the job: subscribe while it is being committed.
    """
    inserted = await front.submissions.insert(new)
    if before_ring is not None:
        await before_ring()
    if inserted.is_replay:
        return inserted
    if inserted.is_behind:
        return inserted  # rung when the earlier turn of its chat is over
    if new.rung:
        front.ringer.ring_now(Bell(new.id, new.queue))
    else:
        front.ringer.nudge(new.queue)
    return inserted


async def resolve_photo(
    front: Front, caller: Caller, asked: VisionInput, *, model: str | None
) -> tuple[str, VisionTask]:
    """Return who is asked about a photo, and what: as the request says, or the device, its profile, the server.

    Raises:
        InvalidRequest: if there is no model, profile or prompt as the request names; `field` says which.
        Conflict: if the device or its profile names what is not there (any more).
    """
    named = model or (caller.device.model if caller.device else None)
    chosen = resolve_model(front, named)
    task = await resolve_vision(front, caller, asked)
    return chosen if named else default_model(front, task), task


def resolve_model(front: Front, model: str | None) -> str:
    """Return `provider/model` to run: the server's default where the caller named none.

    Raises:
        InvalidRequest: if the provider is not configured.
    """
    settings = front.settings
    if model is None:
        return settings.default_model
    provider = model.partition("/")[0]
    if provider not in settings.configured_providers:
        names = ", ".join(settings.configured_providers)
        raise InvalidRequest(
            f"the provider {provider!r} is not configured on this server; configured: {names}", field="model"
        )
    return model


def _subject(command: Submission) -> UUID | None:
    """Return the stored photo that a job is about."""
    if isinstance(command, SubmitVision) and isinstance(command.input.image, StoredImage):
        return command.input.image.id
    return None


def _input_tokens(spec: JobSpec) -> int:
    """Return about what a job sends to its provider."""
    match spec.input:
        case ChatInput() as asked:
            return sum(message_tokens(message) for message in asked.messages)
        case ImageInput() | VideoInput() as asked:
            return MESSAGE_TOKENS + estimated_tokens(asked.prompt) + IMAGE_TOKENS * len(asked.images)
        case VisionTask() | UploadTask() | MediaTask() | TurnTask():
            return IMAGE_TOKENS + PROMPT_TOKENS
        case _:
            assert_never(spec.input)


def message_tokens(message: Message) -> int:
    """Return about what a message costs."""
    calls = sum(estimated_tokens(call.name + call.arguments) for call in message.tool_calls or ())
    if isinstance(message.content, str):
        return MESSAGE_TOKENS + calls + estimated_tokens(message.content)
    parts = (estimated_tokens(part.text) if isinstance(part, TextPart) else IMAGE_TOKENS for part in message.content)
    return MESSAGE_TOKENS + calls + sum(parts)


def _parameter_tokens(parameters: Parameters) -> int:
    """Return about what is sent beside the messages: the tools, and the schema of the answer."""
    return sum(estimated_tokens(json.dumps(one)) for one in (parameters.tools, parameters.response_format) if one)


def _hash(command: Submission) -> bytes:
    """Return what two uses of an idempotency key must share: the request as it was made, before any default."""
    return hashlib.sha256(command.model_dump_json(exclude_defaults=True).encode()).digest()


def _deadline(command: Submission, kind: Kind) -> datetime:
    now = datetime.now(UTC)
    if command.deadline is not None:
        if command.deadline <= now:
            raise InvalidRequest("the deadline has passed", field="deadline")
        if command.deadline > now + MAX_TIMEOUT:
            hours = MAX_TIMEOUT.total_seconds() / 3600
            raise InvalidRequest(f"the deadline is more than {hours:g} hours away", field="deadline")
        return command.deadline.astimezone(UTC)
    if command.timeout_s is not None:
        return now + timedelta(seconds=command.timeout_s)
    return now + DEFAULT_TIMEOUT[kind]


def _check_remote(front: Front, command: Submission) -> None:
    """Refuse what is elsewhere, where nothing is fetched: the job could only fail later."""
    if isinstance(command, SubmitChat) and not front.settings.fetch_remote_media:
        for place in command.input.remote():
            raise InvalidRequest(NOT_FETCHED, field=f"input.{place}")


async def _check_maker(front: Front, command: Submission, model: str) -> None:
    """Refuse to ask for pictures or films of a model that is known to make none."""
    match command:
        case SubmitImage() if not await _may_make(front, model, "images"):
            raise InvalidRequest(f"{model} makes no pictures: name a model that does", field="model")
        case SubmitVideo() if not await _may_make(front, model, "video"):
            raise InvalidRequest(f"{model} makes no films: name a model that does", field="model")
        case _:
            pass


async def _may_make(front: Front, model: str, wanted: Makes) -> bool:
    provider, _, name = model.partition("/")
    if could_make(provider, name, wanted):
        return True
    listed = (await front.models.glance())[provider].models
    return any(model in known.refs and wanted in (known.abilities.makes or ()) for known in listed)


async def _check_images(front: Front, caller: Caller, command: Submission, known: frozenset[UUID]) -> None:
    """Refuse images the owner does not have: a job that names them could only fail later."""
    seen = set(known)
    for field, image in _images(command):
        if not isinstance(image, StoredImage) or image.id in seen:
            continue
        try:
            await image_of(front, caller.owner_id, image.id)
        except NotFound as error:
            raise InvalidRequest("there is no image with this id", field=f"{field}.id") from error
        seen.add(image.id)


def _images(command: Submission) -> Iterator[tuple[str, ImageSource | RemoteMedia]]:
    match command:
        case SubmitVision():
            yield "input.image", command.input.image
        case SubmitImage() | SubmitVideo():
            for number, image in enumerate(command.input.images):
                yield f"input.images.{number}", image
        case SubmitChat():
            yield from _images_of(command.input)
        case _:
            assert_never(command)


def _images_of(asked: ChatInput) -> Iterator[tuple[str, ImageSource | RemoteMedia]]:
    for number, message in enumerate(asked.messages):
        if isinstance(message.content, str):
            continue
        for position, part in enumerate(message.content):
            if isinstance(part, ImagePart):
                yield f"input.messages.{number}.content.{position}.image", part.image
