"""The providers this system knows by name: what people call them, where they are, and what configures them.

Facts about their wires are the workers' (`workers.providers.table`). Every address can be changed by its variable; the
variables are those of the older systems' documents, where they have the provider.
"""

from dataclasses import dataclass
from typing import Final

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
        ),
        KnownProvider(
            name="ollama",
            title="Ollama",
            description="Models on a machine of one's own",
            url_variable="OLLAMA_API_URL",
            needs_key=False,
        ),
        KnownProvider(
            name="deepseek",
            title="DeepSeek",
            description="DeepSeek AI language models",
            base_url="https://api.deepseek.com",
            url_variable="DEEPSEEK_BASE_URL",
            key_variable="DEEPSEEK_API_KEY",
            models=("deepseek-flash",),
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
                *("kimi-k2-thinking-251104", "glm-4-7-251222"),
            ),
        ),
        KnownProvider(
            name="siliconflow",
            title="SiliconFlow",
            description="SiliconFlow (OpenAI-compatible) language models",
            base_url="https://api.siliconflow.cn/v1",
            url_variable="SILICONFLOW_BASE_URL",
            key_variable="SILICONFLOW_API_KEY",
            models=("Pro/THUDM/glm-4-9b-chat", "Pro/Qwen/Qwen2.5-7B-Instruct", "deepseek-ai/DeepSeek-V3"),
        ),
        KnownProvider(
            name="groq",
            title="Groq",
            description="Groq (OpenAI-compatible) language models",
            base_url="https://api.groq.com/openai/v1",
            url_variable="GROQ_BASE_URL",
            key_variable="GROQ_API_KEY",
            models=("llama-3.1-8b-instant", "llama-3.3-70b-versatile"),
        ),
        KnownProvider(
            name="mistral",
            title="Mistral",
            description="Mistral (OpenAI-compatible) language models",
            base_url="https://api.mistral.ai/v1",
            url_variable="MISTRAL_BASE_URL",
            key_variable="MISTRAL_API_KEY",
        ),
        KnownProvider(
            name="grok",
            title="Grok",
            description="Grok (xAI, OpenAI-compatible) language models",
            base_url="https://api.x.ai/v1",
            url_variable="GROK_BASE_URL",
            key_variable="GROK_API_KEY",
        ),
        KnownProvider(
            name="openrouter",
            title="OpenRouter",
            description="OpenRouter (OpenAI-compatible) language models",
            base_url="https://openrouter.ai/api/v1",
            url_variable="OPENROUTER_BASE_URL",
            key_variable="OPENROUTER_API_KEY",
        ),
        KnownProvider(
            name="gemini",
            title="Gemini",
            description="Google Gemini models",
            base_url="https://generativelanguage.googleapis.com/v1beta/openai",  # the one that speaks chat completions
            key_variable="GEMINI_API_KEY",
        ),
        KnownProvider(
            name="cerebras",
            title="Cerebras",
            description="Cerebras Inference (OpenAI-compatible) language models",
            base_url="https://api.cerebras.ai/v1",
            url_variable="CEREBRAS_BASE_URL",
            key_variable="CEREBRAS_API_KEY",
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
        ),
    )
}
"""By name."""


def about(name: str) -> KnownProvider:
    """Return what is known of a provider; of one that only this server's settings know, what can be said of any."""
    return KNOWN.get(name) or KnownProvider(
        name=name, title=name, description="A server that speaks chat completions", needs_key=False
    )
