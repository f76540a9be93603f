"""Whole answers of those whose reasoning is in `reasoning_content`, and of Mistral."""

from shared.domain.events import Finish, Reasoning, SearchResult, SearchResults, Signature, Text, Usage
from tests.contract.providers.bodies.body import ROLE, SAID, STOP, WORDS, Body, chunk, counted, thought, words
from tests.scripted_replies import DONE, sse_event

OPENAI = Body(
    "openai",
    "openai",
    chunk(ROLE | {"refusal": None}, usage=None, obfuscation="aZ")
    + words()
    + chunk({}, "stop", usage=None)
    + chunk(usage=counted(19, 141, 128, prompt_tokens_details={"cached_tokens": 8, "audio_tokens": 0}))
    + DONE,
    [*SAID, Usage(19, 141, 128, 8), STOP],
)
DEEPSEEK = Body(
    "deepseek",
    "deepseek",
    b": keep-alive\n\n: keep-alive\n\n"
    + thought("reasoning_content", "", "The user", " asks.", content=None)
    + words(reasoning_content=None)
    + chunk({"content": "", "reasoning_content": None}, "stop", usage=counted(11, 24, 18, prompt_cache_hit_tokens=4))
    + DONE,
    [Reasoning("The user"), Reasoning(" asks."), *SAID, Usage(11, 24, 18, 4), STOP],
)
DOUBAO = Body(
    "doubao",
    "doubao",
    thought("reasoning_content", "用户问", "茶。", content="", role="assistant")
    + chunk({"content": "", "encrypted_content": "b3BhcXVl"}, service_tier="default", usage=None)
    + chunk({"content": "八十度。", "role": "assistant"})
    + sse_event(
        {"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop", "moderation_hit_type": ""}]}
    )
    + chunk(usage=counted(88, 25, 14))
    + DONE,
    [Reasoning("用户问"), Reasoning("茶。"), Signature("b3BhcXVl"), Text("八十度。"), Usage(88, 25, 14), STOP],
)
SILICONFLOW = Body(
    "siliconflow",
    "siliconflow",
    chunk({"content": None, "reasoning_content": ""}, usage=counted(16, 0, 0))
    + chunk({"content": None, "reasoning_content": "Hm"}, usage=counted(16, 1, 1))
    + chunk({"content": "Tea", "reasoning_content": None}, usage=counted(16, 2, 1))
    + chunk({"content": ""}, "stop", usage=counted(16, 3, 1))
    + DONE,
    [Reasoning("Hm"), Text("Tea"), Usage(16, 3, 1), STOP],
)
ZHIPU = Body(
    "zhipu",
    "zhipu",
    thought("reasoning_content", "Hm.", role="assistant")
    + words(role="assistant")
    + chunk(ROLE, "stop", usage=counted(9, 8, prompt_tokens_details={"cached_tokens": 2}))
    + DONE,
    [Reasoning("Hm."), *SAID, Usage(9, 8, 0, 2), STOP],
)
GROK = Body(
    "grok",
    "grok",
    sse_event({"id": "1", "choices": [{"index": 0, "delta": {"reasoning_content": "First", "role": "assistant"}}]})
    + b"".join(sse_event({"id": "1", "choices": [{"index": 0, "delta": {"content": word}}]}) for word in WORDS)
    + chunk({}, "stop")
    + chunk(
        usage=counted(12, 5, 290, prompt_tokens_details={"text_tokens": 12, "cached_tokens": 11})
        | {"total_tokens": 307, "num_sources_used": 0, "cost_in_usd_ticks": 1466250}
    )
    + DONE,
    [Reasoning("First"), *SAID, Usage(12, 295, 290, 11), STOP],
)
MISTRAL = Body(
    "mistral",
    "mistral",
    chunk(ROLE)
    + chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "The user"}]}]})
    + chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": " asks."}], "signature": "c2ln"}]})
    + words()
    + chunk({"content": ""}, "stop", usage=counted(10, 26))
    + DONE,
    [Reasoning("The user"), Reasoning(" asks."), Signature("c2ln"), *SAID, Usage(10, 26), STOP],
)
MISTRAL_PARTS = Body(
    "mistral mixed parts",
    "mistral",
    chunk(
        {
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "Done."}], "closed": True},
                {"type": "text", "text": "Tea"},
            ]
        }
    )
    + chunk(
        {
            "content": [
                {"type": "text", "text": "."},
                {"type": "reference", "reference_ids": [0]},
                {"type": "tool_reference", "tool": "web_search", "title": "Tea", "url": "https://tea.example/2"},
                {"type": "of tomorrow", "text": {"value": 7}},
            ]
        }
    )
    + chunk({"content": ""}, "model_length")
    + DONE,
    [
        Reasoning("Done."),
        Text("Tea"),
        Text("."),
        SearchResults([SearchResult("https://tea.example/2", "Tea")]),
        Finish("length"),
    ],
)

MAKERS = (OPENAI, DEEPSEEK, DOUBAO, SILICONFLOW, ZHIPU, GROK, MISTRAL, MISTRAL_PARTS)
