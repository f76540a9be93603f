"""Doubles of Lite-LLM-Chat's two clients, faithful in what they call, in what order, and in what they make of it.

The terminal client is strict with providers and models (a member too many is a TypeError) and reads a stream line by
line to its end; the web page splits it at blank lines, ignores a block that does not begin with `data:`, and stops at
`done` or `error`.
"""

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

import httpx

from tests.served import NO_TLS

Json = dict[str, Any]
SETTINGS: Json = {
    "temperature": 1,
    "top_p": 1,
    "frequency_penalty": 0,
    "presence_penalty": 0,
    "image_detail": "auto",
    "video_detail": "auto",
}
"""What the web page sends with every message to DeepSeek."""


def terminal_chunks(sent: bytes) -> list[Json]:
    """What the terminal client makes of a stream."""
    chunks: list[Json] = []
    for line in sent.split(b"\n"):
        text = line.decode().strip()
        if not text.startswith("data:"):
            continue
        data = text.removeprefix("data:").strip()
        if data == "[DONE]":
            break
        chunks.append(json.loads(data))
    return chunks


def page_events(sent: bytes) -> list[Json]:
    """What the web page makes of a stream."""
    chunks: list[Json] = []
    *blocks, _ = sent.decode().split("\n\n")
    for block in blocks:
        text = block.strip()
        if not text.startswith("data:"):
            continue
        data = text.removeprefix("data:").strip()
        if data == "[DONE]":
            continue
        chunks.append(json.loads(data))
        if chunks[-1].get("done") or chunks[-1].get("error"):
            break
    return chunks


@dataclass
class Provider:
    """As the terminal client has it: one more member is a TypeError."""

    id: str
    name: str
    description: str
    supported: bool


@dataclass
class Model:
    """As the terminal client has it."""

    id: str
    name: str
    provider: str
    description: str
    context_length: int | None = None


@dataclass
class Session:
    """What the terminal client takes of a session."""

    id: int
    title: str
    provider: str
    model: str
    created_at: datetime
    updated_at: datetime
    message_count: int
    messages: list[tuple[str, str, datetime]] = field(default_factory=list[tuple[str, str, datetime]])

    @classmethod
    def of(cls, data: Json) -> Self:
        """Read named members; extra ones are fine here."""
        return cls(
            id=data["id"],
            title=data["title"],
            provider=data["provider"],
            model=data["model"],
            created_at=instant(data["created_at"]),
            updated_at=instant(data["updated_at"]),
            message_count=data["message_count"],
            messages=[(it["role"], it["content"], instant(it["created_at"])) for it in data.get("messages", [])],
        )


def instant(text: str) -> datetime:
    """Read an instant as Python 3.10 and older do: fractions have three or six digits."""
    assert len(text.partition(".")[2]) in (0, 3, 6)
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


