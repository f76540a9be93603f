"""From a question and its history to what is asked of the core. Pure; refuses with 400, as the old system did.

Intentional differences from the old system: the question goes to the model however long it is; a history with a wrong
turn, or with one of the system's, is refused; what its knowledge ends with is told only to the model of which it is
true.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Final

from pydantic import ValidationError

from api.dialects.api_server.wire import Question, Said
from shared.domain.commands import ChatInput, Message, Parameters, SubmitChat
from shared.domain.errors import MalformedRequest

REQUIRED: Final = frozenset({"user_id", "client_id", "stream", "question"})
MISSING: Final = "Missing required parameters, user_id, client_id, stream, question must be provided"
MAX_FAULTS: Final = 10
HISTORY_CHARS: Final = 3000
"""What the history and the question may have together, each turn as a line `role : content`."""
HISTORY_CHARS_OF_GPT_4: Final = 6000
CUTOFF_OF: Final = {"gpt-3.5-turbo": "Knowledge cutoff: 2021-09\n"}
_PROMPT: Final = (
    'You are an AI assistant called "GPTDock" that based on the language model {model}, you are helpful, creative,'
    " clever, friendly and honest. Every code block must rendered as markdown with the program language name, inline"
    " code will be wrapped by backtick mark. All the formatting must be done by markdown. Render references as normal"
    " list with link instead of footnote.\n{cutoff}Current date: {today}"
)


def parse(body: bytes) -> Question:
    """Return what was asked.

    Raises:
        MalformedRequest: if it is not JSON, or something in it is wrong; every fault is named, up to ten.
    """
    try:
        return Question.model_validate_json(body)
    except ValidationError as error:
        raise _refusal(error.errors(include_url=False)) from None  # the cause would show what was sent


def to_command(asked: Question, *, model: str, today: date) -> SubmitChat:
    """Return what is asked of the core; `model` is `provider/model`."""
    name = model.partition("/")[2]
    chars = HISTORY_CHARS_OF_GPT_4 if "gpt-4" in name else HISTORY_CHARS
    history = newest(asked.history or (), within_chars=chars - _line_chars("user", asked.question))
    return SubmitChat(
        kind="chat",
        model=model,
        input=ChatInput(
            messages=[
                Message(role="system", content=system_prompt(name, today)),
                *(Message(role=said.role, content=said.content) for said in history),
                Message(role="user", content=asked.question),
            ]
        ),
        parameters=Parameters(
            temperature=0.9,
            top_p=1,
            frequency_penalty=0,
            presence_penalty=0.4,
            user=f"{asked.client_id}_{asked.user_id}",
        ),
        labels={"client_id": asked.client_id, "user_id": asked.user_id},
    )


def system_prompt(model: str, today: date) -> str:
    """Return what the model is told of itself."""
    return _PROMPT.format(model=model, cutoff=CUTOFF_OF.get(model, ""), today=today.isoformat())


def newest(history: Sequence[Said], *, within_chars: int) -> Sequence[Said]:
    """Return the end of a history that fits; turns that say nothing are left out, as providers refuse them."""
    spoken = [said for said in history if said.content]
    first = len(spoken)
    while (
        first and (within_chars := within_chars - _line_chars(spoken[first - 1].role, spoken[first - 1].content)) >= 0
    ):
        first -= 1
    return spoken[first:]


def _line_chars(role: str, content: str) -> int:
    return len(f"{role} : {content}\n")


def _refusal(errors: Sequence[Mapping[str, Any]]) -> MalformedRequest:  # pydantic's error dictionaries
    if errors[0]["type"] == "json_invalid":
        return MalformedRequest(f"The body is not JSON: {_words(errors[0]).removeprefix('Invalid JSON: ')}.")
    if any(map(_is_absent, errors)):
        return MalformedRequest(MISSING)
    return MalformedRequest("; ".join(_faults(errors[:MAX_FAULTS])), field=_place(errors[0]) or None)


def _is_absent(error: Mapping[str, Any]) -> bool:
    """Whether one of what is required is not there, or null."""
    place = error["loc"]
    is_null = error["type"] == "missing" or error["input"] is None
    return is_null and len(place) == 1 and place[0] in REQUIRED


def _faults(errors: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for error in errors:
        place = _place(error)
        yield f"{place}: {_words(error)}" if place else _words(error)


def _place(error: Mapping[str, Any]) -> str:
    return ".".join(map(str, error["loc"]))


def _words(error: Mapping[str, Any]) -> str:
    return str(error["msg"]).removeprefix("Value error, ")
