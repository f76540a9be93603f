"""What a caller says about reasoning, in any provider's words: whether, how much, and whether it is shown. Pure."""

from collections.abc import Iterable
from typing import Any, Final, Literal, TypeAlias, TypeGuard

from shared.domain.commands import Parameters
from workers.providers.refusal import is_object

Aspect: TypeAlias = Literal["thinks", "effort", "budget", "shown", "format"]
"""Whether to reason; how hard, in words or in tokens; whether it is shown, and how."""
Wishes: TypeAlias = dict[Aspect, bool | int | str]
EFFORT: Final = "reasoning_effort"
OFF: Final = "none"
TEMPLATE: Final = "chat_template_kwargs"
OPTIONS: Final = (
    *("thinking", "enable_thinking", "thinking_budget", "reasoning", "disable_reasoning", TEMPLATE),
    *("include_reasoning", "reasoning_format"),
)
"""The options that say something about reasoning; where two contradict each other, the first counts."""
_TYPES: Final = {"enabled": True, "adaptive": True, "disabled": False}


def wishes_of(given: Parameters) -> dict[str, Wishes]:
    """Return what each parameter says; nothing where its value is none that anybody knows."""
    options = {name: given.options.get(name) for name in OPTIONS}
    said = {name: _wishes(name, value) for name, value in options.items() if not _is_idle(name, value)}
    if given.reasoning_effort is not None:
        said[EFFORT] = _of_effort(given.reasoning_effort)
    return said


def wish_of(said: dict[str, Wishes], *, first: Iterable[str]) -> Wishes:
    """Return what is wished for altogether; what the parameters named `first` say goes before the others."""
    order = [*(said[name] for name in first if name in said), *said.values()]
    wish: Wishes = {}
    for wishes in reversed(order):
        wish |= wishes
    return wish


def _wishes(name: str, value: Any) -> Wishes:  # any JSON
    match name:
        case "thinking":
            kind = value.get("type") if is_object(value) else None
            return _thinks(_TYPES.get(kind) if isinstance(kind, str) else value)
        case "enable_thinking":
            return _thinks(value)
        case "disable_reasoning":
            return {"thinks": False} if value is True else {}
        case "chat_template_kwargs":
            return _of_template(value) if is_object(value) else {}
        case "reasoning":
            return _of_object(value) if is_object(value) else {}
        case "thinking_budget":
            return {"budget": value} if _is_count(value) else {}
        case "include_reasoning":
            return {"shown": value} if isinstance(value, bool) else {}
        case _:
            return _of_format(value) if isinstance(value, str) else {}


def _is_idle(name: str, value: object) -> bool:
    return value is None or (name == "disable_reasoning" and value is False)


def _thinks(value: object) -> Wishes:
    return {"thinks": value} if isinstance(value, bool) else {}


def _of_template(arguments: dict[str, Any]) -> Wishes:  # JSON of the caller's own
    return _thinks(arguments.get("thinking")) | _thinks(arguments.get("enable_thinking"))


def _of_object(reasoning: dict[str, Any]) -> Wishes:  # JSON of the caller's own, as OpenRouter documents it
    wishes = _thinks(reasoning.get("enabled"))
    if isinstance(effort := reasoning.get("effort"), str):
        wishes |= _of_effort(effort)
    if _is_count(budget := reasoning.get("max_tokens")):
        wishes["budget"] = budget
    if isinstance(excluded := reasoning.get("exclude"), bool):
        wishes["shown"] = not excluded
    return wishes


def _of_effort(effort: str) -> Wishes:
    return {"effort": effort, "thinks": False} if effort == OFF else {"effort": effort}


def _of_format(form: str) -> Wishes:
    return {"format": form, "shown": False} if form == "hidden" else {"format": form}


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
