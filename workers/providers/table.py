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

ROWS: Final = (
    OpenAICompatible(
        name="openai",
        stops_billing_on_abort="yes",
        # max_tokens is deprecated, and reasoning models refuse it (types of the SDK 3.54)
        token_param="max_completion_tokens",  # noqa: S106 - a count of tokens
        schema_mode="json_schema_strict",
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
