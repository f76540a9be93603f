"""What a row of the table may say about a provider of chat completions: facts, no behaviour."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from shared.domain.events import StopsBilling
from shared.domain.models import SchemaMode
from workers.providers.chat_completions.reasoning_family import Family, TokenParam
from workers.providers.model_lists import USUAL, Listing

STEP_DOWN: Final[dict[SchemaMode, SchemaMode]] = {
    "json_schema_strict": "json_object",
    "json_schema": "json_object",
    "json_object": "prompt",
}
"""What is asked for where the provider refuses a way of asking for JSON."""
AudioForm: TypeAlias = Literal["input_audio", "input_audio_text", "audio_url"]
"""How a recording travels: `{data, format}`, only its base64 (Mistral), or a data URL (SiliconFlow)."""
Replay: TypeAlias = Literal["reasoning_content", "reasoning", "reasoning_details", "thinking_parts"]
"""How what the model thought goes back with its earlier turns.

`reasoning_content`: with turns that called tools, even where it is not known (DeepSeek refuses the turn without the
member, and ignores it elsewhere). `reasoning`: with every turn that has some. `reasoning_details`: from the signatures,
unmodified (OpenRouter). `thinking_parts`: as a part of the content, to models that reason (Mistral).
"""
Move: TypeAlias = Literal["transforms", "web_search_options", "structured_outputs"]
"""An option that a provider once had, and has by another way now: see `moved_options`."""


@dataclass(frozen=True, kw_only=True)
class OpenAICompatible:
    """Facts about one provider that speaks chat completions; the defaults are what nearly all of them take."""

    name: str
    stops_billing_on_abort: StopsBilling = "unknown"
    token_param: TokenParam = "max_tokens"  # noqa: S105 - a count of tokens
    stream_usage: Literal["ask", "never_send"] = "ask"
    schema_mode: SchemaMode = "json_object"
    closes_schemas: bool = False
    """Whether each object of a strict schema must forbid further members."""
    completes_schemas: bool = False
    """Whether each object of a strict schema must also require all of its members."""
    drops: frozenset[str] = frozenset()
    """Our names of parameters it refuses."""
    drops_when_reasoning: frozenset[str] = frozenset()
    """Parameters and options that its models cannot be given, or ignore, while they reason."""
    takes: frozenset[str] = frozenset()
    """Names of `Parameters.options` it knows; others are left out."""
    renames: tuple[tuple[str, str], ...] = ()
    """Options it knows under another name: ours, and its own."""
    moves: frozenset[Move] = frozenset()
    max_stops: int | None = 4
    """How many texts may stop an answer."""
    media: frozenset[Literal["video", "audio"]] = frozenset()
    """What it takes besides texts and images, in the form that `openai_messages` gives it."""
    audio_form: AudioForm = "input_audio"
    families: tuple[Family, ...] = (Family(efforts=None),)
    """How its models are told to reason; the first that fits a model counts."""
    replay: Replay | None = None
    think_tags: bool = False
    """Whether its models may write what they think into the answer, between `<think>` and `</think>`. Assumed of who
    answers at another address than its own: any model may be served there."""
    usage_excludes_reasoning: bool = False
    """Whether its `completion_tokens` leave out the reasoning, which ours include."""
    seed_param: Literal["seed", "random_seed"] = "seed"
    first_delta_s: float = 0
    """How long it may need before its first delta, where that is longer than we wait for others."""
    idle_s: float = 0
    """Likewise, between two deltas."""
    listing: Listing | None = USUAL
    """None: it does not list its models."""

    def family_of(self, model: str) -> Family:
        """Return what is known of a model's reasoning by its name."""
        return next((family for family in self.families if family.has(model)), Family())
