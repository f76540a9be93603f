"""Requests as bytes: what they carry of media is as large as it gets, and must not hold up the loop."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import msgspec

from workers.providers.base import Prompt, PromptText

ASIDE_BYTES: Final = 256 * 1024
"""From this much media on a request is made in a thread: it takes a millisecond or more."""
_STEP_BYTES: Final = 3 * 256 * 1024
"""Encoded at a time, so that the thread lets others run in between; a multiple of 3, as base64 needs it."""
AT_ONCE_BYTES: Final = 512 * 1024
"""Handed to a connection at a time: what the socket does not take is copied."""


def quoted_base64(content: bytes, *, before: str = "") -> msgspec.Raw:
    """Return a JSON string: `before`, which needs no escapes, and the content in base64.

    It goes into a request as it is; a text would be searched for characters to escape, all 85 MB of a large video.
    """
    steps = range(0, len(content), _STEP_BYTES)
    encoded = b"".join(base64.b64encode(content[start : start + _STEP_BYTES]) for start in steps)
    return msgspec.Raw(b'"%b%b"' % (before.encode(), encoded))


async def request_body(prompt: Prompt, to_wire: Callable[[], dict[str, Any]]) -> bytes:
    """Return the request that `to_wire` makes of this prompt, as JSON."""
    if _media_bytes(prompt) < ASIDE_BYTES:
        return msgspec.json.encode(to_wire())
    return await asyncio.to_thread(lambda: msgspec.json.encode(to_wire()))


def sendable(body: bytes) -> bytes | AsyncIterator[bytes]:
    """Return a request for a client to send: a large one in pieces, whose length it must be told."""
    return body if len(body) <= AT_ONCE_BYTES else _pieces(body)


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), AT_ONCE_BYTES):
        yield body[start : start + AT_ONCE_BYTES]


def _media_bytes(prompt: Prompt) -> int:
    parts = (part for message in prompt.messages for part in message.parts)
    return sum(len(part.content) for part in parts if not isinstance(part, PromptText))
