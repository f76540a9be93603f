"""Web pages of other origins: only those that are listed, and never with a browser's own credentials."""

import pytest

from shared.settings import Settings
from tests.served import served

PAGE = "http://localhost:5173"
PREFLIGHT = {
    "Origin": PAGE,
    "Access-Control-Request-Method": "DELETE",
    "Access-Control-Request-Headers": "content-type",
}


@pytest.mark.covers("F001-15", "F002-28", "F003-54", "F004-18")
async def test_a_listed_page_may_ask_and_others_may_not(settings: Settings) -> None:
    async with served(settings.model_copy(update={"allowed_origins": (PAGE,)})) as api:
        asked = await api.stranger.options("/v2/jobs", headers=PREFLIGHT)
        assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (200, PAGE)
        assert "DELETE" in asked.headers["access-control-allow-methods"]
        refused = await api.client.get("/v2/jobs/none", headers={"Origin": PAGE})
        assert refused.headers["access-control-allow-origin"] == PAGE  # or the page could not read what was wrong
        assert "access-control-allow-credentials" not in refused.headers
        stranger = await api.client.get("/v2/providers", headers={"Origin": "http://evil.example"})
        assert "access-control-allow-origin" not in stranger.headers


async def test_a_star_lets_every_page_ask_with_a_credential_of_its_own_only(settings: Settings) -> None:
    settings = settings.model_copy(
        update={
            "allowed_origins": ("*",),
            "dialects": settings.dialects.model_copy(update={"lite_llm_chat": "open"}),
        }
    )
    async with served(settings) as api:
        told = await api.client.get("/v2/providers", headers={"Origin": PAGE})
        assert (told.status_code, told.headers["access-control-allow-origin"]) == (200, "*")
        assert "access-control-allow-credentials" not in told.headers
        # What is open to this machine without a credential stays closed to a page that happens to run on it.
        assert (await api.stranger.get("/api/v1/providers", headers={"Origin": PAGE})).status_code == 401


async def test_without_a_list_no_page_is_told_anything(settings: Settings) -> None:
    async with served(settings) as api:
        answer = await api.client.get("/v2/providers", headers={"Origin": PAGE})
        assert not [name for name in answer.headers if name.startswith("access-control")]
