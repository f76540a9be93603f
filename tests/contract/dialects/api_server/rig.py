"""What tests of this dialect over HTTP share: questions as its clients ask them, and what has become of quotas."""

import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from api.services.quotas import Quota, of_client
from shared.domain.ids import OwnerId
from shared.settings import Settings
from tests.hearing_worker import hearing_worker
from tests.scripted_provider import ScriptedProvider
from tests.served import NO_TLS, Served, served
from tests.stack import eventually

QUESTION = "What is the weather like today?"


@dataclass(frozen=True)
class Rig:
    """What a test works with. `client` and `other` show keys of two owners."""

    api: Served
    provider: ScriptedProvider
    client: httpx.AsyncClient
    other: httpx.AsyncClient

    async def ask(self, client: httpx.AsyncClient | None = None, **wanted: Any) -> httpx.Response:
        """Ask, and return all of the answer."""
        return await (client or self.client).post("/v1/ask", json=asking(**wanted))

    async def info(self, client_id: str, client: httpx.AsyncClient | None = None) -> dict[str, Any]:  # JSON
        """Return what a client has used, once nothing of it is reserved any more."""
        client = client or self.client
        owner_id = await self.owner_of(client)
        await eventually(lambda: self._is_settled(owner_id, client_id), expecting="the settled quota")
        answer = await client.get("/v1/client/info", params={"client_id": client_id})
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def allow(self, client_id: str, limit_tokens: int) -> None:
        """Set the quota of a client of `client`'s."""
        await self.api.front.quotas.put(await self.owner_of(self.client), of_client(client_id), limit_tokens)

    async def owner_of(self, client: httpx.AsyncClient) -> OwnerId:
        """Return whose key a client shows."""
        secret = client.headers["Authorization"].removeprefix("Bearer ")
        key = await self.api.front.keys.find(secret)
        assert key is not None
        return key.owner_id

    def sent(self, number: int = -1) -> dict[str, Any]:  # JSON
        """Return a request as the provider saw it."""
        return [exchange.json for exchange in self.provider.exchanges if exchange.method == "POST"][number]

    async def _is_settled(self, owner_id: OwnerId, client_id: str) -> bool:
        quotas = await self.api.front.quotas.page(owner_id, after=None, limit=100)
        return is_settled([quota for quota in quotas if quota.subject == of_client(client_id)])


def is_settled(quotas: list[Quota]) -> bool:
    return bool(quotas) and not any(quota.reserved_tokens for quota in quotas)


def asking(**wanted: Any) -> dict[str, Any]:  # JSON
    """A question as the old document has it."""
    return {"question": QUESTION, "client_id": "1234", "user_id": "5678", "stream": False} | wanted


def chunks_of(response: httpx.Response) -> list[dict[str, Any]]:
    """Return the events of a stream, strictly as the document has them."""
    assert response.status_code == 200, response.text
    text = response.content.decode("ascii")
    assert text.endswith("\n\n")
    blocks = text.removesuffix("\n\n").split("\n\n")
    assert all(block.startswith("data: ") and "\n" not in block for block in blocks)
    return [json.loads(block.removeprefix("data: ")) for block in blocks]


def words_of(chunk: dict[str, Any]) -> str:
    """Return what a chunk says."""
    return chunk["choices"][0]["delta"].get("content", "")


def text_of(chunks: list[dict[str, Any]]) -> str:
    """Return the answer that chunks amount to."""
    return "".join(map(words_of, chunks))


@asynccontextmanager
async def rig_with(settings: Settings, provider: ScriptedProvider) -> AsyncGenerator[Rig]:
    """Serve, and work, until the block is left."""
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(served(settings))
        await stack.enter_async_context(hearing_worker(settings))
        anna, ben = [await stack.enter_async_context(await client_of(api, name)) for name in ("anna", "ben")]
        yield Rig(api, provider, anna, ben)


async def client_of(api: Served, owner: str, *scopes: str) -> httpx.AsyncClient:
    """Return a client that shows a key of an owner's."""
    wanted = {"name": "a key", "scopes": list(scopes or ["jobs"]), "owner": owner}
    made = await api.client.post("/v2/keys", json=wanted)
    headers = {"Authorization": f"Bearer {made.json()['secret']}"}
    return httpx.AsyncClient(base_url=api.url, headers=headers, trust_env=False, verify=NO_TLS, timeout=10)
