"""What Gemini answers in its own protocol: bytes as it sends them. The texts, ids and numbers are invented."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.scripted_replies import Reply, sse, sse_event

SIGNATURE = "VGhpcyBpcyBhIHNpZ25hdHVyZQ=="
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def gemini_event(
    *parts: Mapping[str, Any], finish: str | None = None, usage: Mapping[str, int] | None = None, **candidate: object
) -> bytes:
    """One event of a stream; `candidate` are more members of the candidate."""
    said: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}, "index": 0} | candidate
    event: dict[str, Any] = {"candidates": [said], "modelVersion": "gemini-3.8-flash", "responseId": "r1"}
    if finish is not None:
        said["finishReason"] = finish
    if usage is not None:
        event["usageMetadata"] = dict(usage)
    return sse_event(event)


def gemini_stream(
    words: Sequence[str],
    *,
    reasoning: Sequence[str] = (),
    usage: tuple[int, int] | None = (7, 5),
    finish: str = "STOP",
) -> Reply:
    """A whole answer; `usage` is tokens in and out."""
    counts = None if usage is None else {"promptTokenCount": usage[0], "candidatesTokenCount": usage[1]}
    events = [gemini_event({"text": word, "thought": True}) for word in reasoning]
    events += [gemini_event({"text": word}, usage=counts) for word in words]
    return sse(*events, gemini_event({"text": ""}, finish=finish, usage=counts))


def sources(*pages: tuple[str, str]) -> dict[str, Any]:
    """What the last event of a search says of its sources: addresses and titles."""
    return {
        "searchEntryPoint": {"renderedContent": "<div>invented</div>"},
        "groundingChunks": [{"web": {"uri": uri, "title": title}} for uri, title in pages],
        "groundingSupports": [{"segment": {"endIndex": 3}, "groundingChunkIndices": [0]}],
        "webSearchQueries": ["tea"],
    }


def refusal(status: str, message: str, code: int, *details: Mapping[str, Any]) -> dict[str, Any]:
    """An error in Google's form."""
    return {"error": {"code": code, "message": message, "status": status, "details": list(details)}}
