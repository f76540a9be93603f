"""What can be asked of images: the queries, and the change of one."""

import math
import re
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from api.services.image_library import MAX_LABELS, MAX_TAGS
from shared.database.statements.image_library import FindingFilter, LabelValue, PhotoFilter
from shared.domain.commands import LabelName
from shared.domain.errors import InvalidRequest

MAX_VOLUME_ML: Final = 1_000_000
MAX_NUMBER: Final = 2**53
"""Beyond it, a number is not the same for every reader of JSON."""
_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d")
_NUMBER: Final = re.compile(r"-?(0|[1-9]\d{0,15})(\.\d{1,15})?([eE][+-]?\d{1,2})?")

Tag = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$"),
]
LabelText = Annotated[StrictStr, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
LabelNumber = Annotated[StrictFloat, Field(ge=-MAX_NUMBER, le=MAX_NUMBER, allow_inf_nan=False)]
LabelWhole = Annotated[StrictInt, Field(ge=-MAX_NUMBER, le=MAX_NUMBER)]
Words = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]

_label_name: TypeAdapter[str] = TypeAdapter(LabelName)
_label_text: TypeAdapter[str] = TypeAdapter(LabelText)


def _is_an_instant(text: object) -> object:
    """Refuse what pydantic would take for seconds since 1970, such as a year."""
    if isinstance(text, str) and not _INSTANT.match(text):
        raise ValueError("must be a time with its zone, as in 2026-01-31T12:00:00Z")
    return text


def _is_a_device(text: str) -> str:
    if text != "none":
        try:
            UUID(text)
        except ValueError:
            raise ValueError("must be a device's id, or none") from None
    return text


Instant = Annotated[AwareDatetime, BeforeValidator(_is_an_instant)]


class Model(BaseModel):
    """Base of the shapes here."""

    model_config = ConfigDict(extra="forbid")


class NoQuery(Model):
    """No parameters are taken."""


class UploadQuery(Model):
    """What may be said of an image while it is uploaded."""

    tag: Annotated[list[Tag], Field(max_length=MAX_TAGS)] = []
    label: Annotated[list[str], Field(max_length=MAX_LABELS, description="`name:value`", examples=[["lab:7"]])] = []

    def labels(self) -> dict[str, LabelValue | None]:
        """Return the labels.

        Raises:
            InvalidRequest: if one is not as it must be, or has a name twice.
        """
        labels = dict(_label(text) for text in self.label)
        if len(labels) < len(self.label):
            raise InvalidRequest("a label's name is given more than once", field="label")
        if None in labels.values():
            raise InvalidRequest("a label is given as name:value", field="label")
        return dict(labels)


class LinkQuery(Model):
    """How long a link is to be good."""

    expires_s: Annotated[int, Field(ge=60, le=7 * 24 * 3600, description="Seconds")] = 3600


class PhotoQuery(Model):
    """Which images are meant. What is said about findings must all be true of one finding."""

    device: Annotated[
        Annotated[str, AfterValidator(_is_a_device)] | None, Field(description="A device's id, or `none`.")
    ] = None
    since: Annotated[Instant | None, Field(description="Stored at this time or later.")] = None
    until: Annotated[Instant | None, Field(description="Stored at this time or earlier.")] = None
    label: Annotated[
        list[str], Field(max_length=MAX_LABELS, description="`name:value`, or `name`; all must be there.")
    ] = []
    tag: Annotated[list[Tag], Field(max_length=MAX_TAGS, description="All must be there.")] = []
    state: Annotated[Literal["pending", "ready"] | None, Field(description="Whether it was opened.")] = None
    analysed: Annotated[bool | None, Field(description="Whether a model's answer about it is known.")] = None
    said: Annotated[Words | None, Field(description="Part of what the model saw: container or contents.")] = None
    receivable: bool | None = None
    child_present: bool | None = None
    intervened: Annotated[bool | None, Field(description="Whether the envelope changed the answer.")] = None
    unusable: Annotated[bool | None, Field(description="Whether the answer was replaced by the safe one.")] = None
    model: Annotated[Words | None, Field(examples=["openai/gpt-4o"])] = None
    prompt: Annotated[Words | None, Field(description="A name, of any version, or `name@version`.")] = None
    min_volume: Annotated[int | None, Field(ge=0, le=MAX_VOLUME_ML, description="Millilitres")] = None
    max_volume: Annotated[int | None, Field(ge=0, le=MAX_VOLUME_ML, description="Millilitres")] = None

    def wanted(self) -> PhotoFilter:
        """Return the filter.

        Raises:
            InvalidRequest: if a label is none, or two parameters contradict each other.
        """
        if self.since is not None and self.until is not None and self.since > self.until:
            raise InvalidRequest("since is later than until", field="since")
        if self.min_volume is not None and self.max_volume is not None and self.min_volume > self.max_volume:
            raise InvalidRequest("min_volume is more than max_volume", field="min_volume")
        named = self.device not in (None, "none")
        return PhotoFilter(
            device_id=UUID(self.device) if self.device and named else None,
            has_device=False if self.device == "none" else None,
            since=self.since,
            until=self.until,
            is_ready=None if self.state is None else self.state == "ready",
            is_analysed=self.analysed,
            tags=self.tag,
            labels=[(name, _readings(value)) for name, value in map(_label, self.label)],
            finding=FindingFilter(
                said=self.said,
                receivable=self.receivable,
                child_present=self.child_present,
                is_changed=self.intervened,
                is_safe_default=self.unusable,
                model=self.model,
                prompt=self.prompt,
                min_volume=self.min_volume,
                max_volume=self.max_volume,
            ),
        )


class ImagesQuery(PhotoQuery):
    """Which images to list. What is said about findings must all be true of one finding."""

    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: Annotated[UUID | None, Field(description="`next` of the page before")] = None


class ImageChange(Model):
    """What people say of an image: `tags` replace those of before; `labels` are merged, where null removes one."""

    tags: Annotated[list[Tag], Field(max_length=MAX_TAGS, examples=[["kitchen", "reviewed"]])] = []
    labels: Annotated[
        dict[LabelName, LabelText | StrictBool | LabelWhole | LabelNumber | None],
        Field(max_length=64, examples=[{"container": "cup", "volume": 200, "child": False, "old": None}]),
    ] = {}


def _label(text: str) -> tuple[str, str | None]:
    """Return name and value of a label in a query; the value is None if only the name was given."""
    name, colon, value = text.partition(":")
    try:
        return _label_name.validate_python(name), _label_text.validate_python(value) if colon else None
    except ValidationError as error:
        raise InvalidRequest(
            "must be name:value or name; a name has letters, digits, dots and dashes, a value 1 to 200 characters",
            field="label",
        ) from error


def _readings(value: str | None) -> list[LabelValue]:
    """Return what a value in a query may mean: the text, and the number or truth it spells."""
    if value is None:
        return []
    if value in ("true", "false"):
        return [value, value == "true"]
    if _NUMBER.fullmatch(value) and math.isfinite(float(value)):
        return [value, float(value)]
    return [value]
