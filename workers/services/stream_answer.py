"""Asking a provider: every answer is taken as a stream, so that it can be stopped at any moment."""

from contextlib import aclosing

from shared.domain.errors import InvalidRequest, StreamIncomplete
from shared.domain.events import Finish, Text
from workers.providers.base import Clocks, Prompt, PromptText, Provider
from workers.services.attempt import Attempt


async def stream_answer(attempt: Attempt, prompt: Prompt) -> tuple[str, str]:
    """Report the provider's deltas as events; return the whole text and the finish reason.

    Raises:
        ProviderError: if the provider fails; what it said before was reported.
        InvalidRequest: if the job names a provider this worker does not know.
    """
    provider = _provider(attempt)
    attempt.provider = provider
    attempt.input_chars = sum(
        len(part.text) for message in prompt.messages for part in message.parts if isinstance(part, PromptText)
    )
    emit = attempt.emit
    text: list[str] = []
    # Closing is explicit: a generator that is merely dropped would keep the provider's socket until it is collected.
    async with aclosing(provider.stream(prompt, _clocks(attempt))) as deltas:
        async for delta in deltas:
            if isinstance(delta, Finish):
                return "".join(text), delta.reason
            if isinstance(delta, Text):
                text.append(delta.text)
            emit(delta)
    raise StreamIncomplete("The provider's answer ended without saying that it was complete.")


def _provider(attempt: Attempt) -> Provider:
    name = attempt.spec.provider_name
    provider = attempt.tools.providers.get(name)
    if provider is None:
        raise InvalidRequest(f"No provider named {name!r} is configured on this server.", field="model")
    return provider


def _clocks(attempt: Attempt) -> Clocks:
    clocks = attempt.tools.clocks
    return Clocks(
        connect_s=clocks.provider_connect.total_seconds(),
        first_delta_s=clocks.provider_first_delta.total_seconds(),
        idle_s=clocks.provider_idle.total_seconds(),
    )
