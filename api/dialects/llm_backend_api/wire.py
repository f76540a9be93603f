"""llm-backend-api's JSON, and nothing else. Unknown fields of what is asked are ignored, as its own server did."""

from typing import Annotated, TypeAlias, TypedDict

from pydantic import BaseModel, ConfigDict, Field, SecretStr

Given: TypeAlias = Annotated[str, Field(min_length=1)]


class Asked(BaseModel):
    """Base of what is asked: no text is made of numbers."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, hide_input_in_errors=True)


class Credentials(Asked):
    """`POST /api/users/register` and `/login`."""

    username: Given
    password: Annotated[SecretStr, Field(min_length=1)]


class NewConversation(Asked):
    """`POST /api/conversations/create`; without an `api_key` the server's own is used."""

    title: Given
    model: Given
    api_key: SecretStr | None = None


class Question(Asked):
    """`POST /api/chat/{conversation_id}`."""

    message: Given


class Conversation(TypedDict):
    """A conversation that was just made; instants are Unix time in seconds."""

    conversation_id: int
    title: str
    model: str
    api_key: str
    created_time: int


class ListedConversation(TypedDict):
    """One of `GET /api/conversations/list`."""

    conversation_id: int
    title: str
    created_time: int


class HistoryMessage(TypedDict):
    """What the user or the model said; ids count from 1 within the conversation."""

    role: str
    content: str
    message_id: int


class History(TypedDict):
    """`GET /api/conversations/history/{conversation_id}`."""

    conversation_id: int
    title: str
    model: str
    messages: list[HistoryMessage]
    created_time: int
