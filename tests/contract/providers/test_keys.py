"""Another key for one conversation: over the same connections, used only where it was asked for, and shown nowhere."""

import pytest

from shared.domain.errors import InvalidRequest, ProviderAuth
from tests.contract.providers.rows import KEY, OLLAMA, OPENAI_LIKE, Row, collect
from tests.scripted_provider import ScriptedProvider, answer
from workers.providers.base import Provider
from workers.providers.demo import DemoProvider

OTHER_KEY = "own-key-9876543210"
openai_like = pytest.mark.parametrize("row", OPENAI_LIKE[:1], ids=str)


def keys_seen(server: ScriptedProvider) -> list[str]:
    return [exchange.headers["authorization"].removeprefix("Bearer ") for exchange in server.exchanges]


@openai_like
async def test_each_request_carries_its_own_key_over_one_connection(
    row: Row, provider: Provider, server: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "leak-org")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Custom: leak-custom")
    derived = provider.with_key(OTHER_KEY)
    for asked in (provider, derived, provider, provider.with_key(OTHER_KEY)):
        assert (await collect(asked))[1] is None
    assert keys_seen(server) == [KEY, OTHER_KEY, KEY, OTHER_KEY]
    assert server.open_connections == 1
    assert "leak" not in str([exchange.headers for exchange in server.exchanges])
    assert (derived.name, derived.stops_billing_on_abort) == (provider.name, provider.stops_billing_on_abort)


@openai_like
async def test_closing_the_derived_provider_closes_nothing(
    row: Row, provider: Provider, server: ScriptedProvider
) -> None:
    await collect(provider)
    await provider.with_key(OTHER_KEY).close()
    assert server.open_connections == 1
    assert (await collect(provider))[1] is None
    assert len(server.exchanges) == 2


@openai_like
async def test_neither_key_is_repeated_in_an_error(row: Row, provider: Provider, server: ScriptedProvider) -> None:
    server.play(answer({"error": {"message": f"Wrong: {OTHER_KEY}, unlike {KEY}"}}, status=401))
    _, error = await collect(provider.with_key(OTHER_KEY))
    assert isinstance(error, ProviderAuth)
    assert str(error) == "openai answered 401: Wrong: [key], unlike [key]"


@openai_like
async def test_a_key_is_not_shown(provider: Provider) -> None:
    derived = provider.with_key(OTHER_KEY)
    assert OTHER_KEY not in repr(derived) + str(vars(derived).get("_client", ""))


@openai_like
@pytest.mark.parametrize("key", ["", " ", "a b", "a\nX-Evil: 1", "a\r", "schlüssel", "\x00"])
async def test_what_cannot_be_a_key_is_refused_and_ours_is_not_used_instead(
    row: Row, provider: Provider, server: ScriptedProvider, key: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        provider.with_key(key)
    assert refused.value.field == "api_key"
    assert "Evil" not in str(refused.value)
    assert server.exchanges == []


@pytest.mark.parametrize("row", [OLLAMA], ids=str)
async def test_who_wants_no_key_stays_who_he_is(provider: Provider) -> None:
    demo = DemoProvider()
    assert provider.with_key(OTHER_KEY) is provider
    assert demo.with_key(OTHER_KEY) is demo
