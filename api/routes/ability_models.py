"""What models and providers can do and how fast they are, as our own API shows it."""

from typing import Annotated

from pydantic import BaseModel, Field

from shared.domain.events import StopsBilling
from shared.domain.first_tokens import FirstToken
from shared.domain.models import Abilities, Makes, SchemaMode

StopsBillingField = Annotated[
    StopsBilling, Field(description="Whether the provider stops charging when an answer is cancelled half-way.")
]


class CapabilitiesOut(BaseModel):
    """What can be done through this server; null is not known."""

    vision: Annotated[bool | None, Field(description="Can be shown images.")]
    audio: Annotated[bool | None, Field(description="Can be given recordings.")]
    video: Annotated[bool | None, Field(description="Can be shown videos.")]
    reasoning: Annotated[bool | None, Field(description="Can think before it answers.")]
    tools: Annotated[bool | None, Field(description="Can call functions.")]
    schema_mode: Annotated[
        SchemaMode | None,
        Field(
            description="How it is asked for JSON; each is less binding than the one before: a strict schema, a schema,"
            " any object with the schema in words, words only. Whatever comes is checked against the schema."
        ),
    ]
    makes: Annotated[list[Makes] | None, Field(description="What can be asked for: words, pictures, a film.")]


class FirstTokenOut(BaseModel):
    """Time from the call to the first fragment in the last hour, wrong by an eighth at most."""

    p50_s: float
    p95_s: float
    calls: Annotated[int, Field(description="Over how many calls.")]


def shown_capabilities(can: Abilities, makes: tuple[Makes, ...] | None) -> CapabilitiesOut:
    """Return the capabilities of a model, or of all models of a provider."""
    return CapabilitiesOut(
        vision=can.vision,
        audio=can.audio,
        video=can.video,
        reasoning=can.reasoning,
        tools=can.tools,
        schema_mode=can.schema_mode,
        makes=None if makes is None else [*makes],
    )


def shown_first_token(times: FirstToken | None) -> FirstTokenOut | None:
    """Return times rounded to what they are worth."""
    if times is None:
        return None
    return FirstTokenOut(p50_s=round(times.p50_s, 3), p95_s=round(times.p95_s, 3), calls=times.calls)
