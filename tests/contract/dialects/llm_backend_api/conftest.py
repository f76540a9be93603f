"""The rig of this dialect's tests."""

from collections.abc import AsyncIterator, Iterator

import pytest

from shared.settings import Settings
from tests.contract.dialects.llm_backend_api.rig import Rig, rig_with, settings_with
from tests.scripted_provider import ScriptedProvider


@pytest.fixture
def provider() -> Iterator[ScriptedProvider]:
    with ScriptedProvider() as provider:
        yield provider


@pytest.fixture
def settings(settings: Settings, provider: ScriptedProvider) -> Settings:
    return settings_with(settings, provider)


@pytest.fixture
async def rig(settings: Settings, provider: ScriptedProvider) -> AsyncIterator[Rig]:
    async with rig_with(settings, provider) as rig:
        yield rig
