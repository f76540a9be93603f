"""The only list of providers: one row for each that speaks chat completions, a class for each that does not."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from shared.providers_known import about, plain_name
from shared.settings import ProviderEndpoint
from workers.providers.base import Provider
from workers.providers.chat_completions.provider import OpenAICompatibleProvider
from workers.providers.chat_completions.row import OpenAICompatible
from workers.providers.chat_completions.rows_hosted import HOSTED
from workers.providers.chat_completions.rows_self_hosted import SELF_HOSTED, elsewhere
from workers.providers.demo import DemoProvider
from workers.providers.gemini.provider import GeminiProvider
from workers.providers.ollama.provider import OllamaProvider

ROWS: Final = (*HOSTED, *SELF_HOSTED)


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
    """Return the row for an endpoint of that name, or cautious assumptions."""
    known = next((row for row in ROWS if row.name in (name, plain_name(name))), None)
    return elsewhere(name) if known is None else replace(known, name=name)


def _build(name: str, endpoint: ProviderEndpoint) -> Provider:
    api_key = _secret(endpoint.api_key)
    if name == "ollama":
        return OllamaProvider(base_url=endpoint.base_url, api_key=api_key, proxy=endpoint.proxy)
    if name == "gemini" and not endpoint.base_url.endswith("/openai"):
        return GeminiProvider(
            base_url=endpoint.base_url, api_key=api_key, proxy=endpoint.proxy, headers=endpoint.headers
        )
    return OpenAICompatibleProvider(
        _row_at(name, endpoint.base_url),
        base_url=endpoint.base_url,
        api_key=api_key,
        proxy=endpoint.proxy,
        headers=endpoint.headers,
    )


def _row_at(name: str, base_url: str) -> OpenAICompatible:
    """Return a row as it is at an address: at another than the company's own, any model may be served."""
    row, own = row_of(name), about(name).base_url
    is_at_home = own is not None and urlsplit(own).hostname == urlsplit(base_url).hostname
    return row if is_at_home else replace(row, think_tags=True)


def _secret(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value() or None
