"""What the routes of a chat's messages take and give."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from api.routes.chat_models import Body, ChatParameters, Model, Text
from api.routes.job_models import JobModel, UsageModel
from api.services.chats import MessageView
from api.services.turns import IfBusy, TurnRequest
from shared.domain.chats import MAX_MEDIA
from shared.domain.commands import ModelRef
from shared.domain.errors import InvalidRequest
from shared.domain.events import SearchResult, ToolCall, Usage
from shared.domain.jobs import DEFAULT_TIMEOUT, MAX_TIMEOUT, Kind, OnDisconnect
from shared.domain.remote import RemoteUrl

MAX_ID: Final = 2**63 - 1

StoredId = Annotated[UUID, Field(strict=False)]
ShownIn = Annotated[tuple[StoredId | RemoteUrl, ...], Field(strict=False, max_length=MAX_MEDIA)]


class AnswerIn(Body):
    """How something is to be answered. What is left out, the chat says; `parameters` are taken over the chat's own."""

    model: Annotated[ModelRef | None, Field(examples=["openai/gpt-4o"])] = None
    parameters: ChatParameters = ChatParameters()
    system_prompt: Text | None = None
    if_busy: Annotated[
        IfBusy, Field(strict=False, description="What to do while the chat writes an earlier answer.")
    ] = IfBusy.ENQUEUE
    on_disconnect: Annotated[OnDisconnect, Field(strict=False)] = OnDisconnect.CONTINUE
    timeout_s: Annotated[
        float | None, Field(gt=0, le=MAX_TIMEOUT.total_seconds(), description="Seconds, waiting included.")
    ] = None

    def turn(self, idempotency_key: str | None) -> TurnRequest:
        """Return what is asked for, without what is said."""
        timeout = DEFAULT_TIMEOUT[Kind.CHAT] if self.timeout_s is None else timedelta(seconds=self.timeout_s)
        return TurnRequest(
            model=self.model,
            parameters=self.parameters,
            system_prompt=self.system_prompt,
            if_busy=self.if_busy,
            on_disconnect=self.on_disconnect,
            timeout=timeout,
            idempotency_key=idempotency_key,
        )


class MessageIn(AnswerIn):
    """Something to say. Images are ids of `/v2/images`, videos and audios of `/v2/media`, or URLs to fetch."""

    text: Annotated[Text, Field(examples=["Why is the sky blue?"])] = ""
    images: ShownIn = ()
    videos: ShownIn = ()
    audios: ShownIn = ()


class MessagesQuery(BaseModel):
    """Which messages to list."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: Annotated[str | None, Field(description="`next` of the page before", examples=["12.34"])] = None

    def after(self) -> tuple[int, int] | None:
        """Return the place of the last message of the page before: its turn and id.

        Raises:
            InvalidRequest: if the cursor is none.
        """
        if self.cursor is None:
            return None
        turn, _, message_id = self.cursor.partition(".")
        for number in (turn, message_id):
            if not (number.isascii() and number.isdigit() and len(number) < len(str(MAX_ID))):
                raise InvalidRequest("the cursor is not one that a page's `next` gave", field="cursor")
        return int(turn), int(message_id)


class ShownOut(Model):
    """An image, video or recording; `id` is absent for what was not fetched yet, or an older system only linked to."""

    id: UUID | None
    url: str | None


class SourceOut(Model):
    """Something the model read."""

    url: str
    title: str | None
    content: str | None


class MessageOut(Model):
    """Something that was said. What follows the media is an answer's; `job_id` is the job that brought it."""

    id: int
    turn: Annotated[int, Field(description="What was said together, and the answer to it, have one number.")]
    role: Annotated[str, Field(examples=["user", "assistant"])]
    text: str
    images: list[ShownOut]
    videos: list[ShownOut]
    audios: list[ShownOut]
    reasoning: str | None
    search_results: list[SourceOut]
    signatures: list[str]
    tool_calls: list[dict[str, Any]]
    provider: str | None
    model: str | None
    usage: UsageModel | None
    finish_reason: Annotated[str | None, Field(description="`cancelled` if it was stopped half-way.")]
    job_id: UUID | None
    created_at: datetime


class MessagesOut(Model):
    """A page of messages, oldest first; `next` is the cursor of the next page, if there is one."""

    messages: list[MessageOut]
    next: str | None


class TurnModel(JobModel):
    """The job of a turn, and its answer as the chat keeps it."""

    message: MessageOut | None


def shown_message(message: MessageView) -> MessageOut:
    """Return a message as it is shown."""
    return MessageOut(
        id=message.id,
        turn=message.turn,
        role=message.role,
        text=message.content,
        images=_shown(message, "image", "/v2/images"),
        videos=_shown(message, "video", "/v2/media"),
        audios=_shown(message, "audio", "/v2/media"),
        reasoning=message.reasoning,
        search_results=[_source(result) for result in message.search_results or ()],
        signatures=message.signatures or [],
        tool_calls=[msgspec.structs.asdict(msgspec.convert(call, ToolCall)) for call in message.tool_calls or ()],
        provider=message.provider,
        model=message.model,
        usage=_usage(message.usage),
        finish_reason=message.finish_reason,
        job_id=message.job_id,
        created_at=message.created_at,
    )


def cursor_of(message: MessageOut) -> str:
    """Return the cursor of what comes after a message."""
    return f"{message.turn}.{message.id}"


def _shown(message: MessageView, kind: str, path: str) -> list[ShownOut]:
    return [_link(reference, path) for reference in message.media if reference.get("type") == kind]


def _link(reference: dict[str, str], path: str) -> ShownOut:
    if "id" not in reference:
        return ShownOut(id=None, url=reference.get("url"))
    return ShownOut(id=UUID(reference["id"]), url=f"{path}/{reference['id']}/content")


def _source(result: dict[str, Any]) -> SourceOut:  # events.SearchResult as JSON, without its empty members
    return SourceOut(**msgspec.structs.asdict(msgspec.convert(result, SearchResult)))


def _usage(usage: dict[str, Any] | None) -> UsageModel | None:  # events.Usage as JSON, without its empty members
    if usage is None:
        return None
    return UsageModel(**msgspec.structs.asdict(msgspec.convert(usage, Usage, strict=False)))
