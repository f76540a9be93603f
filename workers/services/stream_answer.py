"""Asking a provider: every answer is taken as a stream, so that it can be stopped at any moment."""

from contextlib import aclosing

from shared.domain.errors import InvalidRequest, StreamIncomplete
from shared.domain.events import Finish, Text, Usage
from shared.domain.tokens import ASCII_CHARS_PER_TOKEN, IMAGE_TOKENS, weight_of
from workers.providers.base import Clocks, Prompt, PromptMessage, PromptText, Provider
from workers.services.answer_text import AnswerText
from workers.services.attempt import Attempt


async def stream_answer(attempt: Attempt, prompt: Prompt) -> tuple[str, str]:
    """Report the provider's deltas as events; return the whole text and the finish reason.

    The text is without thoughts that the model wrote into it, and its images are references to stored ones.

    Raises:
        ProviderError: if the provider fails; what it said before was reported.
        InvalidRequest: if the job names a provider this worker does not know.
        Unavailable: if an image of the answer cannot be stored at the moment.
    """
    provider = _provider(attempt)
    attempt.provider = provider
    attempt.input_weight = sum(map(_weight, prompt.messages))
    answer = AnswerText(attempt)
    try:
        finish_reason = await _report(attempt, prompt, provider, answer)
    finally:
        answer.end()
    return answer.text, finish_reason


def _weight(message: PromptMessage) -> int:
    shown = sum(not isinstance(part, PromptText) for part in message.parts)
    called = sum(weight_of(call.arguments) for call in message.tool_calls)
    return weight_of(message.text) + called + shown * IMAGE_TOKENS * ASCII_CHARS_PER_TOKEN


async def _report(attempt: Attempt, prompt: Prompt, provider: Provider, answer: AnswerText) -> str:
    # Closing is explicit: a generator that is merely dropped would keep the provider's socket until it is collected.
    async with aclosing(provider.stream(prompt, _clocks(attempt))) as deltas:
        async for delta in deltas:
            if isinstance(delta, Text):
                if not answer.take_plain(delta):
                    await answer.take(delta)
                continue
            if isinstance(delta, Finish):
                return delta.reason
            if isinstance(delta, Usage):  # the last before the finish: no words may follow it
                answer.end()
            attempt.emit(delta)
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
