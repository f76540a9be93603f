"""A bare photo's parameters: the query of `POST /v2/jobs?kind=vision&…`, as a command without its image."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError
from starlette.datastructures import QueryParams

from api.errors import RefusedFields, refused
from api.invalid_fields import InvalidField
from shared.domain.commands import SubmitVision
from shared.domain.errors import InvalidRequest

LabelText = Annotated[str, StringConstraints(pattern=r"^[^:]+:.+$")]


class PhotoQuery(BaseModel):
    """What may be said of a photo in the query; how each must look is `SubmitVision`'s to say."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["vision"]
    model: str | None = None
    timeout_s: float | None = None
    profile: str | None = None
    prompt: str | None = None
    prompt_text: str | None = None
    on_disconnect: str | None = None
    label: list[LabelText] = []

    @classmethod
    def read(cls, query: QueryParams) -> "PhotoQuery":
        """Read a query.

        Raises:
            InvalidRequest: if a parameter is unknown, wrong, or given twice where once is meant.
        """
        given: dict[str, str | list[str]] = {}
        for name in query:
            values = query.getlist(name)
            if name != "label" and len(values) > 1:
                raise InvalidRequest("is given more than once", field=name)
            given[name] = values if name == "label" else values[0]
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise refused(error, given) from error

    def command(self, image_id: UUID) -> SubmitVision:
        """Return the command for a photo that was stored.

        Raises:
            InvalidRequest: if a parameter is not as it must be.
        """
        given = self.model_dump(exclude_none=True, exclude={"label"})
        source = {"image": {"id": image_id}} | {
            name: given.pop(name) for name in ("profile", "prompt", "prompt_text") if name in given
        }
        labels = dict(text.split(":", 1) for text in self.label)
        document = given | {"input": source, "labels": labels}
        with named_as_parameters():
            try:
                return SubmitVision.model_validate(document)
            except ValidationError as error:
                raise refused(error, document) from error


@contextmanager
def named_as_parameters() -> Generator[None]:
    """Let refusals of a command's fields name the parameters that the fields were given as."""
    try:
        yield
    except RefusedFields as error:
        fields = [InvalidField(_parameter(fault.field), fault.message) for fault in error.fields]
        raise RefusedFields(fields) from error
    except InvalidRequest as error:
        raise InvalidRequest(error.detail, field=_parameter(error.field or "")) from error


def _parameter(field: str) -> str:
    if field == "input":  # the only fault of the input as a whole: a prompt's name and a text
        return "prompt_text"
    return "label" if field.startswith("labels") else field.removeprefix("input.")
