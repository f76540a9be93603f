"""How a request tells a model to reason, or not to: in the way its family takes, and in one way only. Pure."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from shared.domain.commands import Parameters
from workers.providers.chat_completions.reasoning_family import Family
from workers.providers.parameter_notes import Notes
from workers.providers.reasoning_wishes import EFFORT, OFF, OPTIONS, TEMPLATE, Aspect, Wishes, wish_of, wishes_of
from workers.providers.refusal import is_object
from workers.providers.wire_json import Json, without_nulls

MEMBERS: Final = frozenset({EFFORT, *OPTIONS})
"""What a request may get from here."""
_OBJECTS: Final = {"thinking": "thinking", "template": TEMPLATE, "reasoning": "reasoning"}
"""By the switch: the member that is an object, and that a caller may give whole."""
_FIRST: Final = {"effort": EFFORT, "enable_thinking": "enable_thinking", "disable_reasoning": "disable_reasoning"}
_ANYWAY: Final = ""
"""In place of a member's name: the model does so without being told."""


class Switched(NamedTuple):
    """The members a request gets, and whether the model reasons with them."""

    members: Json
    reasons: bool


def switch_reasoning(given: Parameters, family: Family, notes: Notes) -> Switched:
    """Return what tells a model of this family what was asked for; in doubt nothing, with a note."""
    said = wishes_of(given)
    switching = _Switching(family, wish_of(said, first=[(_OBJECTS | _FIRST).get(family.switch or "", EFFORT)]))
    switching.take_whole(given.options, said)
    switching.make()
    for name, wishes in said.items():
        switching.tell(name, wishes, notes)
    return Switched(switching.members, switching.reasons)


class _Switching:
    """Makes the members of one request."""

    def __init__(self, family: Family, wish: Wishes) -> None:
        self._family = family
        self._wish = wish
        self._said_by: dict[Aspect, str] = {}
        """The member that says what is wished for."""
        self._whole: str | None = None
        self.members: Json = {}

    @property
    def reasons(self) -> bool:
        """Whether the model will reason."""
        if "thinks" in self._said_by:
            return bool(self._wish["thinks"])
        return self._family.reasons or "effort" in self._said_by

    def take_whole(self, options: Mapping[str, Any], said: Mapping[str, Wishes]) -> None:  # JSON of the caller's own
        """Take what the caller wrote as this family takes it; what else he says is added where there is room."""
        name = _OBJECTS.get(self._family.switch or "")
        if name is not None and is_object(value := options.get(name)):
            self._whole = name
            self.members[name] = without_nulls(value)
            self._said_by |= dict.fromkeys(said[name], name)

    def make(self) -> None:
        """Add the members that say what is wished for."""
        thinks, effort = self._wish.get("thinks"), self._wish.get("effort")
        if effort == OFF and self._family.has_none:
            self._say_effort(OFF)
            self._said_by["thinks"] = self._said_by["effort"]
        elif thinks is not None and "thinks" not in self._said_by:
            self._switch(thinks=bool(thinks))
        if isinstance(effort, str) and effort != OFF and self._is_on:
            self._say_effort(effort)
        if isinstance(budget := self._wish.get("budget"), int) and self._is_on:
            self._say_budget(budget)
        self._show()

    def tell(self, name: str, wishes: Wishes, notes: Notes) -> None:
        """Note what became of a parameter that says this."""
        heard = [self._said_by[it] for it in wishes if it in self._said_by and wishes[it] == self._wish[it]]
        member = next(filter(None, heard), _ANYWAY)
        value = self.members.get(member)
        if name == self._whole:
            return
        if not heard:
            notes.dropped(name, "does not take it for this model" if wishes else "does not take it like this")
        elif member not in (name, _ANYWAY):
            notes.changed(name, f"takes it as {member}")
        elif isinstance(value, str | int) and not isinstance(value, bool) and value not in wishes.values():
            notes.changed(name, f"takes {value} instead")

    @property
    def _is_on(self) -> bool:
        return "thinks" not in self._said_by or bool(self._wish["thinks"])

    def _switch(self, *, thinks: bool) -> None:
        member: str | None
        match self._family.switch:
            case "thinking":
                member = self._put("thinking", {"type": "enabled" if thinks else "disabled"})
            case "enable_thinking":
                member = self._put("enable_thinking", thinks)
            case "template":
                member = self._put_in(TEMPLATE, self._family.template, thinks)
            case "reasoning":
                member = self._put_in("reasoning", "enabled", thinks)
            case "disable_reasoning" if not thinks:
                member = self._put("disable_reasoning", True)
            case "effort" if thinks and not self._family.reasons:
                member = self._put(EFFORT, self._family.on)  # how much may be said after it
            case "effort" if not thinks and self._family.has_none:
                member = self._put(EFFORT, OFF)
            case _:
                member = _ANYWAY if thinks and self._family.reasons else None
        if member is not None:
            self._said_by["thinks"] = member

    def _say_effort(self, effort: str) -> None:
        level = self._family.nearest(effort)
        if level is None or "effort" in self._said_by:
            return
        if self._family.switch == "reasoning":
            if "max_tokens" not in self.members.get("reasoning", {}):  # it takes one of the two
                self._said_by["effort"] = self._put_in("reasoning", "effort", level)
        else:
            self._said_by["effort"] = self._put(EFFORT, level)

    def _say_budget(self, budget: int) -> None:
        if self._family.budget is not None:
            least, most = self._family.budget
            self._said_by["budget"] = self._put("thinking_budget", min(max(budget, least), most))
        elif self._family.switch == "reasoning" and "effort" not in self.members.get("reasoning", {}):
            self._said_by["budget"] = self._put_in("reasoning", "max_tokens", budget)

    def _show(self) -> None:
        family, form, shown = self._family, self._wish.get("format"), self._wish.get("shown")
        if form in family.formats:
            self._said_by["format"] = self._put("reasoning_format", form)
        elif isinstance(shown, bool) and family.takes_include:
            self._said_by["shown"] = self._put("include_reasoning", shown)
        elif shown is False and "hidden" in family.formats:
            self._said_by["shown"] = self._put("reasoning_format", "hidden")
        elif isinstance(shown, bool) and family.switch == "reasoning":
            self._said_by["shown"] = _ANYWAY if shown else self._put_in("reasoning", "exclude", True)
        elif family.format is not None and self._is_on:
            self.members["reasoning_format"] = family.format

    def _put(self, member: str, value: object) -> str:
        self.members[member] = value
        return member

    def _put_in(self, member: str, name: str, value: object) -> str:
        """Say something in an object; what the caller wrote into it himself stays."""
        self.members.setdefault(member, {}).setdefault(name, value)
        return member
