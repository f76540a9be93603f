"""The devices a simulation registers for itself, and revokes again whatever happens."""

import asyncio
import secrets
import sys
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import httpx

from compose.errors import CannotStart
from compose.firmware import LLM_TYPE, MODEL, Device
from compose.server import TIMEOUT_S, Server, complaint
from compose.simulation import Dispenser

AT_ONCE: Final = 8
NAME: Final = "simulated"

_Item = TypeVar("_Item")


@asynccontextmanager
async def registered(
    server: Server,
    count: int,
    *,
    llm_type: str = LLM_TYPE,
    model: str = MODEL,
    answered_by: str | None = None,
    keep: bool = False,
) -> AsyncGenerator[list[Dispenser]]:
    """Register devices whose signatures are verified, and revoke them in the end unless they are to be kept.

    `llm_type` and `model` are compiled into them; `answered_by` is the provider/model that the server is told to ask
    instead.

    Raises:
        CannotStart: if the server is away or refuses.
    """
    made: dict[str, Dispenser] = {}
    series = f"{NAME}-{secrets.token_hex(3)}"
    names = [f"{series}-{number}" for number in range(1, count + 1)]
    async with httpx.AsyncClient(
        base_url=server.url,
        headers={"Authorization": f"Bearer {server.token}"},
        timeout=TIMEOUT_S,
        trust_env=False,
    ) as client:

        async def register(name: str) -> None:
            registration = await _register(client, {"name": name, "signing": "new", "model": answered_by})
            keys = {key: registration["credential"][key] for key in ("access_key", "secret_key")}
            address = f"{server.url}{registration['credential']['address']}"
            made[registration["id"]] = Dispenser(name, Device(address, llm_type=llm_type, model=model, **keys))

        try:
            await _all(names, register)
            yield sorted(made.values(), key=lambda dispenser: names.index(dispenser.name))
        finally:
            if not keep:
                await _revoke_all(client, made)


async def _all(items: Iterable[_Item], work: Callable[[_Item], Awaitable[None]]) -> None:
    """Work through items, a few at a time. What was begun is ended, also on failure and when this is cancelled."""
    waiting = iter(items)

    async def lane() -> None:
        try:
            for item in waiting:
                await work(item)
        finally:
            deque(waiting, maxlen=0)  # after a failure nothing more is begun

    lanes = asyncio.gather(*(lane() for _ in range(AT_ONCE)), return_exceptions=True)
    try:
        outcomes = await asyncio.shield(lanes)
    except asyncio.CancelledError:
        deque(waiting, maxlen=0)
        await lanes
        raise
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome


async def _register(client: httpx.AsyncClient, wanted: dict[str, Any]) -> dict[str, Any]:  # JSON
    try:
        answer = await client.post("/v2/devices", json=wanted)
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise CannotStart(
            f"No server answers at {client.base_url} ({type(error).__name__}): start it with ./smartsip up."
        ) from error
    if answer.status_code != 201:
        raise CannotStart(complaint(answer))
    return answer.json()


async def _revoke_all(client: httpx.AsyncClient, made: dict[str, Dispenser]) -> None:
    left: list[str] = []

    async def revoke(device_id: str) -> None:
        try:
            answer = await client.delete(f"/v2/devices/{device_id}")
        except httpx.TransportError:
            left.append(made[device_id].name)
            return
        if not answer.is_success:
            left.append(made[device_id].name)

    await _all(made, revoke)
    if left:
        sys.stderr.write(f"Not revoked, as the server did not answer: {', '.join(sorted(left))}.\n")
