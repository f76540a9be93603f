"""Ollama's options: how a model is to answer, and how long a context it needs for that. Pure.

Source: github.com/ollama/ollama docs/api.md, docs/modelfile.md ("PARAMETER") and docs/capabilities/thinking.mdx.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

import msgspec

from shared.domain.commands import Parameters
from shared.domain.events import Noted
from workers.providers.base import Prompt, PromptImage, PromptMessage
from workers.providers.parameter_notes import Notes
from workers.providers.refusal import is_object

Json: TypeAlias = dict[str, Any]  # a JSON object of the wire
Think: TypeAlias = bool | Literal["low", "medium", "high", "max"] | None
"""None leaves it to the model: one that can think does. Most know no levels, and take any for yes."""
_THINK: Final[Mapping[str, Think]] = {
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "max",
    "max": "max",
}
"""By `reasoning_effort`; what is not here is left to the model."""
_SWITCHES: Final = ("thinking", "enable_thinking")
"""Options that say the same with yes or no."""
_OPTION_NAMES: Final = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_output_tokens": "num_predict",
    "stop": "stop",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
}
_MORE_OPTIONS: Final = {
    "top_k": "top_k",
    "min_p": "min_p",
    "repetition_penalty": "repeat_penalty",
    "repeat_penalty": "repeat_penalty",
    "num_ctx": "num_ctx",
}
"""By the names of `Parameters.options`."""
_KEEP_ALIVE: Final = "keep_alive"
CONTEXT_TOKENS: Final = 4096
"""What Ollama reads of a prompt unless it is told otherwise; the rest is cut off without a word (docs/faq.md)."""
MAX_CONTEXT_TOKENS: Final = 131_072
"""More than this is not asked for on behalf of a caller: the memory is taken at once."""
_CHARS_PER_TOKEN: Final = 2  # on the safe side: 4 is usual for English, 1 to 2 for Chinese
_TOKENS_PER_IMAGE: Final = 1500
_ROOM_FOR_THE_ANSWER: Final = 1024


def how_to_think(prompt: Prompt) -> Think:
    """Return what to say about thinking: not to, where our own schema is to be filled, because that is wanted soon."""
    if prompt.response_schema is not None:
        return False
    effort = prompt.parameters.reasoning_effort
    return _THINK.get(effort) if effort is not None else _switched(prompt.parameters.options)


def options_of(prompt: Prompt, tools: list[Json]) -> Json:
    """Return the options it knows, by its names, and the context that the prompt may need."""
    parameters = prompt.parameters
    known = [(wire, getattr(parameters, name)) for name, wire in _OPTION_NAMES.items()]
    more = ((wire, parameters.options.get(name)) for name, wire in _MORE_OPTIONS.items())
    known += [(wire, value) for wire, value in more if _is_number(value)]
    options = {wire: value for wire, value in known if value is not None}
    wanted = options.pop("num_ctx", None)
    if wanted is None:
        return options | _context(prompt, tools)
    return options | {"num_ctx": min(max(int(wanted), 1), MAX_CONTEXT_TOKENS)}


def keep_alive_of(parameters: Parameters) -> str | float | None:
    """Return how long the model is to stay loaded, as the caller says it: `10m`, or seconds; below 0 for ever."""
    value = parameters.options.get(_KEEP_ALIVE)
    return value if isinstance(value, str) or _is_number(value) else None


def notes_of(prompt: Prompt) -> tuple[Noted, ...]:
    """Return what is to be told about parameters that are not sent."""
    parameters, notes = prompt.parameters, Notes("ollama", ours=prompt.defaults)
    for name in parameters.options.keys() - _MORE_OPTIONS.keys() - {_KEEP_ALIVE, *_SWITCHES}:
        notes.dropped(name)
    if parameters.reasoning_effort is not None and parameters.reasoning_effort not in _THINK:
        notes.dropped("reasoning_effort", "does not know this level")
    if parameters.tool_choice not in (None, "auto", "none"):
        notes.dropped("tool_choice", "cannot be told to call a function")
    for name in ("parallel_tool_calls", "user"):
        if getattr(parameters, name) is not None:
            notes.dropped(name)
    return tuple(sorted(notes.told, key=lambda note: note.text))


def _switched(options: Mapping[str, Any]) -> bool | None:
    for name in _SWITCHES:
        value: object = options.get(name)
        if is_object(value):  # as DeepSeek and Ark have it
            value = {"enabled": True, "disabled": False}.get(str(value.get("type")))
        if isinstance(value, bool):
            return value
    return None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _context(prompt: Prompt, tools: list[Json]) -> Json:
    """Ask for a longer context if the prompt may need one; the default keeps a loaded model loaded."""
    images = sum(isinstance(part, PromptImage) for message in prompt.messages for part in message.parts)
    chars = sum(len(message.text) + _called_chars(message) for message in prompt.messages)
    chars += len(msgspec.json.encode(tools)) if tools else 0
    room = min(prompt.parameters.max_output_tokens or _ROOM_FOR_THE_ANSWER, MAX_CONTEXT_TOKENS)
    needed = chars // _CHARS_PER_TOKEN + images * _TOKENS_PER_IMAGE + room
    size = CONTEXT_TOKENS
    while size < min(needed, MAX_CONTEXT_TOKENS):
        size *= 2  # few sizes: each new one makes Ollama load the model again
    return {"num_ctx": size} if size > CONTEXT_TOKENS else {}


def _called_chars(message: PromptMessage) -> int:
    return sum(len(call.arguments) for call in message.tool_calls)
