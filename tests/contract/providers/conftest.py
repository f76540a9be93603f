"""What the suites over all providers share."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.contract.providers.rows import ALL, Row, connected
from tests.scripted_provider import ScriptedProvider
from workers.providers.base import Provider


@pytest.fixture(params=ALL, ids=str)
def row(request: pytest.FixtureRequest) -> Row:
    """Each provider in turn."""
    return request.param


@pytest.fixture
def server() -> Iterator[ScriptedProvider]:
    """A server that plays the provider."""
    with ScriptedProvider() as scripted:
        yield scripted


@pytest.fixture
async def provider(row: Row, server: ScriptedProvider) -> AsyncIterator[Provider]:
    """The provider, connected to the server."""
    async with connected(row, server) as ready:
        yield ready
