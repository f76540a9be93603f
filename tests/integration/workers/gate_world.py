"""Providers that play scripts, a gate over a real Valkey, and attempts at jobs, without a runner around them."""

from datetime import timedelta
from typing import Any

import msgspec
from pydantic import SecretStr

from shared.adapters.redis_connection import connect
from shared.adapters.redis_limits import RedisProviderLimits
from shared.database.queries import Queries
from shared.domain.commands import ChatInput, JobSpec, Message
from shared.domain.events import Event, Rerouted
from shared.domain.ids import LOCAL_OWNER, JobId, new_job_id
from shared.domain.jobs import Kind, Queue
from shared.settings import ProviderEndpoint, Redis
from shared.settings_providers import ProviderLimits
from tests.quick_settings import quick_clocks
from tests.scripted_provider import ScriptedProvider, ollama_stream
from tests.stack import TestStack
from workers.gate import Asked, Gate
from workers.providers.base import Prompt, PromptImage, PromptMessage, PromptText
from workers.providers.table import build_providers
from workers.services.answers.stream_answer import stream_answer
from workers.services.attempt import Attempt, Tools

SECOND = ollama_stream(["from the second"])
CHAT = ChatInput(messages=[Message(role="user", content="Hi")])
FALLBACKS = {"openai/first": ("ollama/second", "third/third")}


class World:
    """Providers, a gate as one process has it, and attempts at jobs."""

    def __init__(self, stack: TestStack, prefix: str, provider: ScriptedProvider, limits: ProviderLimits) -> None:
        self.endpoints = {
            "openai": ProviderEndpoint(base_url=provider.openai_url, api_key=SecretStr("sk-scripted"), limits=limits),
            "ollama": ProviderEndpoint(base_url=provider.url),
            "third": ProviderEndpoint(base_url=provider.openai_url),
        }
        self.redis = connect(Redis(url=SecretStr(stack.redis_url)))
        self.prefix = prefix
        self.providers = build_providers(self.endpoints)
        self.woken: list[str] = []
        self.gone: set[str] = set()
        """Who does not come when it is woken."""
        self.events: list[Event] = []
        self.gate = self.new_gate()

    def new_gate(self) -> Gate:
        """Return the gate of one more process."""

        async def wake(holder: str) -> bool:
            self.woken.append(holder)
            return holder not in self.gone

        clocks = quick_clocks()
        store = RedisProviderLimits(self.redis, self.prefix, lease=timedelta(seconds=5))
        return Gate(store, self.endpoints, clocks, wake=wake)

    def attempt(
        self,
        model: str = "openai/first",
        *,
        kind: Kind = Kind.CHAT,
        queue: Queue = Queue.CHAT,
        queries: Queries | None = None,
        fallbacks: dict[str, tuple[str, ...]] = FALLBACKS,
        own_key: str | None = None,
    ) -> Attempt:
        """Return an attempt of which only what asking needs is there."""
        parts: dict[str, Any] = dict.fromkeys(Tools.__dataclass_fields__)
        del parts["first_tokens"]
        parts |= {"providers": self.providers, "gate": self.gate, "fallbacks": fallbacks, "queries": queries}
        parts |= {"clocks": quick_clocks(), "prices": {}}
        tools = Tools(**parts)
        spec = JobSpec(kind=Kind.CHAT, model=model, input=CHAT).model_copy(update={"kind": kind})
        self.events = []
        attempt = Attempt(
            job_id=new_job_id(), owner_id=LOCAL_OWNER, spec=spec, tools=tools, emit=self.events.append, queue=queue
        )
        attempt.own_key = own_key
        return attempt

    async def ask(self, attempt: Attempt | None = None, *, photo: bool = False) -> str:
        """Return the answer's text."""
        attempt = attempt or self.attempt()
        parts: tuple[PromptText | PromptImage, ...] = (PromptText("Hi"),)
        if photo:
            parts = (*parts, PromptImage(b"a photo", "image/jpeg"))
        text, _ = await stream_answer(attempt, Prompt(attempt.spec.model_name, (PromptMessage("user", parts),)))
        return text

    def asked(self, queue: Queue = Queue.CHAT, job_id: JobId | None = None, **changes: Any) -> Asked:
        asked = Asked(job_id=job_id or new_job_id(), queue=queue, provider="openai", model="first")
        return msgspec.structs.replace(asked, **changes)

    @property
    def reroutes(self) -> list[tuple[str, str]]:
        return [(event.provider, event.model) for event in self.events if isinstance(event, Rerouted)]

    async def close(self) -> None:
        await self.gate.close()
        for one in self.providers.values():
            await one.close()
        await self.redis.aclose()
