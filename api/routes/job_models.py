"""The shapes of jobs in answers, for readers of the documentation; a test holds what we send against them."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from shared.domain.events import StopsBilling
from shared.domain.jobs import Kind, OnDisconnect, Queue, State


def _links(kind: str) -> dict[str, str]:
    path = f"/v2/{kind}/0198f3b0-0000-7000-8000-000000000000"
    return {"self": path, "content": f"{path}/content"}


class Model(BaseModel):
    """Base of the shapes here."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ProblemModel(BaseModel):
    """What went wrong with a request (RFC 9457). `field` names what to change, `code` never changes its meaning."""

    type: Annotated[str, Field(examples=["urn:smartsip:error:invalid_request"])]
    title: str
    status: int
    detail: str | None = None
    code: Annotated[str, Field(examples=["invalid_request"])]
    field: Annotated[str | None, Field(examples=["input.messages"])] = None
    retryable: bool = False
    retry_after: Annotated[int | None, Field(description="Seconds; also in the header Retry-After.")] = None
    errors: list[dict[str, str]] | None = None
    request_id: str | None = None


class ErrorModel(Model):
    """Why a job or an attempt failed."""

    code: Annotated[str, Field(examples=["provider_timeout"])]
    title: str
    status: int
    retryable: bool
    detail: str | None
    field: str | None
    retry_after_s: float | None


class UsageModel(Model):
    """Tokens; `output_tokens` includes `reasoning_tokens`."""

    input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cached_tokens: int
    is_estimated: bool


class ReceiptModel(Model):
    """What a cancelled job was doing, and whether this provider stops charging when its socket is closed."""

    phase: Literal["queued", "before_first_delta", "streaming"]
    provider_stops_billing: StopsBilling | None
    usage: UsageModel | None


class MadeImageModel(Model):
    """An image of the answer, in the library like an upload; `links.content` is the picture."""

    image_id: UUID
    media_type: Annotated[str, Field(examples=["image/png"])]
    size_bytes: int
    links: Annotated[dict[str, str], Field(examples=[_links("images")])]


class MadeVideoModel(Model):
    """A video of the answer, in the library like an upload; `links.content` is the film."""

    video_id: UUID
    media_type: Annotated[str, Field(examples=["video/mp4"])]
    size_bytes: int
    links: Annotated[dict[str, str], Field(examples=[_links("media")])]


class NoteModel(Model):
    """Something that was done otherwise than asked, as a parameter left out or a picture that was not made."""

    code: Annotated[str, Field(examples=["parameter_dropped"])]
    text: str


class ReplyModel(Model):
    """The answer: what the job's events amount to."""

    text: str
    reasoning: str
    tool_calls: list[dict[str, Any]]
    search_results: list[dict[str, Any]]
    signatures: list[str]
    images: list[MadeImageModel]
    videos: list[MadeVideoModel]
    notes: list[NoteModel]
    usage: UsageModel | None
    provider: str | None
    model: str | None
    finish_reason: str | None


class AcceptedModel(Model):
    """A job that was accepted this moment."""

    id: UUID
    kind: Kind
    state: Literal[State.QUEUED]
    queue: Queue
    model: str
    labels: dict[str, str]
    on_disconnect: OnDisconnect
    deadline: datetime
    links: dict[str, str]


class JobModel(Model):
    """A job. `reply`, `result`, `error` and `cancelled` (the receipt) are there once it has ended, not in lists."""

    id: UUID
    kind: Kind
    state: State
    queue: Queue
    model: Annotated[str, Field(examples=["openai/gpt-4o"])]
    labels: dict[str, str]
    on_disconnect: OnDisconnect
    created_at: datetime
    deadline: datetime
    run_after: Annotated[
        datetime | None,
        Field(
            description="It pauses until then; a chat's turn until the one before it is over, and this is its deadline."
        ),
    ]
    started_at: Annotated[datetime | None, Field(description="When its last attempt began.")]
    ended_at: datetime | None
    cancel_requested_at: datetime | None
    position: Annotated[int | None, Field(description="Jobs that will be taken before it, as things stand.")]
    attempt: Annotated[int, Field(description="The number before the dot of the last events' ids.")]
    attempts: Annotated[int, Field(description="Failures of its own; at three it is a dead letter.")]
    losses: Annotated[int, Field(description="Deaths of the process under it.")]
    reply: ReplyModel | None
    result: Annotated[
        dict[str, Any] | None, Field(description="The structured result; for `vision`, the safe command.")
    ]
    error: ErrorModel | None
    cancelled: ReceiptModel | None
    links: dict[str, str]


class CancellingModel(Model):
    """A job that was told to stop, and whose worker has not confirmed it yet."""

    id: UUID
    state: Literal["cancelling"]
    links: dict[str, str]


class JobsModel(Model):
    """A page of jobs, newest first; `next` is the cursor of the next page, or null."""

    jobs: list[JobModel]
    next: str | None


class SetbackModel(Model):
    """An attempt that did not end the job."""

    attempt: int
    what: Annotated[str, Field(examples=["worker_lost"])]
    at: datetime
    error: ErrorModel | None


class SetbacksModel(Model):
    """A job's history of attempts that did not end it, oldest first."""

    job_id: UUID
    setbacks: list[SetbackModel]
