"""Health, providers, models, and what settings say about all of it."""

from datetime import timedelta
from typing import Any

import pytest

from shared.settings import ProviderEndpoint, Settings
from tests.contract.dialects.lite_llm_chat.rig import (
    API,
    MODELS,
    Rig,
    client_of,
    owners_of,
    said,
    settings_with,
    system_with,
)
from tests.scripted_provider import ScriptedProvider, answer
from tests.served import served

pytestmark = pytest.mark.asyncio(loop_scope="module")

FALLBACK = "deepseek-flash"
DEMO = {
    "id": "demo",
    "name": "demo",
    "provider": "demo",
    "context_length": None,
    "description": "demo",
}


def listed(*models: str) -> list[dict[str, Any]]:  # JSON
    return [
        {"id": model, "name": model, "provider": "deepseek", "context_length": None, "description": model}
        for model in models
    ]


@pytest.mark.covers("F003-01", "F003-02", "F003-03", "F003-04", "F003-05")
async def test_providers_and_models_have_exactly_the_members_that_clients_take(rig: Rig) -> None:
    health = await rig.client.get("/health")
    assert health.json() == {"status": "healthy", "app": "Lite-LLM-Chat Backend", "version": "1.0.0"}
    providers = (await rig.client.get(f"{API}/providers")).json()
    deepseek = {"name": "DeepSeek", "description": "DeepSeek AI language models", "supported": True}
    assert providers[0] == {"id": "deepseek"} | deepseek
    assert [set(provider) for provider in providers] == [{"id", "name", "description", "supported"}] * 2
    assert [provider["id"] for provider in providers] == ["deepseek", "demo"]
    assert (await rig.client.get(f"{API}/models")).json() == [*listed(*MODELS), DEMO]
    assert (await rig.client.get(f"{API}/models?provider=")).json() == [*listed(*MODELS), DEMO]
    assert (await rig.client.get(f"{API}/models?provider=deepseek")).json() == listed(*MODELS)
    assert (await rig.client.get(f"{API}/models?provider=nope")).json() == []
    assert sum(exchange.path == "/models" for exchange in rig.provider.exchanges) == 1


@pytest.mark.covers("F003-05", "F003-06", "F003-55", "F003-58")
async def test_settings_name_the_service_move_it_and_switch_the_cache_off(
    settings: Settings, provider: ScriptedProvider
) -> None:
    settings = settings_with(settings, provider, app_name="Ours", app_version="9", api_prefix="/old/api")
    uncached = {
        "clocks": settings.clocks.model_copy(update={"model_cache": timedelta(0)}),
        "providers": settings.providers | {"mine": ProviderEndpoint(base_url=provider.openai_url)},
    }
    async with system_with(settings.model_copy(update=uncached), provider) as system, owners_of(system) as rig:
        provider.play(answer("broken", status=500), path="/models")
        assert (await rig.client.get("/health")).json() == {"status": "healthy", "app": "Ours", "version": "9"}
        mine = {"id": "mine", "name": "mine", "description": "A server that speaks chat completions", "supported": True}
        assert mine in (await rig.client.get("/old/api/providers")).json()
        for _ in range(2):
            models = (await rig.client.get("/old/api/models?provider=deepseek")).json()
            assert models == listed(FALLBACK)
        assert sum(exchange.path == "/models" for exchange in provider.exchanges) == 2
        asked = said() | {"provider": "mine", "model": "any"}
        assert (await rig.client.post("/old/api/chat", json=asked)).content.endswith(b'data: {"done": true}\n\n')
        for path in ("/old/api/elsewhere", "/uploads/elsewhere"):
            elsewhere = await rig.client.get(path)
            assert (elsewhere.status_code, elsewhere.json()) == (404, {"detail": "Not Found"})
        assert (await rig.client.get(f"{API}/models")).status_code == 404


@pytest.mark.covers("F003-56")
async def test_the_documentation_is_there_and_has_every_route(rig: Rig) -> None:
    for path in ("/docs", "/redoc"):
        page = await rig.api.stranger.get(path)
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    paths = (await rig.api.stranger.get("/openapi.json")).json()["paths"]
    assert {path for path, of in paths.items() if "lite-llm-chat" in next(iter(of.values())).get("tags", ())} == {
        *(f"{API}/{path}" for path in ("providers", "models", "sessions", "sessions/{session_id}", "chat", "upload")),
        f"{API}/sessions/{{session_id}}/truncate/{{message_id}}",
        "/uploads/{name}",
    }


async def test_open_is_for_programs_of_this_machine_and_off_is_for_nobody(
    settings: Settings, provider: ScriptedProvider
) -> None:
    async with served(settings_with(settings, provider, lite_llm_chat="open")) as api:
        assert (await api.stranger.get(f"{API}/sessions")).json() == []
        elsewhere = await api.stranger.get(f"{API}/sessions", headers={"Host": "example.org"})
        assert (elsewhere.status_code, set(elsewhere.json())) == (401, {"detail"})
    async with served(settings_with(settings, provider, lite_llm_chat="off")) as api:
        for path in (f"{API}/sessions", f"{API}/providers", "/uploads/a.png"):
            off = await api.client.get(path)
            assert (off.status_code, set(off.json())) == (404, {"detail"})
        assert (await api.stranger.get("/health")).status_code == 200


@pytest.mark.covers("F003-62")
async def test_history_outlasts_the_server(settings: Settings, provider: ScriptedProvider) -> None:
    settings = settings_with(settings, provider)
    async with system_with(settings, provider) as system, owners_of(system) as rig:
        session_id = (await rig.chat("Remember me"))[0]["session_id"]
        before = await rig.session(session_id)
        owner = rig.owner
    async with served(settings) as api, await client_of(api, owner) as client:
        assert (await client.get(f"{API}/sessions/{session_id}")).json() == before
