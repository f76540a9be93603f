"""The only list of providers: one row for each that speaks chat completions, a class for each that does not."""

from collections.abc import Mapping
from typing import Final

from pydantic import SecretStr

from shared.settings import ProviderEndpoint
from workers.providers.base import Provider
from workers.providers.demo import DemoProvider
from workers.providers.ollama import OllamaProvider
from workers.providers.openai_compatible import OpenAICompatibleProvider
from workers.providers.openai_wire import OpenAICompatible

_OPENAI_REASONS: Final = (
    *((f"gpt-5.{minor}-{variant}", True) for minor in (1, 2, 3, 4) for variant in ("chat", "pro")),
    ("gpt-5.1-codex", True),
    *((f"gpt-5.{minor}", False) for minor in (1, 2, 3, 4)),
    ("gpt-5-chat", False),
    ("gpt-5", True),
    ("gpt-6-astra", True),
    *((f"o{number}", True) for number in range(1, 10)),
)
"""GPT-5.1 to 5.4 reason only when asked to, but for their chat and pro variants; everything else of the family does by
itself, except its first chat model (https://developers.openai.com/api/docs/guides/reasoning; pydantic-ai 2026-07,
profiles/openai.py, where nearly all were tried). In doubt they are left out: that costs less than a refusal."""

ROWS: Final = (
    OpenAICompatible(
        name="openai",
        stops_billing_on_abort="yes",
        # max_tokens is deprecated, and reasoning models refuse it (types of the SDK 3.54)
        token_param="max_completion_tokens",  # noqa: S106 - a count of tokens
        schema_mode="json_schema_strict",
        reasons=_OPENAI_REASONS,
    ),
)


def build_providers(endpoints: Mapping[str, ProviderEndpoint]) -> dict[str, Provider]:
    """Return every provider that is configured, by name; `demo` always.

    A name that no row and no class has is taken as a server that speaks chat completions, with cautious assumptions.
    """
    providers: dict[str, Provider] = {"demo": DemoProvider()}
    for name, endpoint in endpoints.items():
        if name not in providers:
            providers[name] = _build(name, endpoint)
    return providers


def row_of(name: str) -> OpenAICompatible:
    """Return the row of that name, or cautious assumptions."""
    return next((row for row in ROWS if row.name == name), OpenAICompatible(name=name))


def _build(name: str, endpoint: ProviderEndpoint) -> Provider:
    api_key = _secret(endpoint.api_key)
    if name == "ollama":
        return OllamaProvider(base_url=endpoint.base_url, api_key=api_key, proxy=endpoint.proxy)
    return OpenAICompatibleProvider(row_of(name), base_url=endpoint.base_url, api_key=api_key, proxy=endpoint.proxy)


def _secret(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value() or None
