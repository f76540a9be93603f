"""What a device reads of its jobs, for the documentation; `api.device_document` makes it."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from api.routes.job_models import Model


class CommandModel(Model):
    """What to pour: nothing, unless `state` is `succeeded`. `id` is the command's and the job's: pour it once.

    `frames` is what the fielded firmware would send to its boards for it.
    """

    id: UUID
    state: Literal["succeeded", "lapsed", "failed", "cancelled", "expired"]
    volume: Annotated[int, Field(description="Millilitres", examples=[200])]
    degree: Annotated[int, Field(description="Degrees Celsius", examples=[80])]
    type: Annotated[str, Field(description="The container; shortened if need be", examples=["cup"])]
    expires_at: Annotated[datetime | None, Field(description="Not to be poured from then on.")] = None
    frames: list[str] | None = None
    changed: Annotated[list[str] | None, Field(description="What the envelope changed.", examples=[["degree"]])] = None
    error: Annotated[str | None, Field(description="Why there is no command.", examples=["provider_timeout"])] = None


class UnfinishedModel(Model):
    """A job that has not ended."""

    id: UUID
    state: Literal["queued", "running", "waiting", "cancelling"]
    position: Annotated[int | None, Field(description="Jobs that will be taken before it, as things stand.")]
    deadline: datetime


class DeviceProblemModel(Model):
    """What went wrong with a request (RFC 9457), in at most 512 bytes and without a number to pour."""

    type: Annotated[str, Field(examples=["urn:smartsip:error:image_refused"])]
    title: str
    status: int
    code: Annotated[str, Field(examples=["image_refused"])]
    field: str | None = None
    detail: str | None = None
