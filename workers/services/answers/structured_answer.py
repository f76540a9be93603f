"""Answers in a form that the caller asked for: checked, and asked for once more where they do not have it."""

import asyncio
from typing import Final

import msgspec
import structlog

from shared.domain.errors import BadOutput
from shared.domain.events import Noted
from shared.providers_known import about
from workers.outcomes import Park
from workers.providers.base import Prompt, PromptMessage, PromptText
from workers.services.answers.answer_form import Checked, WantedForm, check_form, wanted_form
from workers.services.answers.held_answer import HeldAnswer, sum_of
from workers.services.answers.stream_answer import stream_answer
from workers.services.attempt import Attempt

REPAIRED: Final = "answer_repaired"
UNCHECKED: Final = "answer_unchecked"
NOTHING_SAID: Final = "(nothing)"
"""Where a model said nothing: providers refuse messages without words."""
REPAIR: Final = (
    "That answer does not have the form that was asked for: {problem}. "
    "Answer again, with the corrected JSON only: no other words, no code fence."
)

_log = structlog.get_logger(__name__)


async def structured_answer(attempt: Attempt, prompt: Prompt) -> str:
    """Report the model's answer, in the form that was asked for, if any was; return why it ended.

    Where the provider cannot be held to the form, the answer is held back until it was looked at, and is reported
    without fences and sentences around it. What was used is the sum of both answers, if there were two.

    Raises:
        BadOutput: if the answer does not have the form, or was cut by the limit of tokens.
        Exception: as `stream_answer`.
    """
    form = wanted_form(prompt.parameters)
    if form is None:
        _, finish_reason = await stream_answer(attempt, prompt)
        return finish_reason
    answers: list[HeldAnswer] = []
    try:
        return await _answered(attempt, prompt, form, answers)
    finally:
        _report_usage(attempt, answers)


async def _answered(attempt: Attempt, prompt: Prompt, form: WantedForm, answers: list[HeldAnswer]) -> str:
    finish_reason, checked = await _ask(attempt, prompt, form, answers)
    first = answers[0]
    if checked is not None and checked.problem is not None:
        if first.is_streamed:
            raise _not_as_asked(checked.problem)
        _log.info("answer_asked_for_again", model=attempt.model, problem=checked.problem)
        finish_reason, again = await _ask_again(attempt, prompt, form, answers, checked.problem)
        if again is not None and again.problem is not None:
            raise _not_as_asked(again.problem)
        attempt.emit(Noted(REPAIRED, f"The model's first answer did not have the form: {checked.problem}."))
        checked = again
    if checked is not None and checked.is_unchecked:
        attempt.emit(Noted(UNCHECKED, "The answer is JSON; the schema is too complex to check it against."))
    answers[-1].release(None if checked is None else checked.text)
    return finish_reason


async def _ask(
    attempt: Attempt, prompt: Prompt, form: WantedForm, answers: list[HeldAnswer]
) -> tuple[str, Checked | None]:
    """Return why the answer ended and what is in it; None for what is in it, where it calls tools instead."""
    emit = attempt.emit
    answer = HeldAnswer(emit, may_stream=lambda: not answers[1:] and _keeps_to(attempt, form))
    answers.append(answer)
    attempt.emit = answer.emit
    try:
        _, finish_reason = await stream_answer(attempt, prompt)
    finally:
        attempt.emit = emit
        answer.input_weight = attempt.input_weight
    if answer.calls_tools:
        return finish_reason, None
    if finish_reason == "length":
        raise BadOutput("The answer was cut by the limit of tokens before it had the form that was asked for.")
    return finish_reason, await asyncio.to_thread(check_form, answer.text, form, is_whole=answer.is_streamed)


async def _ask_again(
    attempt: Attempt, prompt: Prompt, form: WantedForm, answers: list[HeldAnswer], problem: str
) -> tuple[str, Checked | None]:
    """Ask for a correction. Nobody waits for it longer: the first answer would be paid for and thrown away."""
    said = PromptMessage("assistant", (PromptText(answers[0].text or NOTHING_SAID),))
    wrong = PromptMessage("user", (PromptText(REPAIR.format(problem=problem)),))
    try:
        again = msgspec.structs.replace(prompt, messages=(*prompt.messages, said, wrong))
        return await _ask(attempt, again, form, answers)
    except Park as park:
        raise _not_as_asked(problem) from park


def _keeps_to(attempt: Attempt, form: WantedForm) -> bool:
    """Whether the provider that answers keeps to this form to the letter."""
    provider = attempt.provider
    return form.is_binding and provider is not None and about(provider.name).schema_mode == "json_schema_strict"


def _not_as_asked(problem: str) -> BadOutput:
    return BadOutput(f"The model's answer does not have the form that was asked for: {problem}.")


def _report_usage(attempt: Attempt, answers: list[HeldAnswer]) -> None:
    """Report what was used, once. What one held answer used that nobody saw is estimated, if nobody counted it."""
    heard = [answer for answer in answers if answer.usage is not None or answer.text]
    if any(answer.usage is not None or not answer.is_streamed for answer in heard):
        attempt.emit(sum_of([answer.used() for answer in heard]))
