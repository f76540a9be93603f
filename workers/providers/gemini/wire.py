"""A prompt as a request for Gemini's `streamGenerateContent`. Pure; what is not known is not sent, and noted.

Source: https://ai.google.dev/api/generate-content; the SDK google-genai 3.4 writes the same members.
"""

from collections.abc import Set
from typing import Final, Literal, NamedTuple, TypeAlias

from shared.domain.commands import Parameters
from shared.domain.events import Noted
from workers.providers.base import Prompt, ResponseSchema
from workers.providers.chat_completions.wire import schema_in_words
from workers.providers.gemini.images import OPTIONS as IMAGE_OPTIONS
from workers.providers.gemini.images import image_members
from workers.providers.gemini.messages import contents, instructions
from workers.providers.gemini.models import GeminiModel
from workers.providers.gemini.thinking import REFUSED, thinking_config, without_thinking
from workers.providers.gemini.tools import OPTIONS as TOOL_OPTIONS
from workers.providers.gemini.tools import tool_members
from workers.providers.parameter_notes import Notes
from workers.providers.reasoning_wishes import OPTIONS as THINKING_OPTIONS
from workers.providers.refusal import is_object
from workers.providers.wire_json import Json

Without: TypeAlias = Literal["thinking", "penalties", "json", "instructions", "people", "signatures"]
"""What some models refuse, and a request can do without."""
ANY_JSON: Final = "Answer with one JSON object and nothing else."
MAX_STOPS: Final = 5
MAX_FPS: Final = 24
_INT32: Final = 2**31
_HARMS: Final = ("HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT", "CIVIC_INTEGRITY")
_THRESHOLDS: Final = ("OFF", "BLOCK_NONE", "BLOCK_ONLY_HIGH", "BLOCK_MEDIUM_AND_ABOVE", "BLOCK_LOW_AND_ABOVE")
_RESOLUTION: Final = "MEDIA_RESOLUTION_"
_DETAILS: Final = ("media_resolution", "image_detail", "video_detail")
"""All that can be said of how closely media are looked at is said for the whole request; the first counts."""
_TAKES: Final = frozenset(
    {*IMAGE_OPTIONS, *TOOL_OPTIONS, *THINKING_OPTIONS, *_DETAILS, *("thinking_level", "top_k", "fps")}
    | {"safety_threshold"}
)
_PENALTIES: Final = {"presence_penalty": "presencePenalty", "frequency_penalty": "frequencyPenalty"}
_NOTHING_SAID: Final = (None, False, "", "auto", "default", _RESOLUTION + "UNSPECIFIED")


class Request(NamedTuple):
    """A request's body, and what its caller should know of it."""

    body: Json
    notes: tuple[Noted, ...]


def to_wire(prompt: Prompt, model: GeminiModel, without: Set[Without] = frozenset()) -> Request:
    """Return the request: only known members, no nulls. The model is named by its address."""
    notes = Notes("gemini", ours=prompt.defaults)
    given = prompt.parameters
    body = _conversation(prompt, model, without, notes)
    schema, wants_json = _form(prompt, notes)
    config = _sampling(given, notes) | _form_members(schema, wants_json=wants_json and "json" not in without)
    config |= _resolution(given, notes) | image_members(given, model, notes)
    thinking = without_thinking(prompt, notes) if "thinking" in without else thinking_config(prompt, model, notes)
    if thinking:
        config["thinkingConfig"] = thinking
    config = _lessened(config, without, notes)
    body |= tool_members(given, notes) | _safety(given, notes)
    _drop_the_rest(given, notes)
    return Request(body | ({"generationConfig": config} if config else {}), notes.told)


def _conversation(prompt: Prompt, model: GeminiModel, without: Set[Without], notes: Notes) -> Json:
    turns = contents(
        prompt.messages,
        fps=_fps(prompt.parameters, notes),
        keeps_signatures="signatures" not in without,
        wants_signatures=model.wants_signatures or "signatures" in without,
    )
    told = instructions(prompt.messages, _form_in_words(prompt, notes) if "json" in without else "")
    if told is None:
        return {"contents": turns}
    if "instructions" in without:
        return {"contents": _told_by_the_user(told, turns)}
    return {"systemInstruction": told, "contents": turns}


def _told_by_the_user(told: Json, turns: list[Json]) -> list[Json]:
    if turns[0]["role"] != "user":
        return [{"role": "user", "parts": told["parts"]}, *turns]
    return [{"role": "user", "parts": [*told["parts"], *turns[0]["parts"]]}, *turns[1:]]


