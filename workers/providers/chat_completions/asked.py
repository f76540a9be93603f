"""How a prompt is put to a provider, and what was learned about how it wants to be asked, model by model."""

from typing import Final, NamedTuple

import structlog

from shared.domain.models import SchemaMode
from workers.providers.base import Prompt
from workers.providers.chat_completions.given_schema import given_schema
from workers.providers.chat_completions.refused_members import STATUSES, refused_members
from workers.providers.chat_completions.row import STEP_DOWN, OpenAICompatible
from workers.providers.chat_completions.wire import KEPT, NOTHING, to_wire
from workers.providers.parameter_notes import Notes
from workers.providers.refusal import Refusal, text_of
from workers.providers.request_body import request_body
from workers.providers.wire_json import Json

MAX_REMEMBERED_MODELS: Final = 1000
logger = structlog.get_logger(__name__)


class Learned(NamedTuple):
    """What a model takes less than its row says."""

    mode: SchemaMode
    refused: frozenset[str] = NOTHING


class Asked:
    """One way of putting one prompt."""

    def __init__(self, prompt: Prompt, row: OpenAICompatible, way: Learned, *, is_lasting: bool = True) -> None:
        self.prompt = prompt
        self.way = way
        self.is_lasting = is_lasting
        """Whether the next prompt is to be put in this way as well."""
        self.notes = Notes(row.name, ours=prompt.defaults)
        """What became of the caller's parameters, once there is a body."""
        self.members: frozenset[str] = NOTHING
        """What the body holds, once there is one."""
        self._row = row

    async def body(self) -> bytes:
        """Return the request; raises `UnsupportedMediaType` as `to_wire` does."""
        return await request_body(self.prompt, self._to_wire)

    def _to_wire(self) -> Json:
        body = to_wire(self.prompt, self._row, self.way.mode, notes=self.notes, refused=self.way.refused)
        self.members = frozenset(body)
        return body


class Asking:
    """How one provider is asked; remembers what its models were found to refuse as long as the process lives."""

    def __init__(self, row: OpenAICompatible) -> None:
        self._row = row
        self._learned: dict[str, Learned] = {}

    def first(self, prompt: Prompt) -> Asked:
        """Return how to ask, as far as is known."""
        return Asked(prompt, self._row, self._learned.get(prompt.model, Learned(self._row.schema_mode)))

    def less(self, asked: Asked, refusal: Refusal) -> Asked | None:
        """Return how to ask for less, if that is what the provider wants; None: it refused something else."""
        lower = STEP_DOWN.get(asked.way.mode)
        if lower is not None and _wants_schema(asked.prompt) and _is_about_schema(refusal):
            self._log("schema_refused", asked, refusal)
            is_ours = asked.prompt.response_schema is not None  # a caller's may be refused for what is wrong with it
            return Asked(asked.prompt, self._row, asked.way._replace(mode=lower), is_lasting=is_ours)
        names, is_lasting = refused_members(refusal, asked.members - KEPT)
        if not names:
            return None
        together = self._row.drops_when_reasoning
        if names & together:  # a model that refuses one of them reasons, and refuses the others too
            names, is_lasting = names | (together & asked.members), True
        self._log("parameters_refused", asked, refusal)
        way = asked.way._replace(refused=asked.way.refused | names)
        return Asked(asked.prompt, self._row, way, is_lasting=is_lasting)

    def worked(self, asked: Asked) -> None:
        """Remember the way that a provider took."""
        if asked.is_lasting:
            if len(self._learned) >= MAX_REMEMBERED_MODELS:
                self._learned.clear()
            self._learned[asked.prompt.model] = asked.way

    def _log(self, event: str, asked: Asked, refusal: Refusal) -> None:
        logger.info(event, provider=self._row.name, model=asked.prompt.model, reason=text_of(refusal))


def _wants_schema(prompt: Prompt) -> bool:
    return prompt.response_schema is not None or given_schema(prompt.parameters) is not None


def _is_about_schema(refusal: Refusal) -> bool:
    return refusal.status in STATUSES and refusal.names("response_format", "json_schema", "json_object")
