"""What every test may ask for: real servers, a migrated database of its own, and settings with quick clocks."""

import gc
import os
import secrets
import sys
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings as hypothesis_settings

from shared.database.migrate import upgrade
from shared.settings import Settings
from shared.settings_sources import PATHS
from tests import stack as stacks
from tests.databases import Databases
from tests.quick_settings import settings_for
from tests.stack import TestStack, administer, database_named, make_bucket, sqlalchemy_url

LONGEST = ("tests/e2e/", "tests/integration/test_benchmarks.py", "tests/integration/workers/test_worker_process.py")
PRODUCTION_NAMES = (
    *PATHS,
    *("HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"),
)


def pytest_configure() -> None:
    """Take what names production, or the developer's own settings, out of the environment of every test."""
    # A whole run compiles its code a hundred times, once for each process it starts, unless the first may keep it.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    hypothesis_settings.register_profile("suite", deadline=None)  # a busy machine is slow, not wrong
    hypothesis_settings.load_profile("suite")
    for name in list(os.environ):
        is_ours = name.startswith("SMARTSIP_") and not name.startswith("SMARTSIP_TEST_")
        if is_ours or name in PRODUCTION_NAMES:
            del os.environ[name]


def pytest_collection() -> None:
    """Collect no garbage while collecting tests, which are all kept: see `pytest_collection_finish`."""
    gc.disable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that none is left for the end, when the others have nothing to do."""
    elsewhere = [item.nodeid for item in items if item.get_closest_marker("alone") and "tests/e2e/" not in item.nodeid]
    assert not elsewhere, f"tests that are to run alone are looked for in tests/e2e: {elsewhere}"
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


def pytest_collection_finish() -> None:
    """Take what collecting made out of the garbage collector's sight: walking all tests again and again costs most."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    gc.enable()


@pytest.fixture(scope="session")
def stack() -> Iterator[TestStack]:
    """The servers every test shares; do not stop them (see `private_stack`)."""
    servers = stacks.shared_stack()
    yield servers
    servers.stop()


@pytest.fixture
def private_stack() -> Iterator[Callable[[], TestStack]]:
    """Starts servers of the test's own, to be killed and restarted."""
    started: list[TestStack] = []

    def start() -> TestStack:
        started.append(stacks.private_stack())
        return started[-1]

    yield start
    for servers in started:
        servers.stop()


@pytest.fixture(scope="session")
def template_database(stack: TestStack) -> Iterator[str]:
    """The name of a migrated database nobody connects to, from which each test's own is cloned."""
    name = f"template_{secrets.token_hex(4)}"
    administer(stack.database_url, f'create database "{name}"')
    upgrade(sqlalchemy_url(database_named(stack.database_url, name)))
    yield name
    administer(stack.database_url, f'drop database "{name}" with (force)')


@pytest.fixture(scope="session")
def databases(stack: TestStack, template_database: str) -> Iterator[Databases]:
    """Where tests get their databases."""
    databases = Databases(stack.database_url, template_database)
    yield databases
    databases.close()


@pytest.fixture
def database_url(databases: Databases) -> Iterator[str]:
    """A migrated database of the test's own."""
    clone = databases.take()
    yield databases.url(clone)
    databases.give_back(clone)


@pytest.fixture
def redis_prefix() -> str:
    """A prefix no other test uses."""
    return f"t{secrets.token_hex(6)}:"


@pytest.fixture(scope="session")
def bucket(stack: TestStack) -> str:
    """A bucket that exists."""
    return make_bucket(stack)


@pytest.fixture
def settings(stack: TestStack, database_url: str, redis_prefix: str, bucket: str) -> Settings:
    """Settings over the shared servers, with clocks at a tenth of the real ones."""
    return settings_for(stack, database_url=database_url, redis_prefix=redis_prefix, bucket=bucket)
