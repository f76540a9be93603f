"""One system for all tests of a module, and two owners of its own for each test."""

import secrets
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from shared.settings import Settings
from tests.contract.dialects.lite_llm_chat.rig import Rig, System, owners_of, settings_with, system_with
from tests.databases import Databases
from tests.quick_settings import settings_for
from tests.scripted_provider import ScriptedProvider
from tests.stack import TestStack


@pytest.fixture
def provider() -> Iterator[ScriptedProvider]:
    """For a test that serves a system of its own."""
    with ScriptedProvider() as provider:
        yield provider


@pytest.fixture(scope="module")
def module_settings(stack: TestStack, databases: Databases, bucket: str) -> Iterator[Settings]:
    """Settings over a database that is the module's own."""
    clone = databases.take()
    url, prefix = databases.url(clone), f"t{secrets.token_hex(6)}:"
    yield settings_for(stack, database_url=url, redis_prefix=prefix, bucket=bucket)
    databases.give_back(clone)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(module_settings: Settings) -> AsyncIterator[System]:
    with ScriptedProvider() as provider:
        async with system_with(settings_with(module_settings, provider), provider) as system:
            yield system


@pytest_asyncio.fixture(loop_scope="module")
async def rig(system: System) -> AsyncIterator[Rig]:
    """The module's system, with a provider that has neither heard nor learnt anything."""
    system.provider.forget()
    async with owners_of(system) as rig:
        yield rig
