"""How much a Gemini model is told to think: in levels or in tokens, whatever the caller said it in. Pure.

Source: https://ai.google.dev/gemini-api/docs/thinking. The numbers are those that Google's own OpenAI-compatible
address has for efforts (https://ai.google.dev/gemini-api/docs/openai#thinking).
"""

from typing import Final, NamedTuple

from workers.providers.base import Prompt
from workers.providers.gemini.models import GeminiModel
from workers.providers.parameter_notes import Notes
from workers.providers.reasoning_wishes import EFFORT, OFF, Aspect, Wishes, wish_of, wishes_of
from workers.providers.wire_json import Json

LEVEL: Final = "thinking_level"
BUDGET: Final = "thinking_budget"
LEVELS: Final = ("MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH")
AUTOMATIC: Final = -1
"""A budget: as much as the model likes."""
_BUDGETS: Final = {"MINIMAL": 1024, "LOW": 1024, "MEDIUM": 8192, "HIGH": 24_576, "XHIGH": 24_576}
_EFFORTS: Final = {
    OFF: "MINIMAL",
    "minimal": "MINIMAL",
    "low": "LOW",
    "medium": "MEDIUM",
    "high": "HIGH",
    "xhigh": "HIGH",  # few models know XHIGH; who wants it says so by `thinking_level`
    "max": "HIGH",
}
REFUSED: Final = "refuses it with this model"
_NOTHING_SAID: Final = ("", "auto", "default")


class _Asked(NamedTuple):
    """What the caller said, by name; of `level`, `budget` and `effort` the first that is there counts."""

    said: dict[str, Wishes]
    level: str | None
    budget: int | None
    effort: str | None
    shown: bool

    def name_of(self, aspect: Aspect) -> str:
        """Return the parameter that said something of this kind."""
        return next((name for name, wishes in self.said.items() if aspect in wishes), EFFORT)


def thinking_config(prompt: Prompt, model: GeminiModel, notes: Notes) -> Json:
    """Return `thinkingConfig`, empty where there is nothing to say.

    A model's thoughts are asked for, but where our own schema is to be filled: that is wanted soon, so it is to think
    as little as it can.
    """
    asked = _asked(prompt, model, notes)
    match model.thinks:
        case "no":
            for name, wishes in asked.said.items():
                if asked.effort != OFF and wishes.get("effort") not in _NOTHING_SAID:
                    notes.dropped(name, "does not think with this model")
            return {}
        case "by_level":
            chosen: Json = _level(asked, notes)
        case "by_budget":
            chosen = _budget(asked, model, notes)
    if prompt.response_schema is not None:
        return chosen or _least(model)
    is_off = chosen.get("thinkingBudget") == 0 or chosen.get("thinkingLevel") == "MINIMAL"
    shows = asked.shown and not is_off and (bool(chosen) or model.thinks_unasked)
    return chosen | ({"includeThoughts": True} if shows else {})


def without_thinking(prompt: Prompt, notes: Notes) -> Json:
    """Return `thinkingConfig` for a model that was found to refuse what it was told: none, and its caller knows."""
    for name in (*wishes_of(prompt.parameters), *(name for name in (LEVEL,) if prompt.parameters.options.get(name))):
        notes.dropped(name, REFUSED)
    return {}


def _asked(prompt: Prompt, model: GeminiModel, notes: Notes) -> _Asked:
    """Return what was said that can be meant; of a level and a budget, the one the model knows."""
    said = wishes_of(prompt.parameters)
    wish = wish_of(said, first=(EFFORT, BUDGET))
    level, budget = _level_in(prompt, said, notes), wish.get("budget")
    tokens = budget if isinstance(budget, int) and budget >= AUTOMATIC else None
    if BUDGET in said and tokens is None:
        notes.dropped(BUDGET)
    if level is not None and tokens is not None:
        level, tokens = (None, tokens) if model.thinks == "by_budget" else (level, None)
        notes.dropped(LEVEL if level is None else BUDGET)
    effort = OFF if wish.get("thinks") is False else wish.get("effort")
    word = effort if isinstance(effort, str) and effort in _EFFORTS else None
    asked = _Asked(said, level, tokens, word, wish.get("shown") is not False)
    if word is None and effort is not None and effort not in _NOTHING_SAID:
        notes.dropped(asked.name_of("effort"))
    return asked


def _level_in(prompt: Prompt, said: dict[str, Wishes], notes: Notes) -> str | None:
    given = prompt.parameters.options.get(LEVEL)
    if given is None or given == "":
        return None
    if isinstance(given, str) and given.upper() in LEVELS:
        said[LEVEL] = {}
        return given.upper()
    notes.dropped(LEVEL)
    return None


def _level(asked: _Asked, notes: Notes) -> Json:
    level = asked.level
    if level is None and asked.effort == OFF:
        level = _EFFORTS[OFF]
    elif level is None and asked.budget is not None:
        level = _level_of(asked.budget)
        notes.changed(asked.name_of("budget"), f"thinks in levels with this model, and is told {level or 'nothing'}")
    elif level is None and asked.effort is not None:
        level = _EFFORTS[asked.effort]
    return {} if level is None else {"thinkingLevel": level}


def _level_of(budget: int) -> str | None:
    if budget in (AUTOMATIC, 0):
        return None if budget else "MINIMAL"
    return next((level for level in ("LOW", "MEDIUM") if budget <= _BUDGETS[level]), "HIGH")


def _budget(asked: _Asked, model: GeminiModel, notes: Notes) -> Json:
    if asked.level is not None:
        name, tokens = LEVEL, _BUDGETS[asked.level]
        notes.changed(name, f"thinks by tokens with this model, and is given {tokens}")
    elif asked.effort == OFF:
        name, tokens = asked.name_of("thinks"), 0
    elif asked.budget is not None:
        name, tokens = asked.name_of("budget"), asked.budget
    elif asked.effort is not None:
        name, tokens = asked.name_of("effort"), _BUDGETS[_EFFORTS[asked.effort]]
    else:
        return {}
    least, most = model.budgets
    allowed = tokens if tokens == AUTOMATIC else min(max(tokens, least), most)
    if allowed != tokens:
        notes.changed(name, f"thinks with {least} to {most} tokens with this model, and is given {allowed}")
    return {"thinkingBudget": allowed}


def _least(model: GeminiModel) -> Json:
    if not model.thinks_unasked:
        return {}
    return {"thinkingLevel": "LOW"} if model.thinks == "by_level" else {"thinkingBudget": model.budgets[0]}
