"""What api-server's clients ask, and nothing else. What is unknown here (`product_id`, `model`) is ignored."""

from typing import Annotated, Final, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema

from api.plain_json import check_text
from shared.domain.commands import MAX_MESSAGES, MAX_TEXT_CHARS

MAX_ID_CHARS: Final = 200


class Wire(BaseModel):
    """Base of what a request is made of: what is unknown is ignored, a wrong type refused."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


def as_id(value: object) -> str:
    """Return a client's or user's id as text: 1 and "1" are the same.

    Raises:
        ValueError: if it cannot be one.
    """
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("must be a string or a whole number")
    text = str(value)
    if not (0 < len(text) <= MAX_ID_CHARS and text.isprintable()):
        raise ValueError(f"must have 1 to {MAX_ID_CHARS} printable characters")
    return text


Id: TypeAlias = Annotated[str, BeforeValidator(as_id), WithJsonSchema({"type": ["string", "integer"]})]


class Said(Wire):
    """One turn of the history that the caller keeps."""

    role: Literal["user", "assistant"]
    content: Annotated[str, StringConstraints(max_length=MAX_TEXT_CHARS), AfterValidator(check_text)]


class Question(Wire):
    """The body of `POST /v1/ask`."""

    question: Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT_CHARS), AfterValidator(check_text)]
    client_id: Id
    user_id: Id
    stream: bool
    history: Annotated[list[Said], Field(max_length=MAX_MESSAGES)] | None = None
