"""Which models may be asked for an answer, and what follows when none of them gives one."""

from collections.abc import AsyncGenerator
from typing import Final

import msgspec
import structlog

from shared.domain.errors import (
    InvalidRequest,
    ModelNotFound,
    ProviderAuth,
    ProviderOverloaded,
    ProviderQuota,
    ProviderRateLimited,
    ProviderRegion,
    ProviderTimeout,
    ProviderUnreachable,
    SmartSipError,
    StreamIncomplete,
)
from shared.domain.jobs import Kind, Queue
from shared.settings_fallbacks import fallbacks_of
from workers.gate import NotNow
from workers.outcomes import Park
from workers.providers.base import Prompt, PromptAudio, PromptImage, PromptVideo, Provider
from workers.services.abilities import has_vision
from workers.services.attempt import Attempt

SHORT_WAIT_S: Final = 2.0
"""So long a job waits for the model it asked for, before it takes another; a device does not wait."""
CURABLE: Final = (
    ProviderRateLimited,
    ProviderOverloaded,
    ProviderQuota,
    ProviderAuth,
    ProviderRegion,
    ProviderUnreachable,
    ProviderTimeout,
    StreamIncomplete,
    ModelNotFound,
)
"""What another provider may not suffer from. What is wrong with the request, or in it, is wrong everywhere."""
_MEDIA: Final = {PromptVideo: "video", PromptAudio: "audio"}

_log = structlog.get_logger(__name__)


class Candidate(msgspec.Struct, frozen=True):
    """A model that may be asked; `model` is the provider's own name for it."""

    provider: Provider
    model: str
    is_fallback: bool = True

    @property
    def ref(self) -> str:
        """`provider/model`."""
        return f"{self.provider.name}/{self.model}"


async def candidates(attempt: Attempt, prompt: Prompt) -> AsyncGenerator[Candidate]:
    """Yield whom to ask, in order: the model that was asked for, then its fallbacks that can take this prompt.

    Raises:
        InvalidRequest: if the job names a provider this worker does not know.
    """
    yield Candidate(_asked_provider(attempt), prompt.model, is_fallback=False)
    for ref in _fallbacks(attempt):
        name, _, model = ref.partition("/")
        provider = attempt.tools.providers.get(name)
        if provider is not None and await _can_take(attempt, prompt, provider, ref):
            yield Candidate(provider, model)
        else:
            _log.info("fallback_left_out", model=ref)


class Tried:
    """What was tried in vain, and why."""

    def __init__(self, attempt: Attempt) -> None:
        self._patience_s = 0.0 if attempt.queue is Queue.DEVICE else SHORT_WAIT_S
        self._waits: list[NotNow] = []
        self._errors: list[SmartSipError] = []

    @property
    def reason(self) -> str:
        """Why the next one is asked: what the last one said."""
        last = self._errors[-1] if self._errors else None
        if last is None and self._waits:
            last = self._waits[-1].error
        return "" if last is None else last.detail or last.title

    def must_wait(self, refusal: NotNow) -> bool:
        """Take in that one is not to be asked now; return whether that is to be waited for."""
        self._waits.append(refusal)
        is_first = len(self._waits) == 1 and not self._errors
        return is_first and refusal.wait_s <= self._patience_s

    def must_end(self, error: SmartSipError, candidate: Candidate) -> bool:
        """Take in that one failed before its first word; return whether no other is to be asked.

        A fallback may fail in any way, as one that has a smaller context does: the others are asked all the same.
        """
        self._errors.append(error)
        return not (candidate.is_fallback or isinstance(error, CURABLE))

    def verdict(self) -> Exception:
        """Return what became of it: a pause where one was not to be asked, else what may pass, else the first."""
        if self._waits:
            soonest = min(self._waits, key=lambda refusal: refusal.wait_s)
            return Park(soonest.wait_s, soonest.error)
        may_pass = [error for error in self._errors if error.retryable]
        return min(may_pass, key=lambda error: error.retry_after_s or 0.0) if may_pass else self._errors[0]


def _asked_provider(attempt: Attempt) -> Provider:
    name = attempt.spec.provider_name
    provider = attempt.tools.providers.get(name)
    if provider is None:
        raise InvalidRequest(f"No provider named {name!r} is configured on this server.", field="model")
    return provider


def _fallbacks(attempt: Attempt) -> tuple[str, ...]:
    """Return the fallbacks of a job's model: none for a caller's own key, nor for what is ordered and paid apiece.

    Nor in a batch: it compares models, and another's answer would count as this one's.
    """
    if attempt.own_key is not None or attempt.queue is Queue.BATCH or attempt.spec.kind not in (Kind.CHAT, Kind.VISION):
        return ()
    return fallbacks_of(attempt.spec.model, attempt.tools.fallbacks)


async def _can_take(attempt: Attempt, prompt: Prompt, provider: Provider, ref: str) -> bool:
    """Whether a fallback can be shown what this prompt shows.

    A dispenser's photo goes only to models that are known to see: one that does not may answer all the same, and water
    would be poured on a guess. In chats a model of which nothing is known may try.
    """
    shown = {type(part) for message in prompt.messages for part in message.parts}
    if not {name for kind, name in _MEDIA.items() if kind in shown} <= provider.media:
        return False
    if PromptImage not in shown:
        return True
    sees = await has_vision(attempt.tools.queries, ref)
    return sees is True or (sees is None and attempt.spec.kind is not Kind.VISION)
