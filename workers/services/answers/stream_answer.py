"""Asking a provider: every answer is taken as a stream, so that it can be stopped at any moment."""

import time
from contextlib import aclosing
from typing import Final

import msgspec

from shared.domain.errors import InvalidRequest, ProviderError, StreamIncomplete
from shared.domain.events import Finish, Noted, Rerouted, Text, Usage
from shared.domain.tokens import ASCII_CHARS_PER_TOKEN, IMAGE_TOKENS, tokens_of, weight_of
from workers.gate import Admission, Asked, NotNow
from workers.providers.base import GeneratedImage, Prompt, PromptMessage, PromptText
from workers.providers.clocks import clocks_for
from workers.services.answers.answer_text import AnswerText
from workers.services.answers.candidates import Candidate, Tried, candidates
from workers.services.attempt import Attempt

USUAL_ANSWER_TOKENS: Final = 500
"""What an answer is thought to have, for the tokens a minute, where its length is not limited."""


async def stream_answer(attempt: Attempt, prompt: Prompt) -> tuple[str, str]:
    """Report the provider's deltas as events; return the whole text and the finish reason.

    The text is without thoughts that the model wrote into it, and its images are references to stored ones. Where the
    model is not to be asked, or fails before its first delta, its fallbacks are asked in their order.

    Raises:
        Park: if none is to be asked at the moment.
        ProviderError: if the provider fails; what it said before was reported.
        InvalidRequest: if the job names a provider this worker does not know.
        Unavailable: if an image of the answer cannot be stored at the moment.
    """
    attempt.input_weight = sum(map(_weight, prompt.messages))
    answer = AnswerText(attempt)
    try:
        finish_reason = await _answer_of_one(attempt, prompt, answer)
    finally:
        answer.end()
    return answer.text, finish_reason


def _weight(message: PromptMessage) -> int:
    shown = sum(not isinstance(part, PromptText) for part in message.parts)
    called = sum(weight_of(call.arguments) for call in message.tool_calls)
    return weight_of(message.text) + called + shown * IMAGE_TOKENS * ASCII_CHARS_PER_TOKEN


async def _answer_of_one(attempt: Attempt, prompt: Prompt, answer: AnswerText) -> str:
    """Report the answer of the first model that gives one."""
    tried = Tried(attempt)
    async with aclosing(candidates(attempt, prompt)) as every:
        async for candidate in every:
            finish_reason = await _try(attempt, prompt, candidate, answer, tried)
            if finish_reason is not None:
                return finish_reason
    raise tried.verdict()


async def _try(attempt: Attempt, prompt: Prompt, candidate: Candidate, answer: AnswerText, tried: Tried) -> str | None:
    """Return how a model's answer ended; None where there was none, and another is to be asked."""
    admission: Admission | None = None
    try:
        async with attempt.tools.gate.admitted(_asked(attempt, candidate, prompt)) as admission:
            if candidate.is_fallback:
                attempt.emit(Rerouted(candidate.provider.name, candidate.model, tried.reason))
            attempt.provider, attempt.model = candidate.provider, candidate.ref
            return await _report(attempt, candidate, prompt, answer, admission)
    except NotNow as refusal:
        if tried.must_wait(refusal):
            raise tried.verdict() from None
    except (ProviderError, InvalidRequest) as error:
        if (admission is not None and admission.is_answered) or tried.must_end(error, candidate):
            raise
    return None


def _asked(attempt: Attempt, candidate: Candidate, prompt: Prompt) -> Asked:
    return Asked(
        job_id=attempt.job_id,
        queue=attempt.queue,
        provider=candidate.provider.name,
        model=candidate.model,
        own_key=attempt.own_key,
        tokens=tokens_of(attempt.input_weight) + (prompt.parameters.max_output_tokens or USUAL_ANSWER_TOKENS),
    )


async def _report(
    attempt: Attempt, candidate: Candidate, prompt: Prompt, answer: AnswerText, admission: Admission
) -> str:
    began = time.monotonic()
    prompt = msgspec.structs.replace(prompt, model=candidate.model)
    clocks = clocks_for(attempt.tools.clocks, candidate.provider)
    # Closing is explicit: a generator that is merely dropped would keep the provider's socket until it is collected.
    async with aclosing(candidate.provider.stream(prompt, clocks)) as deltas:
        async for delta in deltas:
            if not admission.is_answered and not isinstance(delta, Noted):
                admission.is_answered = True
                attempt.tools.first_tokens.note(candidate.ref, time.monotonic() - began)
            if isinstance(delta, Text):
                if not answer.take_plain(delta):
                    await answer.take(delta)
                continue
            if isinstance(delta, GeneratedImage):
                await answer.show(delta)
                continue
            if isinstance(delta, Finish):
                return delta.reason
            if isinstance(delta, Usage):  # the last before the finish: no words may follow it
                answer.end()
                admission.used_tokens = delta.input_tokens + delta.output_tokens
            attempt.emit(delta)
    raise StreamIncomplete("The provider's answer ended without saying that it was complete.")
