"""Whole answers of Ollama."""

from shared.domain.events import Finish, Reasoning, Text, Usage
from tests.contract.providers.bodies.body import SAID, STOP, WORDS, Body, lines, spoken

CHAT = Body(
    "ollama chat",
    "ollama",
    lines(
        spoken(thinking="Recall"),
        spoken(thinking=" tea."),
        *(spoken(word) for word in WORDS),
        spoken() | {"done": True, "done_reason": "stop", "load_duration": 1, "prompt_eval_count": 26, "eval_count": 30},
    ),
    [Reasoning("Recall"), Reasoning(" tea."), *SAID, Usage(26, 30), STOP],
)
TAGS = Body(
    "ollama with tags",
    "ollama",
    lines(*(spoken(it) for it in ("<think>", "Hm", "</think>\n\n", "Tea")), spoken() | {"done": True, "eval_count": 3}),
    [Reasoning("Hm"), Text("Tea"), Usage(0, 3), STOP],
)
GENERATE = Body(
    "ollama generate",
    "ollama",
    lines(
        {"response": "", "thinking": "Recall", "done": False},
        *({"response": word, "done": False} for word in WORDS),
        {"response": "", "done": True, "done_reason": "stop", "eval_count": 30, "context": [1, 2]},
    ),
    [Reasoning("Recall"), *SAID, Usage(0, 30), STOP],
)
LENGTH = Body(
    "ollama length",
    "ollama",
    lines(
        spoken("Tea", tool_calls=None, thinking=None, images=7),
        spoken() | {"done": True, "done_reason": "length", "prompt_eval_count": 26, "eval_count": 1, "error": None},
    ),
    [Text("Tea"), Usage(26, 1), Finish("length")],
)

OLLAMA = (CHAT, TAGS, GENERATE, LENGTH)
