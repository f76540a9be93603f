"""What a provider's list says that a model can do: each provider's own members, read side by side. Pure, and tolerant.

Sources: OpenRouter's `architecture` and `supported_parameters` (its SDK 1.3); Mistral's `capabilities` (mistralai 3.7);
Groq's `context_window` (groq 1.7); Gemini's `supportedGenerationMethods` and `thinking` (google-genai 3.4); vLLM's
`max_model_len`; llama.cpp's `meta` (tools/server/README.md); Ollama's `/api/show` (docs/api.md).
"""

from collections.abc import Iterable, Mapping, Set
from typing import Any, Final, cast

from shared.domain.models import Abilities, Makes, SchemaMode
from workers.providers.refusal import is_object

MAX_TOKENS: Final = 2**31 - 1
_LENGTHS: Final = (
    *("context_length", "context_window", "max_context_length", "max_model_len"),  # OpenRouter, Groq, Mistral, vLLM
    *("inputTokenLimit", "n_ctx", "n_ctx_train"),  # Gemini, llama.cpp (in `meta`: as it runs, as it was trained)
)
_OUTPUT_LENGTHS: Final = ("max_output_tokens", "max_completion_tokens", "outputTokenLimit")
_OLLAMAS: Final = ("completion", "vision", "audio", "tools", "thinking")
_OTHER_WORDS: Final = {
    "completion_chat": "completion",
    "chat": "completion",
    "function_calling": "tools",
    "thinking": "reasoning",
}
_WORDS: Final = frozenset({"text", "completion", "chat"})


def abilities_said(entry: Mapping[str, Any]) -> Abilities:
    """Return what one entry of a list, or an answer about one model, says; what it does not say is not known."""
    architecture, meta = _object(entry, "architecture"), _object(entry, "meta")
    top_provider = _object(entry, "top_provider")
    places = (entry, architecture)
    flags = _flags(entry)
    shown = _words(places, "input_modalities")
    taken = _words((entry,), "supported_parameters")
    return Abilities(
        vision=_either(_in(shown, "image"), flags.get("vision")),
        audio=_either(_in(shown, "audio"), flags.get("audio")),
        video=_either(_in(shown, "video"), flags.get("video")),
        reasoning=_either(_in(taken, "reasoning"), _flag(entry, "thinking"), flags.get("reasoning")),
        tools=_either(_in(taken, "tools"), flags.get("tools")),
        schema_mode=_schema_mode(taken),
        makes=_makes(entry, flags, _words(places, "output_modalities")),
        context_length=_count((entry, meta, *_about_weights(entry)), _LENGTHS),
        max_output_tokens=_count((entry, top_provider), _OUTPUT_LENGTHS),
    )


def _flags(entry: Mapping[str, Any]) -> dict[str, bool]:
    """Return `capabilities`: what each is said to be (Mistral), or the words for those there are (Ollama: all of them).

    llama.cpp says `multimodal`, which may be seeing or hearing.
    """
    given = entry.get("capabilities")
    flags: dict[str, bool] = {}
    if is_object(given):
        said = {name: value for name, value in given.items() if isinstance(value, bool)}
    else:
        there = _words((entry,), "capabilities") or frozenset()
        is_whole = "multimodal" not in there and not there.isdisjoint({"completion", "embedding"})
        said = dict.fromkeys(_OLLAMAS, False) if is_whole else {}
        said |= dict.fromkeys(there, True)
    for name, value in said.items():
        ours = _OTHER_WORDS.get(name, name)
        flags[ours] = flags.get(ours, False) or value
    return flags


def _makes(entry: Mapping[str, Any], flags: Mapping[str, bool], given: Set[str] | None) -> tuple[Makes, ...] | None:
    if given is not None:
        answers, draws, films = bool(given & _WORDS), "image" in given, "video" in given
    elif (methods := _words((entry,), "supportedGenerationMethods")) is not None:
        if "generateContent" in methods:
            return None  # Gemini does not say what is made: the name must tell
        answers, draws, films = False, False, False
    elif "completion" in flags:
        answers, draws, films = flags["completion"], False, False
    else:
        return None
    made: dict[Makes, bool] = {"answer": answers, "images": draws, "video": films}
    return tuple(kind for kind, is_made in made.items() if is_made)


def _schema_mode(taken: Set[str] | None) -> SchemaMode | None:
    if taken is None:
        return None
    if "structured_outputs" in taken:
        return "json_schema"
    return "json_object" if "response_format" in taken else "prompt"


def _about_weights(entry: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Return Ollama's `model_info` without the names of architectures that its members begin with."""
    info = _object(entry, "model_info")
    return ({name.rpartition(".")[2]: value for name, value in info.items()},) if info else ()


def _object(entry: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = entry.get(name)
    return value if is_object(value) else {}


def _flag(entry: Mapping[str, Any], name: str) -> bool | None:
    value = entry.get(name)
    return value if isinstance(value, bool) else None


def _words(places: Iterable[Mapping[str, Any]], name: str) -> frozenset[str] | None:
    """Return the first list of words of that name; None if there is none, or it is empty."""
    for place in places:
        given = place.get(name)
        if isinstance(given, list):
            return frozenset(word for word in cast("list[object]", given) if isinstance(word, str)) or None
    return None


def _in(words: Set[str] | None, word: str) -> bool | None:
    return None if words is None else word in words


def _either(*said: bool | None) -> bool | None:
    return next((one for one in said if one is not None), None)


def _count(places: Iterable[Mapping[str, Any]], names: tuple[str, ...]) -> int | None:
    values = (place.get(name) for place in places for name in names)
    return next((value for value in values if type(value) is int and 0 < value <= MAX_TOKENS), None)
