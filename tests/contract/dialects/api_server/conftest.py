"""An api with this dialect, a worker beside it, and OpenAI's part played by a script."""

from collections.abc import AsyncIterator, Iterator

import pytest
from pydantic import SecretStr

from shared.settings import ProviderEndpoint, Settings
from tests.contract.dialects.api_server.rig import Rig, rig_with
from tests.scripted_provider import ScriptedProvider


@pytest.fixture
def provider() -> Iterator[ScriptedProvider]:
    with ScriptedProvider() as provider:
        yield provider


@pytest.fixture
def settings(settings: Settings, provider: ScriptedProvider) -> Settings:
    """Settings in which who names no model is answered by gpt-3.5-turbo, as the old system's clients were."""
    endpoint = ProviderEndpoint(base_url=provider.openai_url, api_key=SecretStr("sk-scripted"))
    return settings.model_copy(update={"providers": {"openai": endpoint}, "default_model": "openai/gpt-3.5-turbo"})


@pytest.fixture
async def rig(settings: Settings, provider: ScriptedProvider) -> AsyncIterator[Rig]:
    async with rig_with(settings, provider) as rig:
        yield rig
