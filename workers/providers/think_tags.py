"""Thoughts that a model writes before its answer, between `<think>` and `</think>`, told apart from what it says.

Only at the answer's start, before its first word: later on a tag is text, because people ask about tags too. Blanks
that templates leave are dropped: before a thought, at its beginning, and between it and the first word. A closing tag
before the first word ends a thought whose opening tag, or all of it, the model's template kept to itself. An opening
tag that is never closed makes a thought of all the rest.
"""

import re
from collections.abc import Iterator
from typing import Final

from shared.domain.events import Reasoning, Text

_NAMES: Final = "think|thought"
"""The second is what Gemini's endpoint for chat completions writes."""
_BLANKS: Final = " \t\r\n"
_CLOSING: Final = re.compile(rf"</(?:{_NAMES})>")
_TAGS: Final = tuple(f"<{slash}{name}>" for name in _NAMES.split("|") for slash in ("", "/"))
_CLOSINGS: Final = tuple(tag for tag in _TAGS if tag.startswith("</"))
MAX_BLANKS: Final = 100
"""More of them before the first word are part of the answer."""
_TAG: Final = re.compile(rf"[{_BLANKS}]{{0,{MAX_BLANKS}}}+</?(?:{_NAMES})>")


class ThinkTags:
    """Takes one answer in any fragments; keeps back only what may become a tag, and blanks before one."""

    def __init__(self) -> None:
        self._is_thought = False
        self._drops_blanks = False
        self._held = ""
        self.is_text = False
        """Whether the answer's first word was said: all that follows is text."""

    def feed(self, text: str) -> Iterator[Text | Reasoning]:
        """Take the next fragment, yield what it tells for certain, in order. To be exhausted before the next one."""
        rest = self._held + text
        self._held = ""
        while rest:
            if self.is_text:
                yield Text(rest)
                return
            if self._drops_blanks:
                rest = rest.lstrip(_BLANKS)
            tag = (_CLOSING.search if self._is_thought else _TAG.match)(rest)
            if tag is None:
                break
            if self._is_thought:
                yield from self._say(rest[: tag.start()])
            self._is_thought = not tag[0].endswith(_CLOSINGS)
            self._drops_blanks = True
            rest = rest[tag.end() :]
        at = self._unclear_from(rest)
        self._held = rest[at:]
        yield from self._say(rest[:at])

    def end(self) -> Iterator[Text | Reasoning]:
        """Yield what was kept back: the beginning of a tag that was none."""
        held, self._held = self._held, ""
        yield from self._say(held)

    def _unclear_from(self, rest: str) -> int:
        """Return where something begins of which only the next fragment tells what it is; the end if nothing does."""
        if not self._is_thought:
            words = rest.lstrip(_BLANKS)
            is_unclear = len(rest) - len(words) <= MAX_BLANKS and any(tag.startswith(words) for tag in _TAGS)
            return 0 if is_unclear else len(rest)
        at = rest.rfind("<")
        return at if at >= 0 and any(tag.startswith(rest[at:]) for tag in _CLOSINGS) else len(rest)

    def _say(self, text: str) -> Iterator[Text | Reasoning]:
        if self._drops_blanks:
            text = text.lstrip(_BLANKS)
        if not text:
            return
        self._drops_blanks = False
        if self._is_thought:
            yield Reasoning(text)
        else:
            self.is_text = True
            yield Text(text)
