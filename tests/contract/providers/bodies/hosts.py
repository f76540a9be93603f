"""Whole answers of those who run models that others made: Groq, Cerebras, NVIDIA, and servers of one's own."""

from shared.domain.events import Reasoning, SearchResult, SearchResults, Text, Usage
from tests.contract.providers.bodies.body import ROLE, SAID, STOP, Body, chunk, counted, thought, words
from tests.scripted_replies import DONE, sse_event

GROQ = Body(
    "groq",
    "groq",
    chunk(ROLE, x_groq={"id": "req_1", "seed": 1})
    + thought("reasoning", "We need", " tea.", channel="analysis")
    + words()
    + chunk({}, "stop", x_groq={"id": "req_1", "usage": counted(81, 29, 17, queue_time=0.05)})
    + DONE,
    [Reasoning("We need"), Reasoning(" tea."), *SAID, Usage(81, 29, 17), STOP],
)
GROQ_WITH_USAGE = Body(
    "groq include_usage",
    "groq",
    words()
    + chunk({}, "stop", x_groq={"id": "req_1", "usage": counted(81, 28)})
    + chunk(usage=counted(81, 29), x_groq={"id": "req_1", "usage": None})
    + DONE,
    [*SAID, Usage(81, 29), STOP],
)
GROQ_TAGS = Body(
    "groq raw think tags",
    "groq",
    chunk(ROLE)
    + b"".join(chunk({"content": piece}) for piece in ("\n<th", "ink>", "\nEasy", " one.\n", "</thi", "nk>", "\n\n"))
    + words()
    + chunk({"content": " A <think> is a tag."}, "stop")
    + DONE,
    [Reasoning("Easy"), Reasoning(" one.\n"), *SAID, Text(" A <think> is a tag."), STOP],
)
GROQ_SEARCH = Body(
    "groq compound search",
    "groq",
    chunk(
        {
            "executed_tools": [
                {
                    "index": 0,
                    "type": "search",
                    "arguments": '{"query":"tea"}',
                    "output": "Title: Tea",
                    "search_results": {
                        "results": [{"title": "Tea", "url": "https://tea.example/1", "content": "Hot.", "score": 0.9}]
                    },
                }
            ]
        }
    )
    + words()
    + chunk({"annotations": [{"type": "url_citation", "url_citation": {"url": "https://tea.example/1"}}]}, "stop")
    + DONE,
    [SearchResults([SearchResult("https://tea.example/1", "Tea", "Hot.")]), *SAID, STOP],
)
CEREBRAS = Body(
    "cerebras",
    "cerebras",
    chunk({"role": "assistant"})
    + sse_event({"choices": None, "delta": None})
    + sse_event({"choices": [{"index": 0, "delta": None, "finish_reason": None}]})
    + thought("reasoning", "User asks.")
    + words()
    + chunk({}, "stop", usage=counted(79, 37, 25), time_info={"queue_time": 0.0001})
    + DONE,
    [Reasoning("User asks."), *SAID, Usage(79, 37, 25), STOP],
)
NVIDIA = Body(
    "nvidia",
    "nvidia",
    chunk(ROLE | {"reasoning_content": None})
    + thought("reasoning_content", "A question.", content=None)
    + words(reasoning_content=None)
    + chunk({"content": "", "reasoning_content": None}, "stop")
    + chunk(usage=counted(21, 24))
    + DONE,
    [Reasoning("A question."), *SAID, Usage(21, 24), STOP],
)
NVIDIA_TAGS = Body(
    "nvidia think tags",
    "nvidia",
    chunk({"content": "<think>\n"}) + chunk({"content": "Hm</think>Tea"}) + chunk({"content": "."}, "stop") + DONE,
    [Reasoning("Hm"), Text("Tea"), Text("."), STOP],
)
VLLM = Body(
    "vllm",
    "vllm",
    chunk(ROLE)
    + thought("reasoning", "Recall.")
    + words()
    + sse_event({"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop", "stop_reason": None}]})
    + chunk(usage=counted(15, 25, prompt_tokens_details=None))
    + DONE,
    [Reasoning("Recall."), *SAID, Usage(15, 25), STOP],
)
VLLM_BOTH = Body(
    "vllm with both names",
    "vllm",
    chunk({"reasoning": "Recall.", "reasoning_content": "Recall."}) + words() + chunk({}, "stop") + DONE,
    [Reasoning("Recall."), *SAID, STOP],
)
VLLM_CLOSING_TAG = Body(
    "vllm with the template's opening tag kept",
    "vllm",
    chunk({"content": "\n"}) + chunk({"content": "</think>\n\n"}) + words() + chunk({}, "stop") + DONE,
    [*SAID, STOP],
)
LMSTUDIO = Body(
    "lmstudio",
    "lmstudio",
    thought("reasoning_content", "Recall.", role="assistant")
    + words()
    + chunk({}, "stop")
    + chunk(usage=counted(14, 22, 12))
    + DONE,
    [Reasoning("Recall."), *SAID, Usage(14, 22, 12), STOP],
)
LLAMACPP = Body(
    "llamacpp",
    "llamacpp",
    chunk({"role": "assistant", "content": None})
    + thought("reasoning_content", "Recall.")
    + words()
    + chunk({}, "stop")
    + chunk(usage=counted(14, 20), timings={"prompt_n": 14, "predicted_per_second": 49.7})
    + DONE,
    [Reasoning("Recall."), *SAID, Usage(14, 20), STOP],
)

HOSTS = (
    *(GROQ, GROQ_WITH_USAGE, GROQ_TAGS, GROQ_SEARCH, CEREBRAS, NVIDIA, NVIDIA_TAGS),
    *(VLLM, VLLM_BOTH, VLLM_CLOSING_TAG, LMSTUDIO, LLAMACPP),
)
