"""Whole answers of OpenRouter and of Gemini's chat completions, and tool calls that are numbered badly."""

from shared.domain.events import Finish, Reasoning, SearchResult, SearchResults, Signature, Text, ToolCall, Usage
from tests.contract.providers.bodies.body import CUP, CUP_URL, ROLE, SAID, STOP, Body, chunk, counted, words
from tests.scripted_replies import DONE
from workers.providers.base import GeneratedImage

_FORMAT = "anthropic-claude-v1"
_PROOF = {"type": "reasoning.text", "signature": "Zml4", "format": _FORMAT, "index": 0}
_SEALED = {"type": "reasoning.encrypted", "data": "b3BhcXVl", "id": "rs_1", "index": 1}
OPENROUTER = Body(
    "openrouter",
    "openrouter",
    b": OPENROUTER PROCESSING\n\n"
    + chunk(ROLE | {"reasoning": None, "reasoning_details": []}, provider="Google")
    + b"".join(
        chunk(
            ROLE
            | {
                "reasoning": text,
                "reasoning_details": [{"type": "reasoning.text", "text": text, "format": _FORMAT, "index": 0}],
            }
        )
        for text in ("Simple", " tea.")
    )
    + b": OPENROUTER PROCESSING\n\n"
    + chunk(ROLE | {"reasoning": None, "reasoning_details": [_PROOF]})
    + chunk(ROLE | {"reasoning_details": [_SEALED]})
    + words(role="assistant", reasoning=None, reasoning_details=[])
    + chunk(ROLE, "stop", native_finish_reason="stop")
    + chunk(ROLE, "stop", usage=counted(43, 36, 13, cost=0.0007, cost_details={"upstream_inference_cost": None}))
    + DONE,
    [
        Reasoning("Simple"),
        Reasoning(" tea."),
        *SAID,
        Signature(
            '[{"type":"reasoning.text","text":"Simple tea.","format":"anthropic-claude-v1","index":0,'
            '"signature":"Zml4"},{"type":"reasoning.encrypted","data":"b3BhcXVl","id":"rs_1","index":1}]'
        ),
        Usage(43, 36, 13),
        STOP,
    ],
)
OPENROUTER_SUMMARY = Body(
    "openrouter summary only",
    "openrouter",
    chunk(ROLE | {"reasoning_details": [{"type": "reasoning.summary", "summary": "Tea is hot.", "index": 0}]})
    + words()
    + chunk({}, "stop")
    + DONE,
    [Reasoning("Tea is hot."), *SAID, STOP],
)
_CITED = {
    "type": "url_citation",
    "url_citation": {"url": "https://tea.example/3", "title": "Tea", "content": "Hot.", "start_index": 0},
}
OPENROUTER_SEARCH = Body(
    "openrouter search",
    "openrouter",
    words()
    + chunk({"content": "", "annotations": [_CITED]})
    + chunk({"content": ""}, "stop")
    + chunk({"content": "", "annotations": [_CITED]}, "stop", usage=counted(43, 36))
    + DONE,
    [*SAID, SearchResults([SearchResult("https://tea.example/3", "Tea", "Hot.")]), Usage(43, 36), STOP],
)
_PICTURE = {"type": "image_url", "image_url": {"url": CUP_URL}, "index": 0}
_ELSEWHERE = {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}
OPENROUTER_IMAGES = Body(
    "openrouter images",
    "openrouter",
    chunk({"role": "assistant", "content": "Here."})
    + chunk({"content": "", "images": [_PICTURE]})
    + chunk({"content": "", "images": [_PICTURE, _ELSEWHERE, {"image_url": {"url": "file:///etc/hostname"}}, None]})
    + chunk({"content": ""}, "stop")
    + DONE,
    [Text("Here."), GeneratedImage(CUP), GeneratedImage(url="https://a.example/b.png"), STOP],
)
PICTURE_PARTS = Body(
    "images among the parts",
    "elsewhere",
    chunk({"content": [{"type": "text", "text": "Here."}, {"type": "image_url", "image_url": CUP_URL}]})
    + chunk({}, "stop")
    + DONE,
    [Text("Here."), GeneratedImage(CUP), STOP],
)
_THOUGHT = {"google": {"thought": True}}
GEMINI_OPENAI = Body(
    "gemini's chat completions",
    "gemini",
    chunk({"content": "<thought>Recalling", "extra_content": _THOUGHT})
    + chunk({"content": " tea.", "extra_content": _THOUGHT})
    + chunk({"content": "</thought>Tea"})
    + chunk({"content": " is hot."})
    + chunk({"extra_content": {"google": {"thought_signature": "c2ln"}}}, "stop", usage=counted(12, 7))
    + DONE,
    [Reasoning("Recalling"), Reasoning(" tea."), Text("Tea"), Text(" is hot."), Signature("c2ln"), Usage(12, 7), STOP],
)
GEMINI_MARKED = Body(
    "gemini's chat completions without tags",
    "gemini",
    chunk({"content": "Recalling", "extra_content": _THOUGHT}) + words() + chunk({}, "stop") + DONE,
    [Reasoning("Recalling"), *SAID, STOP],
)
CALLS = Body(
    "tool calls without numbers",
    "elsewhere",
    chunk({"tool_calls": [{"id": "c1", "function": {"name": "pour", "arguments": '{"ml":'}}]})
    + chunk({"tool_calls": [{"function": {"arguments": "1}"}}, {"function": None}, None]})
    + chunk({"tool_calls": [{"id": "c2", "function": {"name": "heat", "arguments": {"to": 80}}}]})
    + chunk({"tool_calls": [{"id": "c1", "function": {"name": "pour", "arguments": ""}}]}, "tool_calls")
    + DONE,
    [
        ToolCall(0, "c1", "pour", '{"ml":'),
        ToolCall(0, arguments="1}"),
        ToolCall(1, "c2", "heat", '{"to":80}'),
        Finish("tool_calls"),
    ],
)
CALLS_ALL_0 = Body(
    "tool calls that are all number 0",
    "gemini",
    b"".join(
        chunk(
            {
                "tool_calls": [
                    {
                        "index": 0,
                        "id": call_id,
                        "function": {"name": "pour", "arguments": "{}"},
                        "extra_content": {"google": {"thought_signature": "c2ln"}},
                    }
                ]
            }
        )
        for call_id in ("c1", "c2")
    )
    + chunk({}, "stop")
    + DONE,
    [ToolCall(0, "c1", "pour", "{}"), Signature("c2ln"), ToolCall(1, "c2", "pour", "{}"), STOP],
)

ROUTERS = (
    *(OPENROUTER, OPENROUTER_SUMMARY, OPENROUTER_SEARCH, OPENROUTER_IMAGES, PICTURE_PARTS, GEMINI_OPENAI),
    *(GEMINI_MARKED, CALLS, CALLS_ALL_0),
)
