"""Tool calls of one chat completion, put together from fragments that some servers number badly, or not at all."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from shared.domain.events import ToolCall
from workers.providers.base import new_call_id
from workers.providers.refusal import is_object

MAX_CALLS: Final = 200
"""Of one answer; what comes beyond is left out."""


@dataclass
class _Call:
    index: int
    theirs: object
    """The index its provider gives it, if it gives one."""
    id: str
    has_name: bool


class ToolFragments:
    """Takes the fragments of one answer. Every call gets an index from 0 on and an id, each reported once."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []

    def take(self, fragment: object) -> Iterator[ToolCall]:
        """Yield what a fragment adds; nothing if that is nothing."""
        if not is_object(fragment):
            return
        function: Any = fragment.get("function")
        function = function if is_object(function) else {}
        name, arguments = _text(function.get("name")), _arguments(function.get("arguments"))
        given_id, theirs = _text(fragment.get("id")), fragment.get("index")
        call = self._call_of(theirs, given_id, name)
        if call is None:
            if len(self._calls) >= MAX_CALLS:
                return
            call = _Call(len(self._calls), theirs, given_id or new_call_id(), bool(name))
            self._calls.append(call)
            yield ToolCall(call.index, call.id, name, arguments)
            return
        news = None if call.has_name else name
        call.has_name = call.has_name or bool(name)
        if news or arguments:
            yield ToolCall(call.index, None, news, arguments)

    def _call_of(self, theirs: object, given_id: str | None, name: str | None) -> _Call | None:
        """Return the call that a fragment continues; None if it begins one.

        A name with another id begins a call whatever its index says: Gemini's endpoint numbers all of them 0.
        """
        if given_id is not None:
            known = next((call for call in self._calls if call.id == given_id), None)
            if known is not None:
                return known
        if theirs is not None:
            same = [call for call in self._calls if call.theirs == theirs]
            is_other = bool(given_id and name) and bool(same and same[-1].has_name)
            return same[-1] if same and not is_other else None
        begins = given_id is not None or (name is not None and self._calls and self._calls[-1].has_name)
        return None if begins or not self._calls else self._calls[-1]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _arguments(value: object) -> str:
    """Return arguments as the text they are; some servers send the object that OpenAI's text describes."""
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode() if is_object(value) else ""
