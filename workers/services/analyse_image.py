"""The kind `vision`: a dispenser's photo becomes a safe command.

The model's words are streamed as they come; the command leaves only in `Result`, and only after the envelope.
"""

from typing import Final

from shared.domain.commands import Parameters, VisionTask
from shared.domain.dispense import (
    BUILT_IN_PROMPTS,
    PROFILES,
    SCHEMAS,
    AnswerForm,
    DeviceProfile,
    as_data,
    enforce,
    parse_answer,
)
from shared.domain.errors import BadOutput, InvalidRequest
from shared.domain.events import Result
from workers.providers.base import Prompt, PromptMessage, PromptText, ResponseSchema
from workers.services.answers.stream_answer import stream_answer
from workers.services.attempt import Attempt
from workers.services.media.load_image import load_photo
from workers.services.pictures.settle_beside import settling

TEMPERATURE: Final = 0.0
TOP_P: Final = 0.9
"""As the first system asked, where the job does not say otherwise: the same photo should get the same answer."""
_STEADY: Final = frozenset({"temperature", "top_p"})
"""The parameters that are ours where the job does not give them."""


async def analyse_image(attempt: Attempt) -> str:
    """Ask the model about the photo and report the enforced command; return why the model's answer ended.

    An answer that cannot be trusted is a result too, the safe one; only a provider that fails makes the job fail.
    """
    task = attempt.spec.input
    if not isinstance(task, VisionTask):
        raise TypeError("a vision job carries a photo")
    device = _profile(task)
    text, form = _question(task)
    photo = await load_photo(attempt, task.image)
    name, schema = SCHEMAS[form]
    prompt = Prompt(
        model=attempt.spec.model_name,
        messages=(PromptMessage("user", (PromptText(text), photo.shown)),),
        parameters=_steady(attempt.spec.parameters),
        response_schema=ResponseSchema(name, schema),
        defaults=_STEADY - attempt.spec.parameters.model_dump(exclude_none=True).keys(),
    )
    async with settling(attempt.tools, photo):
        answer, finish_reason = await _answer(attempt, prompt)
        attempt.emit(Result(as_data(enforce(parse_answer(answer), device, prompt=task.prompt))))
    return finish_reason


async def _answer(attempt: Attempt, prompt: Prompt) -> tuple[str, str]:
    """Return what the model said and why it ended; nothing where its thoughts left no room for an answer."""
    try:
        return await stream_answer(attempt, prompt)
    except BadOutput:
        return "", "length"


def _profile(task: VisionTask) -> DeviceProfile:
    device = task.envelope or PROFILES.get(task.profile)
    if device is None:
        raise InvalidRequest("This worker does not know the profile of this job.", field="input.profile")
    return device


def _question(task: VisionTask) -> tuple[str, AnswerForm]:
    if task.prompt_text is not None:
        return task.prompt_text, task.form
    built_in = BUILT_IN_PROMPTS.get(task.prompt)
    if built_in is None:
        raise InvalidRequest("This worker does not know the prompt of this job.", field="input.prompt")
    return built_in.text, built_in.form


def _steady(parameters: Parameters) -> Parameters:
    given = parameters.model_dump(exclude_none=True)
    return Parameters.model_validate({"temperature": TEMPERATURE, "top_p": TOP_P} | given)