class TerminalClient:
    """`chat_console.py URL`."""

    def __init__(self, base_url: str) -> None:
        self._http = httpx.AsyncClient(base_url=base_url, trust_env=False, verify=NO_TLS, timeout=10)
        self.session: Session | None = None
        self.shown: list[str] = []
        """What stood on the terminal."""
        self.is_streaming = True

    async def start(self) -> None:
        """Connect as it does before the first prompt; the first provider and model are chosen."""
        health = await self._http.get("/health")
        assert health.status_code == 200, "Backend not available"
        self.providers = [Provider(**it) for it in await self._read("/providers")]
        self.models = [Model(**it) for it in await self._read("/models")]
        assert self.providers, "No providers or models available"
        assert self.models, "No providers or models available"
        self.model = self.models[0]

    async def new(self) -> None:
        """`/new`."""
        made = await self._http.post(
            "/api/v1/sessions",
            json={"title": "Chat 2026-11-21 09:19", "provider": self.model.provider, "model": self.model.id},
        )
        assert made.status_code == 201
        self.session = Session.of(made.json())

    async def say(self, text: str) -> str:
        """A line that is no command; returns the answer as it was shown."""
        if self.session is None:
            await self.new()
        session = self.session
        assert session is not None
        request: Json = {
            "provider": self.model.provider,
            "model": self.model.id,
            "messages": [{"role": "user", "content": text}],
            "stream": self.is_streaming,
            "temperature": 1.0,
            "session_id": session.id,
            "message_provider": self.model.provider,
            "message_model": self.model.id,
        }
        answer = await (self._streamed if self.is_streaming else self._whole)(request)
        if session.message_count == 0:
            renamed = await self._http.patch(
                f"/api/v1/sessions/{session.id}", json={"title": answer.partition("\n")[0][:50]}
            )
            assert renamed.status_code == 200
            session.title = Session.of(renamed.json()).title
        session.message_count += 2
        self.shown.append(answer)
        return answer

    async def sessions(self) -> list[Session]:
        """`/sessions`."""
        return [Session.of(it) for it in await self._read("/sessions?skip=0&limit=100")]

    async def load(self, session_id: int) -> Session:
        """`/load N`."""
        self.session = Session.of(await self._read(f"/sessions/{session_id}"))
        return self.session

    async def rename(self, title: str) -> None:
        """`/rename title`."""
        assert self.session is not None
        answer = await self._http.patch(f"/api/v1/sessions/{self.session.id}", json={"title": title})
        assert answer.status_code == 200

    async def switch(self, provider: str, model: str) -> None:
        """`/switch provider model`, which looks at the models it knows."""
        self.model = next(it for it in self.models if (it.provider, it.id) == (provider, model))

    async def models_of(self, provider: str) -> list[Model]:
        """`/models provider`."""
        return [Model(**it) for it in await self._read(f"/models?provider={provider}")]

    async def delete(self, session_id: int | None = None) -> None:
        """`/delete N`, or `/deleteall`."""
        answer = await self._http.delete("/api/v1/sessions" + (f"/{session_id}" if session_id else ""))
        assert answer.status_code == 204
        self.session = None

    async def close(self) -> None:
        """`/exit`."""
        await self._http.aclose()

    async def _streamed(self, request: Json) -> str:
        answer = await self._http.post("/api/v1/chat", json=request)
        assert answer.status_code == 200  # anything else shows nothing at all
        chunks = terminal_chunks(answer.content)
        error = next((chunk["error"] for chunk in chunks if "error" in chunk), "")
        return error or "".join(chunk.get("content", "") for chunk in chunks)

    async def _whole(self, request: Json) -> str:
        answer = await self._http.post("/api/v1/chat", json=request)
        assert answer.status_code == 200, answer.text
        message = answer.json()["message"]
        assert answer.json()["session_id"] == request["session_id"]
        assert {"id", "role", "content", "created_at"} <= set(message)
        instant(message["created_at"])
        return message["content"]

    async def _read(self, path: str) -> Any:
        answer = await self._http.get(f"/api/v1{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()


class WebPage:
    """The React page at another origin, with `VITE_BACKEND_URL` as its base."""

    def __init__(self, base_url: str, *, origin: str) -> None:
        self._base_url = base_url
        self._origin = origin
        self._http = httpx.AsyncClient(headers={"Origin": origin}, trust_env=False, verify=NO_TLS, timeout=10)
        self.session_id: int | None = None
        self.messages: list[Json] = []
        """What is displayed."""
        self.displayed = ""
        """What was displayed of the last answer when its stream had ended, before the messages were fetched again."""

    async def load(self) -> None:
        """What it does when it is opened."""
        self.providers: list[Json] = await self._json("GET", "/api/v1/providers")
        self.sessions: list[Json] = await self._json("GET", "/api/v1/sessions?skip=0&limit=100")
        self.provider: str = self.providers[0]["id"]
        models = await self._json("GET", f"/api/v1/models?provider={self.provider}")
        self.model: str = models[0]["id"]

    async def attach(self, name: str, content: bytes, media_type: str) -> str:
        """Upload a file; exactly 200 is success."""
        answer = await self._http.post(f"{self._base_url}/api/v1/upload", files={"file": (name, content, media_type)})
        assert answer.status_code == 200, answer.text
        self._allowed(answer)
        return answer.json()["url"]

    async def send(self, content: str, *, images: list[str] | None = None, videos: list[str] | None = None) -> None:
        """Send a message, show the answer as it comes, then show what the server has."""
        message = {"role": "user", "content": content, "images": images or [], "videos": videos or [], "audios": []}
        request: Json = {
            "provider": self.provider,
            "model": self.model,
            "messages": [message],
            "stream": True,
            **SETTINGS,
        }
        request |= {"title": content[:50]} if self.session_id is None else {"session_id": self.session_id}
        async with self._http.stream("POST", f"{self._base_url}/api/v1/chat", json=request) as answer:
            assert answer.is_success, "Sorry, an error occurred. Please try again."
            self._allowed(answer)
            received = b""
            self.displayed = ""
            async for chunk in answer.aiter_bytes():
                received += chunk
                events = page_events(received)
                if events and ("done" in events[-1] or "error" in events[-1]):
                    break  # later bytes are never read
        self._show(page_events(received))
        self.sessions = await self._json("GET", "/api/v1/sessions?skip=0&limit=100")
        self.messages = (await self._json("GET", f"/api/v1/sessions/{self.session_id}"))["messages"]

    async def edit(self, message: Json, content: str) -> None:
        """Edit a message of the user's: forget it and everything after it, and send the new one with its images."""
        path = f"/api/v1/sessions/{self.session_id}/truncate/{message['id']}"
        assert (await self._request("DELETE", path)).status_code == 204
        await self.send(content, images=message["images"])

    async def rename(self, title: str) -> Json:
        """Give the session another title."""
        return await self._json("PATCH", f"/api/v1/sessions/{self.session_id}", json={"title": title})

    async def remove(self) -> None:
        """Delete the session."""
        assert (await self._request("DELETE", f"/api/v1/sessions/{self.session_id}")).status_code == 204
        self.session_id = None

    async def media(self, path: str) -> httpx.Response:
        """Load what an `img` or a `video` shows."""
        return await self._http.get(f"{self._base_url}{path}")

    async def preflight(self, method: str, path: str) -> httpx.Response:
        """Ask as browsers do before such a request to another origin."""
        wanted = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": "content-type"}
        return await self._http.options(f"{self._base_url}{path}", headers=wanted)

    async def close(self) -> None:
        """Leave the page."""
        await self._http.aclose()

    def _show(self, events: list[Json]) -> None:
        for event in events:
            self.session_id = event.get("session_id", self.session_id)
            incoming = event.get("content", "")
            is_repeated = bool(self.displayed) and incoming.startswith(self.displayed)
            self.displayed = incoming if is_repeated else self.displayed + incoming

    async def _request(self, method: str, path: str, **content: Any) -> httpx.Response:
        answer = await self._http.request(method, f"{self._base_url}{path}", **content)
        self._allowed(answer)
        return answer

    async def _json(self, method: str, path: str, **content: Any) -> Any:
        answer = await self._request(method, path, **content)
        assert answer.is_success, answer.text
        return answer.json()

    def _allowed(self, answer: httpx.Response) -> None:
        assert answer.headers["access-control-allow-origin"] in ("*", self._origin)
