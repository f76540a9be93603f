"""Time to first token through every surface, in turns within one run: what a dialect costs beside our own API.

`python -m benchmarks.surfaces` starts a private system and a mock provider, as `smartsip bench` does. One client per
surface asks one after the other, each in its turn, so that whatever else the machine does meets all alike. The owner
has a quota, because a client of api-server always has: every surface reserves tokens of it.
"""

import argparse
import asyncio
import random
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import httpx
from websockets.asyncio.client import connect

from benchmarks.system import Size, System, mock_provider, private_system

MODEL: Final = "m-3-2-10"
"""Three tokens, 2 ms apart, the first after 10 ms (`benchmarks.script`)."""
PROMPT: Final = "Write a long text about water."
WARM_UP: Final = 10
Ask: TypeAlias = Callable[[], Awaitable[float]]
"""Asks once and returns the seconds to the first token."""


class Surfaces:
    """The clients of one run."""

    def __init__(self, system: System, client: httpx.AsyncClient) -> None:
        self._system = system
        self._client = client
        self._headers = {"Authorization": f"Bearer {system.token}"}

    async def every(self) -> dict[str, Ask]:
        """Return how each surface is asked, our own first."""
        quota = {"limit_tokens": 1_000_000_000}
        (await self._client.put("/v2/quotas/owner", json=quota, headers=self._headers)).raise_for_status()
        chat = await self._post("/v2/chats", {"title": "bench", "model": f"openai/{MODEL}"})
        conversation = await self._old_conversation()
        message = {"role": "user", "content": PROMPT}
        lite = {"provider": "openai", "model": MODEL, "messages": [message]}
        session = (await self._post("/api/v1/sessions", {"title": "bench", "provider": "openai", "model": MODEL}))["id"]
        openai = {"model": f"openai/{MODEL}", "messages": [message], "stream": True}
        socket = await self._socket()
        return {
            "/v2/jobs": self._stream(
                "/v2/jobs",
                {"kind": "chat", "model": f"openai/{MODEL}", "input": {"messages": [message]}},
                b"event: text",
                {"Accept": "text/event-stream"},
            ),
            "/v2/chats": self._stream(
                f"/v2/chats/{chat['id']}/messages", {"text": PROMPT}, b"event: text", {"Accept": "text/event-stream"}
            ),
            "openai": self._stream("/v1/chat/completions", openai, b'"content":"', {}, other=b'"content": "'),
            "api-server": self._stream(
                "/v1/ask", {"question": PROMPT, "client_id": "b", "user_id": "b", "stream": True}, b'"content": "', {}
            ),
            "llm-backend-api": self._stream(
                f"/api/chat/{conversation['id']}", {"message": PROMPT}, b'"event":"message"', conversation["headers"]
            ),
            "lite-llm-chat": self._stream("/api/v1/chat", {**lite, "session_id": session}, b'"content": "', {}),
            "llm-service-api": socket,
        }

    def _stream(
        self, path: str, body: dict[str, Any], mark: bytes, headers: dict[str, str], *, other: bytes = b"\0"
    ) -> Ask:
        async def ask() -> float:
            began = time.perf_counter()
            first: float | None = None
            seen = b""
            sent = {**self._headers, **headers}
            async with self._client.stream("POST", path, json=body, headers=sent) as response:
                async for piece in response.aiter_raw():
                    seen += piece
                    if first is None and (mark in seen or other in seen):
                        first = time.perf_counter() - began
            if first is None:
                raise RuntimeError(f"{path} answered {response.status_code}: {seen[:300].decode(errors='replace')}")
            return first

        return ask

    async def _socket(self) -> Ask:
        made = await self._post("/set-llm", {"model_name": f"openai/{MODEL}"})
        url = f"ws://127.0.0.1:{self._system.port}/ws/{made['session_id']}"
        socket = await connect(url, additional_headers=self._headers)

        async def ask() -> float:
            began = time.perf_counter()
            await socket.send(PROMPT)
            first: float | None = None
            while '"complete"' not in (frame := str(await socket.recv())):
                first = first or time.perf_counter() - began
                if '"error"' in frame:
                    raise RuntimeError(f"/ws answered {frame[:300]}")
            return first or 0.0

        return ask

    async def _old_conversation(self) -> dict[str, Any]:
        user = {"username": f"bench-{secrets.token_hex(4)}", "password": secrets.token_hex(16)}
        (await self._client.post("/api/users/register", json=user)).raise_for_status()
        login = (await self._client.post("/api/users/login", json=user)).raise_for_status()
        headers = {"Authorization": f"Bearer {login.json()['token']}"}
        body = {"title": "bench", "model": f"openai/{MODEL}"}
        made = (await self._client.post("/api/conversations/create", json=body, headers=headers)).raise_for_status()
        return {"id": made.json()["conversation_id"], "headers": headers}

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:  # JSON both ways
        return (await self._client.post(path, json=body, headers=self._headers)).raise_for_status().json()


async def measure(system: System, rounds: int) -> dict[str, list[float]]:
    """Return the milliseconds to the first token, by surface."""
    url = f"http://127.0.0.1:{system.port}"
    async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as client:
        asks = await Surfaces(system, client).every()
        taken: dict[str, list[float]] = {name: [] for name in asks}
        for number in range(WARM_UP + rounds):
            # In another order each time: what one leaves to be done after its first token meets whoever is next.
            for name, ask in random.sample(list(asks.items()), len(asks)):
                first_s = await ask()
                if number >= WARM_UP:
                    taken[name].append(first_s * 1000)
        return taken


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the exit code is 0 if every surface answered."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.surfaces", description=__doc__)
    parser.add_argument("--rounds", type=int, default=150, help="how often each surface is asked (default 150)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="smartsip-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL, which refuses to be root, must get to its data inside
        private = folder / "private"
        private.mkdir(mode=0o700)
        settings = {"SMARTSIP_DEFAULT_MODEL": f"openai/{MODEL}"}
        with (
            mock_provider(private) as (port, _),
            private_system(folder, Size(), provider_port=port, log=private / "system.log", settings=settings) as system,
        ):
            taken = asyncio.run(measure(system, options.rounds))
    ours = statistics.median(taken["/v2/jobs"])
    print(f"{'surface':<18}{'first token p50, ms':>22}{'more than /v2/jobs, ms':>26}")
    for surface, times in taken.items():
        median = statistics.median(times)
        print(f"{surface:<18}{median:>22.2f}{median - ours:>26.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
