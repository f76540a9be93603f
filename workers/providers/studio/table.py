"""The only list of those that make pictures and films by calls of their own; others draw within their answers."""

from collections.abc import Mapping
from typing import Final, TypeAlias

from shared.settings import ProviderEndpoint
from workers.providers.studio.ark_media import ArkMedia
from workers.providers.studio.base import Studio
from workers.providers.studio.openai_images import OpenAIImages

_Kind: TypeAlias = type[ArkMedia | OpenAIImages]
KINDS: Final[dict[str, _Kind]] = {"doubao": ArkMedia, "openai": OpenAIImages}


def build_studios(endpoints: Mapping[str, ProviderEndpoint]) -> dict[str, Studio]:
    """Return every studio that is configured, by its provider's name."""
    return {name: _build(kind, name, endpoints[name]) for name, kind in KINDS.items() if name in endpoints}


def _build(kind: _Kind, name: str, endpoint: ProviderEndpoint) -> Studio:
    key = endpoint.api_key.get_secret_value() or None if endpoint.api_key is not None else None
    return kind(name, base_url=endpoint.base_url, api_key=key, proxy=endpoint.proxy, headers=endpoint.headers)
