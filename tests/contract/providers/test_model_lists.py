"""Lists of models: fetched with the provider's own key, bounded in size and time, with one error where they fail."""

import pytest
from pydantic import SecretStr

from shared.domain.errors import (
    ModelNotFound,
    ProviderAuth,
    ProviderError,
    ProviderOverloaded,
    ProviderTimeout,
    ProviderUnreachable,
)
from shared.domain.models import Abilities, ListedModel
from shared.providers_known import KNOWN
from shared.settings import ProviderEndpoint
from tests.contract.providers.rows import KEY, OLLAMA, Row, at, connected
from tests.scripted_provider import Reply, ScriptedProvider, answer
from workers.providers.base import Provider
from workers.providers.model_lists import MAX_BODY_BYTES
from workers.providers.table import build_providers

OPENAIS = {"object": "list", "data": [{"id": "gpt-4o", "object": "model"}, {"id": "text-embedding-3-small"}]}
OLLAMAS = {"models": [{"name": "llava:7b", "model": "llava:7b", "size": 1}]}


async def failure(provider: Provider, *, timeout_s: float = 5) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await provider.list_models(timeout_s)
    return caught.value


async def test_a_list_is_fetched_with_the_providers_own_key(
    row: Row, provider: Provider, server: ScriptedProvider
) -> None:
    server.play(answer(OLLAMAS if row.is_ollama else OPENAIS))
    server.play(answer("", status=404), path="/api/show")
    expected = {
        "openai": ["gpt-4o"],
        "elsewhere": ["gpt-4o"],
        "ollama": ["llava:7b"],
    }[row.name]
    assert await provider.list_models(5) == [ListedModel.named(model) for model in expected]
    asked = server.exchanges[0]
    assert (asked.method, asked.path) == ("GET", "/api/tags" if row.is_ollama else "/v1/models")
    assert (asked.headers["authorization"], asked.body) == (f"Bearer {KEY}", b"")


async def test_ollama_is_asked_about_each_of_its_models(server: ScriptedProvider) -> None:
    names = ("sees", "embeds", "silent", "odd", "gone")
    server.play(answer({"models": [{"name": name, "model": name} for name in names]}))
    abilities = {"sees": ["completion", "vision"], "embeds": ["embedding"]}
    shown = {name: answer({"capabilities": said}) for name, said in abilities.items()}
    shown |= {"silent": answer({}).delayed(60), "odd": answer("<html>"), "gone": answer("", status=404)}
    for name, reply in shown.items():
        server.play(reply, model=name)
    async with connected(OLLAMA, server) as ollama:
        models = await ollama.list_models(0.5)
    assert models == [
        ListedModel(
            "sees",
            "sees",
            Abilities(vision=True, audio=False, reasoning=False, tools=False, makes=("answer",)),
        ),
        *(ListedModel.named(name) for name in ("silent", "odd", "gone")),
    ]
    asked = [(one.method, one.path, one.headers["authorization"], one.model) for one in server.exchanges[1:]]
    assert sorted(asked) == sorted(("POST", "/api/show", f"Bearer {KEY}", name) for name in names)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (answer({"error": {"message": f"Incorrect API key provided: {KEY}"}}, status=401), ProviderAuth),
        (answer("", status=404), ModelNotFound),
        (answer("busy", status=503), ProviderOverloaded),
        (answer("", status=302, headers={"location": "http://127.0.0.1:1/"}), ProviderError),
        (answer("<html>Please log in</html>", media_type="text/html"), ProviderError),
        (answer({"object": "list"}), ProviderError),
        (answer(b'{"data": ["' + b"a" * MAX_BODY_BYTES + b'"]}'), ProviderError),
    ],
    ids=["401", "404", "503", "302", "html", "no list", "too long"],
)
async def test_what_is_no_list_is_one_error_without_a_key(
    row: Row, provider: Provider, server: ScriptedProvider, reply: Reply, expected: type[ProviderError]
) -> None:
    server.play(reply)
    error = await failure(provider)
    assert (type(error), KEY in repr(error)) == (expected, False)
    assert str(error).startswith(row.name)


async def test_a_key_of_any_form_is_not_repeated(row: Row, server: ScriptedProvider) -> None:
    key = "0123456789-of-no-known-form"
    endpoint = ProviderEndpoint(base_url=server.url, api_key=SecretStr(key))
    provider = build_providers({row.name: endpoint})[row.name]
    server.play(answer({"error": {"message": f"Nobody knows {key}"}}, status=401))
    assert str(await failure(provider)) == f"{row.name} answered 401: Nobody knows [key]"
    await provider.close()


async def test_a_list_that_does_not_come_is_given_up_and_its_socket_closed(
    row: Row, provider: Provider, server: ScriptedProvider
) -> None:
    whole = answer(OPENAIS)
    for number, reply in enumerate((whole.delayed(60), whole.stalled_after(9))):
        server.play(reply)
        error = await failure(provider, timeout_s=0.2)
        assert (type(error), str(error)) == (
            ProviderTimeout,
            f"{row.name} did not list its models within 0.2 s",
        )
        await server.wait_closed(number)


async def test_nobody_there_is_unreachable(row: Row) -> None:
    with ScriptedProvider() as gone:
        port = gone.port
    provider = at(row, f"http://127.0.0.1:{port}")
    error = await failure(provider)
    assert (type(error), str(error)) == (
        ProviderUnreachable,
        f"{row.name} (127.0.0.1:{port}) cannot be reached: connection refused",
    )
    await provider.close()


async def test_a_provider_without_a_list_tells_what_is_known_of_it_and_is_not_called(server: ScriptedProvider) -> None:
    endpoint = ProviderEndpoint(base_url=server.openai_url, api_key=SecretStr(KEY))
    providers = build_providers({"doubao": endpoint})
    lists = {name: [model.id for model in await provider.list_models(5)] for name, provider in providers.items()}
    assert lists == {"demo": ["demo"], "doubao": [*KNOWN["doubao"].models]}
    assert server.exchanges == []
    await providers["doubao"].close()
