"""One chunk of a chat completion as it is on the wire: the members that are used.

What carries the answer must have its shape; anything else may be of any, and counts as absent where it is odd.
"""

from typing import Any

import msgspec


class ChunkDelta(msgspec.Struct):
    """What a chunk adds to the answer."""

    content: str | list[Any] | dict[str, Any] | None = None  # a list of parts with Mistral
    # From here on Any: a member of an odd shape is read as if it were not there.
    reasoning_content: Any = None  # DeepSeek and those who followed
    reasoning: Any = None  # vLLM, Groq, OpenRouter
    thinking: Any = None
    thought: Any = None
    reasoning_details: Any = None  # OpenRouter
    encrypted_content: Any = None  # Ark
    extra_content: Any = None  # Gemini
    refusal: Any = None
    images: Any = None  # OpenRouter
    tool_calls: Any = None
    function_call: Any = None  # OpenAI's before tools
    annotations: msgspec.Raw = msgspec.Raw()  # OpenAI, OpenRouter
    executed_tools: msgspec.Raw = msgspec.Raw()  # Groq
    search_results: msgspec.Raw = msgspec.Raw()
    citations: msgspec.Raw = msgspec.Raw()


class Choice(msgspec.Struct):
    """One of the answers; we ask for one."""

    index: Any = None
    delta: ChunkDelta | None = None
    finish_reason: str | None = None
    usage: Any = None  # Moonshot


class Chunk(msgspec.Struct):
    """A chunk, or the error that stands in the place of one."""

    choices: list[Choice] | None = None
    usage: Any = None
    x_groq: Any = None
    error: msgspec.Raw = msgspec.Raw()
    message: Any = None
    detail: Any = None
    search_results: msgspec.Raw = msgspec.Raw()
    citations: msgspec.Raw = msgspec.Raw()


decode_chunk = msgspec.json.Decoder(Chunk).decode
"""Raises `msgspec.DecodeError` or `UnicodeDecodeError` for what is no chunk, `RecursionError` for what is too deep."""
