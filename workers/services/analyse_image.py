"""The kind `vision`: a dispenser's photo becomes a safe command.

The model's words are streamed as they come; the command leaves only in `Result`, and only after the envelope.
"""

from shared.domain.commands import VisionInput
from shared.domain.dispense import PROMPT, SCHEMA, SCHEMA_NAME, as_data, enforce, parse_answer, profile
from shared.domain.events import Result
from workers.providers.base import Prompt, PromptImage, PromptMessage, PromptText, ResponseSchema
from workers.services.attempt import Attempt
from workers.services.load_image import load_image
from workers.services.stream_answer import stream_answer


async def analyse_image(attempt: Attempt) -> str:
    """Ask the model about the photo and report the enforced command; return why the model's answer ended.

    An answer that cannot be trusted is a result too, the safe one; only a provider that fails makes the job fail.
    """
    asked = attempt.spec.input
    if not isinstance(asked, VisionInput):
        raise TypeError("a vision job carries a photo")
    device = profile(asked.profile)
    photo = await load_image(attempt, asked.image)
    text, finish_reason = await stream_answer(attempt, _prompt(attempt, asked, photo))
    attempt.emit(Result(as_data(enforce(parse_answer(text), device))))
    return finish_reason


def _prompt(attempt: Attempt, asked: VisionInput, photo: PromptImage) -> Prompt:
    return Prompt(
        model=attempt.spec.model_name,
        messages=(PromptMessage("user", (PromptText(asked.prompt or PROMPT), photo)),),
        parameters=attempt.spec.parameters,
        response_schema=ResponseSchema(SCHEMA_NAME, SCHEMA),
    )
