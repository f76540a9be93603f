"""What providers offer: the models they list, as workers hear of them and the front shows them."""

from collections.abc import Sequence
from typing import Annotated, Final, Literal, Self, TypeAlias

import msgspec
from pydantic import StringConstraints

MODEL_PATTERN: Final = r"^[a-z0-9][a-z0-9_-]{0,39}/[^\s\x00-\x1f\x7f]{1,200}$"
ModelRef: TypeAlias = Annotated[str, StringConstraints(pattern=MODEL_PATTERN)]
"""`provider/model`; the model part may itself contain slashes and colons."""

REFRESH_MODELS: Final = "smartsip.refresh_models"
"""Name of the Celery task that asks one provider for its models; its argument is the provider's name."""

SchemaMode: TypeAlias = Literal["json_schema_strict", "json_schema", "json_object", "prompt"]
"""How JSON can be asked for; each is less binding than the one before. `prompt` is in words only."""
Makes: TypeAlias = Literal["answer", "images", "video"]
"""What comes of asking: words, pictures, a film."""


class Abilities(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a model can do; None is not known. `vision`, `audio` and `video` are what it can be shown."""

    vision: bool | None = None
    audio: bool | None = None
    video: bool | None = None
    reasoning: bool | None = None
    tools: bool | None = None
    schema_mode: SchemaMode | None = None
    makes: tuple[Makes, ...] | None = None
    """Empty: nothing that can be asked for here, as embeddings."""
    context_length: int | None = None
    """In tokens, what was asked and what is answered together, unless the provider counts otherwise."""
    max_output_tokens: int | None = None

    def or_else(self, *others: "Abilities") -> "Abilities":
        """Return this, and of what is not known here what the first of `others` knows that does."""
        every = zip(*map(msgspec.structs.astuple, (self, *others)), strict=True)
        return Abilities(*(next((one for one in said if one is not None), None) for said in every))


NOTHING_KNOWN: Final = Abilities()


def in_common(every: Sequence[Abilities]) -> Abilities:
    """Return what holds for each of some models; at least one."""
    values = zip(*map(msgspec.structs.astuple, every), strict=True)
    return Abilities(*(of_each[0] if len(set(of_each)) == 1 else None for of_each in values))


class ListedModel(msgspec.Struct, frozen=True, omit_defaults=True):
    """One model. `id` is the provider's own name for it, `name` what people call it; the abilities are what it says."""

    id: str
    name: str
    abilities: Abilities = NOTHING_KNOWN
    aliases: tuple[str, ...] = ()
    """Other names its provider has for it."""

    @classmethod
    def named(cls, model_id: str) -> Self:
        """Return a model of which nothing but its name is known."""
        return cls(model_id, model_id)
