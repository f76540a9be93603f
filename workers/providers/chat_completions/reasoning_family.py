"""How models are told whether to reason, and how much: what a row says of those whose names begin alike."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

TokenParam: TypeAlias = Literal["max_tokens", "max_completion_tokens"]
Switch: TypeAlias = Literal["thinking", "enable_thinking", "template", "effort", "disable_reasoning", "reasoning"]
"""How reasoning is switched on or off.

`thinking`: `{"type": "enabled" | "disabled"}`. `enable_thinking` and `disable_reasoning`: booleans. `template`: in
`chat_template_kwargs`. `effort`: `reasoning_effort`, off is `none`. `reasoning`: OpenRouter's object of that name.
"""
LADDER: Final = ("minimal", "low", "medium", "high", "xhigh", "max", "ultra")
"""Levels of `reasoning_effort`, the weakest first."""
_HIGH: Final = LADDER.index("high")


@dataclass(frozen=True, kw_only=True)
class Family:
    """What models whose names begin alike take; the defaults are for those of which nothing is known."""

    models: tuple[str, ...] = ("",)
    """Beginnings of their names, in lower case, without what stands before a slash."""
    reasons: bool = False
    """Whether they reason unless told not to."""
    switch: Switch | None = None
    efforts: tuple[str, ...] | None = ()
    """What `reasoning_effort` may be; None: whatever the caller says."""
    on: str = "medium"
    """The effort that switches reasoning on, where `switch` is `effort`."""
    template: Literal["enable_thinking", "thinking"] = "enable_thinking"
    budget: tuple[int, int] | None = None
    """The least and the most that `thinking_budget` may be, in tokens."""
    formats: tuple[str, ...] = ()
    """What `reasoning_format` may be."""
    format: str | None = None
    """The `reasoning_format` that is asked for where the caller does not care."""
    takes_include: bool = False
    """Whether they take `include_reasoning`; never together with `reasoning_format`."""
    token_param: TokenParam | None = None
    """The name of the limit of an answer, where it is not the row's."""

    def has(self, model: str) -> bool:
        """Return whether a model is one of them."""
        return model.removeprefix("ft:").rpartition("/")[2].lower().startswith(self.models)

    @property
    def has_none(self) -> bool:
        """Whether `none` is an effort they take."""
        return "none" in self.efforts if self.efforts is not None else self.switch in (None, "effort", "reasoning")

    def nearest(self, effort: str) -> str | None:
        """Return the effort to ask for where the caller wants this one; None: there is none like it."""
        if self.efforts is None or effort in self.efforts:
            return effort
        if effort not in LADDER:
            return None
        wanted = LADDER.index(effort)
        known = [level for level in LADDER if level in self.efforts]
        stronger = [level for level in known if LADDER.index(level) > wanted]
        weaker = [level for level in known if LADDER.index(level) < wanted]
        # As DeepSeek's own server does (https://api-docs.deepseek.com, thinking mode): up to `high`, down to the most.
        order = (*weaker[::-1], *stronger) if wanted > _HIGH else (*stronger, *weaker[::-1])
        return next(iter(order), None)
