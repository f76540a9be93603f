"""How the models of each provider are told to reason, as of 2026-11; the first family that fits a model counts.

In doubt nothing is sent: that costs less than a refusal. Where the facts come from: OpenAI,
https://developers.openai.com/api/docs/guides/reasoning and pydantic-ai's profiles/openai.py (2026-07), where nearly all
were tried; DeepSeek and SiliconFlow, their API pages; Groq and Cerebras, the types of their SDKs (1.7, 1.91); xAI and
Mistral, any-llm and pydantic-ai (2026-09); Ark, the types of its SDK (5.0).
"""

from typing import Final

from workers.providers.chat_completions.reasoning_family import Family

_LOW_TO_HIGH: Final = ("low", "medium", "high")
_DEEPSEEK_LEVELS: Final = ("low", "high", "max")
_GROQ_FORMATS: Final = ("hidden", "raw", "parsed")
_CEREBRAS_FORMATS: Final = ("parsed", "text_parsed", "raw", "hidden", "none")

OPENAI: Final = (
    # GPT-5.1 to 5.4 reason only when asked to, but for their chat and pro variants; later ones do by themselves
    Family(
        models=(
            *(f"gpt-5.{minor}-{variant}" for minor in (1, 2, 3, 4) for variant in ("chat", "pro")),
            *("gpt-5.1-codex", "gpt-6-astra"),
        ),
        reasons=True,
        efforts=None,
    ),
    Family(models=tuple(f"gpt-5.{minor}" for minor in (1, 2, 3, 4)), switch="effort", efforts=None),
    Family(models=("gpt-5-chat", "gpt-4", "gpt-3.5", "chatgpt-")),
    Family(models=("gpt-5.",), reasons=True, switch="effort", efforts=None),
    Family(models=("gpt-5",), reasons=True, efforts=("minimal", *_LOW_TO_HIGH)),
    Family(models=tuple(f"o{number}" for number in range(1, 10)), reasons=True, efforts=_LOW_TO_HIGH),
    Family(efforts=None),
)
DEEPSEEK: Final = (
    Family(models=("deepseek-chat",), switch="thinking", efforts=_DEEPSEEK_LEVELS),
    Family(reasons=True, switch="thinking", efforts=_DEEPSEEK_LEVELS),
)
DOUBAO: Final = (
    Family(
        models=("doubao-seed-code",),
        reasons=True,
        switch="thinking",
        token_param="max_completion_tokens",  # noqa: S106 - a count of tokens
    ),
    Family(
        models=("doubao-seed",),
        reasons=True,
        switch="thinking",
        efforts=("minimal", *_LOW_TO_HIGH),
        token_param="max_completion_tokens",  # noqa: S106 - max_tokens would leave out the reasoning
    ),
    Family(models=("deepseek-r1", "kimi-k2-thinking"), reasons=True),
    Family(models=("doubao-1", "deepseek-", "glm-", "kimi-"), switch="thinking"),
    Family(switch="thinking", efforts=("minimal", *_LOW_TO_HIGH)),  # endpoints, `ep-…`: whatever is behind them
)
SILICONFLOW: Final = (
    Family(models=("deepseek-v4", "glm-5.2"), switch="enable_thinking", efforts=("high", "max"), budget=(128, 32_768)),
    Family(switch="enable_thinking", budget=(128, 32_768)),
)
GROQ: Final = (
    Family(models=("gpt-oss",), reasons=True, efforts=_LOW_TO_HIGH, takes_include=True),
    Family(
        models=("qwen3.8",),
        reasons=True,
        switch="effort",
        efforts=("none", "default", *_LOW_TO_HIGH),
        formats=_GROQ_FORMATS,
        format="parsed",
        takes_include=True,
    ),
    Family(
        models=("qwen3", "qwen-3"),
        reasons=True,
        switch="effort",
        efforts=("none", "default"),
        formats=_GROQ_FORMATS,
        format="parsed",
        takes_include=True,
    ),
    Family(),
)
MISTRAL: Final = (
    Family(models=("magistral",), reasons=True),
    Family(
        models=(
            *("mistral-small-latest", "mistral-small-26", "mistral-small-4"),
            *("mistral-medium-latest", "mistral-medium-26", "mistral-medium-3.5", "mistral-medium-3-5"),
        ),
        switch="effort",
        efforts=("none", "high"),
        on="high",
    ),
    Family(),
)
GROK: Final = (
    Family(models=("grok-4.3", "grok-latest"), switch="effort", efforts=("none", *_LOW_TO_HIGH)),
    Family(models=("grok-4.5",), reasons=True, efforts=_LOW_TO_HIGH),
    Family(models=("grok-4.6",), reasons=True, efforts=(*_LOW_TO_HIGH, "xhigh")),
    Family(),  # grok-4.20 rejects any
)
OPENROUTER: Final = (Family(switch="reasoning", efforts=None),)
CEREBRAS: Final = (
    Family(models=("gpt-oss",), reasons=True, efforts=_LOW_TO_HIGH, formats=_CEREBRAS_FORMATS, format="parsed"),
    Family(
        models=("zai-",),
        reasons=True,
        switch="disable_reasoning",
        efforts=("none",),
        formats=_CEREBRAS_FORMATS,
        format="parsed",
    ),
    Family(models=("qwen-3-32b",), reasons=True, formats=_CEREBRAS_FORMATS, format="parsed"),
    Family(formats=_CEREBRAS_FORMATS),
)
NVIDIA: Final = (
    Family(models=("gpt-oss",), reasons=True, efforts=_LOW_TO_HIGH),
    Family(models=("qwen", "glm", "nemotron", "nvidia-nemotron"), switch="template", efforts=None),
    Family(switch="template", template="thinking", efforts=None),
)
ZHIPU: Final = (Family(switch="thinking"),)
VLLM: Final = (
    Family(
        models=("deepseek", "granite", "kimi"), switch="template", template="thinking", efforts=_LOW_TO_HIGH
    ),  # https://docs.vllm.ai, reasoning outputs
    Family(switch="template", efforts=_LOW_TO_HIGH),
)
LLAMACPP: Final = (Family(switch="template", efforts=None, formats=("none", "auto", "deepseek", "deepseek-legacy")),)
SELF_HOSTED: Final = (Family(switch="template", efforts=None),)