def _form(prompt: Prompt, notes: Notes) -> tuple[ResponseSchema | None, bool]:
    """Return the schema of the answer and whether it is to be JSON at all; ours before the caller's."""
    if prompt.response_schema is not None:
        return prompt.response_schema, True
    wanted = prompt.parameters.response_format or {}
    match wanted.get("type"):
        case "json_object":
            return None, True
        case "json_schema":
            named: object = wanted.get("json_schema")
            schema = named.get("schema") if is_object(named) else None
            if is_object(schema):
                return ResponseSchema("answer", schema), True
            notes.dropped("response_format")
        case None | "text":
            pass
        case _:
            notes.dropped("response_format")
    return None, False


def _form_in_words(prompt: Prompt, notes: Notes) -> str:
    schema, wants_json = _form(prompt, notes)
    if wants_json and prompt.response_schema is None:
        notes.changed("response_format", "cannot be held to JSON with this model, and is asked for it in words")
    return schema_in_words(schema) if schema is not None else ANY_JSON if wants_json else ""


def _form_members(schema: ResponseSchema | None, *, wants_json: bool) -> Json:
    if not wants_json:
        return {}
    return {"responseMimeType": "application/json"} | ({"responseJsonSchema": schema.schema} if schema else {})


def _sampling(given: Parameters, notes: Notes) -> Json:
    stops = given.stop or []
    if len(stops) > MAX_STOPS:
        notes.changed("stop", f"stops at {MAX_STOPS} texts at most, and is sent the first {MAX_STOPS}")
    seed = given.seed if given.seed is not None and -_INT32 <= given.seed < _INT32 else None
    if seed != given.seed:
        notes.dropped("seed")
    members = {
        "temperature": given.temperature,
        "topP": given.top_p,
        "topK": _top_k(given, notes),
        "maxOutputTokens": given.max_output_tokens,
        "stopSequences": stops[:MAX_STOPS] or None,
        "seed": seed,
        "presencePenalty": given.presence_penalty or None,  # 0 is what it does without it, and some models refuse any
        "frequencyPenalty": given.frequency_penalty or None,
    }
    return {name: value for name, value in members.items() if value is not None}


def _top_k(given: Parameters, notes: Notes) -> int | None:
    value = given.options.get("top_k")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value < _INT32:
        notes.dropped("top_k")
        return None
    return int(value)


def _fps(given: Parameters, notes: Notes) -> float | None:
    value = given.options.get("fps")
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= MAX_FPS:
        return value
    if value is not None:
        notes.dropped("fps")
    return None


def _resolution(given: Parameters, notes: Notes) -> Json:
    for name in _DETAILS:
        value = given.options.get(name)
        if value in _NOTHING_SAID:
            continue
        level = value.upper().removeprefix(_RESOLUTION) if isinstance(value, str) else None
        if level in ("LOW", "MEDIUM", "HIGH"):
            return {"mediaResolution": _RESOLUTION + level}
        notes.dropped(name)
    return {}


def _safety(given: Parameters, notes: Notes) -> Json:
    value = given.options.get("safety_threshold")
    if value in _NOTHING_SAID:
        return {}
    threshold = value.upper() if isinstance(value, str) else None
    if threshold not in _THRESHOLDS:
        notes.dropped("safety_threshold")
        return {}
    return {"safetySettings": [{"category": f"HARM_CATEGORY_{it}", "threshold": threshold} for it in _HARMS]}


def _lessened(config: Json, without: Set[Without], notes: Notes) -> Json:
    """Return the configuration without what this model was found to refuse."""
    kept = dict(config)
    if "penalties" in without:
        for name, member in _PENALTIES.items():
            if kept.pop(member, None) is not None:
                notes.dropped(name, REFUSED)
    if "people" in without and "imageConfig" in kept:
        image = {name: it for name, it in kept.pop("imageConfig").items() if name != "personGeneration"}
        notes.dropped("imagen_person_generation", REFUSED)
        kept |= {"imageConfig": image} if image else {}
    return kept


def _drop_the_rest(given: Parameters, notes: Notes) -> None:
    others = sorted(name for name, value in given.options.items() if name not in _TAKES and not _says_nothing(value))
    for name in [*others, *(["user"] if given.user else [])]:
        notes.dropped(name)


def _says_nothing(value: object) -> bool:
    return value in ([], {}) or (not isinstance(value, list | dict) and value in _NOTHING_SAID)
