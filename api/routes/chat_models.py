"""What the routes of chats take and give."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal, TypeAlias
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    field_validator,
)

from api.plain_json import check_plain, check_text
from api.services.chats import MAX_TITLE_CHARS, ChatView, Origin
from shared.domain.commands import MAX_TEXT_CHARS, JsonObject, ModelRef, Parameters
from shared.domain.errors import InvalidRequest

PATH: Final = "/v2/chats"
NO_TOOLS: Final = "a chat calls no tools: send the whole conversation as a job (POST /v2/jobs)"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

Text: TypeAlias = Annotated[str, StringConstraints(max_length=MAX_TEXT_CHARS), AfterValidator(check_text)]
Title: TypeAlias = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_TITLE_CHARS, pattern=r"^[^\x00-\x1f\x7f]*$"),
    AfterValidator(check_text),
]


def _visible(key: SecretStr) -> SecretStr:
    text = key.get_secret_value()
    if not (text.isascii() and text.isprintable() and " " not in text):
        raise ValueError("has visible ASCII characters only")
    return key


ProviderKey: TypeAlias = Annotated[SecretStr, Field(min_length=1, max_length=1000), AfterValidator(_visible)]


class ChatParameters(Parameters):
    """How the model answers in a chat: what jobs take, without tools."""

    @field_validator("tools", "tool_choice", "parallel_tool_calls", mode="before")
    @classmethod
    def _calls_no_tools(cls, value: object) -> None:
        if value is not None:
            raise ValueError(NO_TOOLS)

    @field_validator("response_format", "options", "stop", "reasoning_effort", "user", mode="after")
    @classmethod
    def _can_be_kept(cls, value: object) -> object:
        return check_plain(value)


class Body(BaseModel):
    """Base of what is sent."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ChatIn(Body):
    """A chat to be made. What is left out, the server's defaults say."""

    title: Title | None = None
    model: Annotated[ModelRef | None, Field(examples=["openai/gpt-4o"])] = None
    system_prompt: Text | None = None
    parameters: ChatParameters = ChatParameters()
    provider_key: Annotated[
        ProviderKey | None,
        Field(description="Used for this chat, with the provider of its model, and for nothing else; never shown."),
    ] = None


class ChatChange(Body):
    """What is to be different; null goes back to the default. It holds from the next message on."""

    title: Title | None = None
    model: ModelRef | None = None
    system_prompt: Text | None = None
    parameters: ChatParameters | None = None


class ChatsQuery(BaseModel):
    """Which chats to list."""

    model_config = ConfigDict(extra="forbid")

    origin: Annotated[Origin | None, Field(description="Through which surface they were made.")] = None
    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: Annotated[str | None, Field(description="`next` of the page before")] = None

    def after(self) -> tuple[datetime, UUID] | None:
        """Return the last chat of the page before.

        Raises:
            InvalidRequest: if the cursor is none.
        """
        if self.cursor is None:
            return None
        micros, _, chat_id = self.cursor.partition("-")
        try:
            return _EPOCH + int(micros) * _MICROSECOND, UUID(hex=chat_id)
        except (ValueError, OverflowError) as error:
            raise InvalidRequest("the cursor is not one that a page's `next` gave", field="cursor") from error


class Model(BaseModel):
    """Base of what is answered."""

    model_config = ConfigDict(extra="forbid")


class ChatOut(Model):
    """A chat. `messages` is how many there are, `last_provider` and `last_model` answered last."""

    id: UUID
    origin: Origin
    external_id: Annotated[str | None, Field(description="Its name where clients choose the names.")]
    title: str
    model: str | None
    system_prompt: str | None
    parameters: JsonObject
    has_own_key: bool
    messages: int
    last_provider: str | None
    last_model: str | None
    created_at: datetime
    updated_at: Annotated[datetime, Field(description="When it was last asked something.")]
    links: dict[str, str]


class ChatsOut(Model):
    """A page of chats, the one that was used last first; `next` is the cursor of the next page, if there is one."""

    chats: list[ChatOut]
    next: str | None


class StoppedOut(Model):
    """How many turns were told to stop, and whether all of them have."""

    turns: int
    state: Literal["stopped", "stopping"]


def shown_chat(chat: ChatView) -> ChatOut:
    """Return a chat as it is shown."""
    path = f"{PATH}/{chat.id}"
    facts: dict[str, Any] = {name: getattr(chat, name) for name in ChatOut.model_fields if name != "links"}
    return ChatOut(**facts, links={"self": path, "messages": f"{path}/messages", "stop": f"{path}/stop"})


def cursor_of(chat: ChatView) -> str:
    """Return the cursor of what comes after a chat."""
    return f"{(chat.updated_at - _EPOCH) // _MICROSECOND}-{chat.id.hex}"
