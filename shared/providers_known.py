"""The providers this system knows by name: what people call them, where they are, and what configures them.

Facts about their wires are the workers' (`workers.providers.table`). Every address can be changed by its variable; the
variables are those of the older systems' documents, where they have the provider.
"""

from dataclasses import dataclass
from typing import Final, Literal

from shared.domain.events import StopsBilling
from shared.domain.models import Makes, SchemaMode

DEMO: Final = "demo"
"""The provider that needs no key and no endpoint, and says in every answer that it is not a model."""


@dataclass(frozen=True, kw_only=True)
class KnownProvider:
    """One provider; `name` is the part of a model's reference before the slash."""

    name: str
    title: str
    description: str
    base_url: str | None = None
    """Where it is; None: only its user knows."""
    url_variable: str | None = None
    key_variable: str | None = None
    needs_key: bool = True
    is_spoken_elsewhere: bool = False
    """Whether other servers are reached under its name: at another address it needs no key."""
    has_list: bool = True
    """Whether it lists its models; if not, `models` are all there is to know."""
    models: tuple[str, ...] = ()
    """What is offered as long as its own list was never had."""
    stops_billing_on_abort: StopsBilling = "unknown"
    """Whether it stops charging when its socket is closed half-way."""
    media: frozenset[Literal["video", "audio"]] = frozenset()
    """What it takes besides texts and images."""
    schema_mode: SchemaMode = "json_object"
    """How it is asked for JSON, where nothing better is known of a model."""
    makes: tuple[Makes, ...] = ("answer",)
    """What it can be asked for here."""

    @property
    def how_to_configure(self) -> str:
        """What a person must do to have it."""
        return f"set {self.key_variable if self.needs_key else self.url_variable}"

    def is_configured(self, base_url: str, *, has_key: bool) -> bool:
        """Return whether it can be called with what was set."""
        return has_key or not self.needs_key or (self.is_spoken_elsewhere and base_url != self.base_url)


