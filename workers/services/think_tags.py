"""Thoughts that a model writes into its answer between `<think>` and `</think>`, told apart from what it says.

Blanks that templates leave are dropped: at the beginning of a thought, and between a thought and the answer's first
word. A closing tag before the first word ends a thought whose opening tag, or all of it, the model's template kept to
itself; one after it is text, because what came before was shown already. An opening tag that is never closed makes a
thought of all the rest.
"""

import re
from collections.abc import Iterator
from typing import Final

from shared.domain.events import Reasoning, Text

OPENING: Final = "<think>"
CLOSING: Final = "</think>"
_BLANKS: Final = " \t\r\n"
_STRAY_CLOSING: Final = re.compile(rf"[{_BLANKS}]*+{CLOSING}")


class ThinkTags:
    """Takes one answer in any fragments; keeps back only what may become a tag."""

    def __init__(self) -> None:
        self._is_thought = False
        self._has_spoken = False  # something other than blanks and thoughts
        self._drops_blanks = False
        self._held = ""
        self.is_plain = False
        """Whether a fragment without `<` would be text as it is."""

    def feed(self, text: str) -> Iterator[Text | Reasoning]:
        """Take the next fragment, yield what it tells for certain, in order. To be exhausted before the next one."""
        rest = self._held + text
        self._held = ""
        position = 0
        while True:
            at, tag = self._next_tag(rest, position)
            if at < 0:
                break
            yield from self._say(rest[position:at])
            self._is_thought = tag is OPENING
            self._drops_blanks = self._is_thought or not self._has_spoken
            position = at + len(tag)
        at = self._possible_tag(rest, position)
        yield from self._say(rest[position:at])
        self._held = rest[at:]
        self.is_plain = self._has_spoken and not self._is_thought and not self._held

    def end(self) -> Iterator[Text | Reasoning]:
        """Yield what was kept back: the beginning of a tag that was none."""
        held, self._held = self._held, ""
        yield from self._say(held)

    def _next_tag(self, rest: str, position: int) -> tuple[int, str]:
        if self._is_thought:
            return rest.find(CLOSING, position), CLOSING
        if not self._has_spoken and (stray := _STRAY_CLOSING.match(rest, position)):
            return stray.end() - len(CLOSING), CLOSING
        return rest.find(OPENING, position), OPENING

    def _possible_tag(self, rest: str, position: int) -> int:
        """Return where a tag may have begun whose end is yet to come; the end of the text if nowhere."""
        at = rest.rfind("<", max(position, len(rest) - len(CLOSING) + 1))
        if at < 0:
            return len(rest)
        can_close = self._is_thought or not (self._has_spoken or rest[position:at].strip(_BLANKS))
        can_open = not self._is_thought
        beginning = rest[at:]
        may_be_tag = (can_close and CLOSING.startswith(beginning)) or (can_open and OPENING.startswith(beginning))
        return at if may_be_tag else len(rest)

    def _say(self, text: str) -> Iterator[Text | Reasoning]:
        if self._drops_blanks:
            text = text.lstrip(_BLANKS)
        if not text:
            return
        self._drops_blanks = False
        if self._is_thought:
            yield Reasoning(text)
        else:
            self._has_spoken = self._has_spoken or bool(text.strip(_BLANKS))
            yield Text(text)