KNOWN: Final = {
    provider.name: provider
    for provider in (
        KnownProvider(
            name="openai",
            title="OpenAI",
            description="OpenAI language models, or any server that speaks their protocol",
            base_url="https://api.openai.com/v1",
            url_variable="OPENAI_BASE_URL",
            key_variable="OPENAI_API_KEY",
            is_spoken_elsewhere=True,
            stops_billing_on_abort="yes",
            media=frozenset({"audio"}),
            schema_mode="json_schema_strict",
            makes=("answer", "images"),
        ),
        KnownProvider(
            name="ollama",
            title="Ollama",
            description="Models on a machine of one's own",
            url_variable="OLLAMA_API_URL",
            needs_key=False,
            stops_billing_on_abort="yes",
            schema_mode="json_schema",
        ),
        KnownProvider(
            name="deepseek",
            title="DeepSeek",
            description="DeepSeek AI language models",
            base_url="https://api.deepseek.com",
            url_variable="DEEPSEEK_BASE_URL",
            key_variable="DEEPSEEK_API_KEY",
            models=("deepseek-flash",),
            stops_billing_on_abort="yes",
        ),
        KnownProvider(
            name="doubao",
            title="Doubao",
            description="Doubao (Volcengine Ark) language models",
            base_url="https://ark.cn-beijing.volces.com/api/v3",
            url_variable="DOUBAO_BASE_URL",
            key_variable="DOUBAO_API_KEY",
            has_list=False,
            models=(
                *("doubao-1-5-vision-pro-32k-250115", "doubao-1-5-lite-32k-250115", "doubao-1-5-pro-32k-250115"),
                *("doubao-seed-1-6-vision-250815", "doubao-seed-1-6-flash-250828", "doubao-seed-1-6-lite-251015"),
                *("doubao-seed-1-6-251015", "doubao-seed-code-preview-251028", "doubao-seed-1-8-251228"),
                *("deepseek-r1-250528", "deepseek-v3-250324", "deepseek-v3-1-terminus", "deepseek-v3-2-251201"),
                *("kimi-k2-thinking-251104", "glm-4-7-251222", "doubao-seedream-4-5-251128"),
                *("doubao-seedream-4-0-250828", "doubao-seedance-1-5-pro-251215", "doubao-seedance-1-0-pro-250528"),
                *("doubao-seedance-1-0-pro-fast-251015", "doubao-seedance-1-0-lite-i2v-250428"),
                "doubao-seedance-1-0-lite-t2v-250428",
            ),
            media=frozenset({"video", "audio"}),
            makes=("answer", "images", "video"),
        ),
        KnownProvider(
            name="siliconflow",
            title="SiliconFlow",
            description="SiliconFlow (OpenAI-compatible) language models",
            base_url="https://api.siliconflow.cn/v1",
            url_variable="SILICONFLOW_BASE_URL",
            key_variable="SILICONFLOW_API_KEY",
            models=("Pro/THUDM/glm-4-9b-chat", "Pro/Qwen/Qwen2.5-7B-Instruct", "deepseek-ai/DeepSeek-V3"),
            media=frozenset({"video", "audio"}),
        ),
        KnownProvider(
            name="groq",
            title="Groq",
            description="Groq (OpenAI-compatible) language models",
            base_url="https://api.groq.com/openai/v1",
            schema_mode="json_schema",
            url_variable="GROQ_BASE_URL",
            key_variable="GROQ_API_KEY",
            models=("llama-3.1-8b-instant", "llama-3.3-70b-versatile"),
            stops_billing_on_abort="no",
        ),
        KnownProvider(
            name="mistral",
            title="Mistral",
            description="Mistral (OpenAI-compatible) language models",
            base_url="https://api.mistral.ai/v1",
            url_variable="MISTRAL_BASE_URL",
            key_variable="MISTRAL_API_KEY",
            stops_billing_on_abort="no",
            media=frozenset({"audio"}),
            schema_mode="json_schema",
        ),
        KnownProvider(
            name="grok",
            title="Grok",
            description="Grok (xAI, OpenAI-compatible) language models",
            base_url="https://api.x.ai/v1",
            url_variable="GROK_BASE_URL",
            key_variable="GROK_API_KEY",
            stops_billing_on_abort="yes",
            schema_mode="json_schema_strict",
        ),
        KnownProvider(
            name="openrouter",
            title="OpenRouter",
            description="OpenRouter (OpenAI-compatible) language models",
            base_url="https://openrouter.ai/api/v1",
            schema_mode="json_schema",
            url_variable="OPENROUTER_BASE_URL",
            key_variable="OPENROUTER_API_KEY",
            media=frozenset({"video", "audio"}),
            makes=("answer", "images"),
        ),
        KnownProvider(
            name="gemini",
            title="Gemini",
            description="Google Gemini models",
            base_url="https://generativelanguage.googleapis.com",
            url_variable="GEMINI_BASE_URL",
            key_variable="GEMINI_API_KEY",
            stops_billing_on_abort="no",
            media=frozenset({"video", "audio"}),
            schema_mode="json_schema",
            makes=("answer", "images"),
        ),
        KnownProvider(
            name="cerebras",
            title="Cerebras",
            description="Cerebras Inference (OpenAI-compatible) language models",
            base_url="https://api.cerebras.ai/v1",
            url_variable="CEREBRAS_BASE_URL",
            key_variable="CEREBRAS_API_KEY",
            schema_mode="json_schema_strict",
        ),
        KnownProvider(
            name="nvidia",
            title="Nvidia",
            description="Nvidia NIM language models",
            base_url="https://integrate.api.nvidia.com/v1",
            url_variable="NVIDIA_BASE_URL",
            key_variable="NVIDIA_API_KEY",
            models=(
                "nvidia/llama-3.1-8b-instruct",
                "nvidia/llama-3.1-70b-instruct",
                "nvidia/llama-3.1-405b-instruct",
            ),
        ),
        KnownProvider(
            name="zhipu",
            title="Zhipu",
            description="Zhipu AI (GLM) language models",
            base_url="https://open.bigmodel.cn/api/paas/v4",
            url_variable="ZHIPU_BASE_URL",
            key_variable="ZHIPU_API_KEY",
        ),
        KnownProvider(
            name=DEMO,
            title="Demo",
            description="Needs no key, and says in every answer that it is not a model",
            base_url="demo:",
            needs_key=False,
            has_list=False,
            models=("demo",),
            stops_billing_on_abort="yes",
            media=frozenset({"video", "audio"}),
            schema_mode="json_schema_strict",
            makes=("answer", "images"),
        ),
    )
}
"""By name."""


SERVERS: Final = {"vllm": "vLLM", "lmstudio": "LM Studio", "llamacpp": "llama.cpp"}
"""Servers of one's own that are known when an endpoint is named after them, and what people call them."""


def plain_name(name: str) -> str:
    """Return the name of an endpoint as `SERVERS` has it: `llama_cpp` and `lm-studio` are meant, too."""
    return name.replace("_", "").replace("-", "")


def about(name: str) -> KnownProvider:
    """Return what is known of a provider; of one that only this server's settings know, what can be said of any."""
    server = SERVERS.get(plain_name(name))
    return KNOWN.get(name) or KnownProvider(
        name=name,
        title=server or name,
        description="A server that speaks chat completions",
        needs_key=False,
        media=frozenset({"video", "audio"}),  # only its owner knows
        schema_mode="json_schema" if server else "json_object",
    )
