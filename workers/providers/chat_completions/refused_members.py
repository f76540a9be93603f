"""Which members of a request a provider says it does not take: from its refusal to their names. Pure.

Tried only on what it cannot misread: refusals of the request's form (400, 422), and members that were sent.
"""

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from workers.providers.chat_completions.wire import KEPT
from workers.providers.refusal import Refusal, is_list, is_object

STATUSES: Final = (400, 422)
_NOT_TAKEN: Final = re.compile(
    r"not (?:be )?(?:permitted|supported|allowed|recogni[sz]ed|available)|unsupported|unrecogni[sz]ed|unexpected"
    r"|unknown (?:name|parameter|field|argument)|does(?: not|n't) support|extra (?:inputs|fields)|extra_forbidden",
    re.IGNORECASE,
)
_VALUE_ONLY: Final = "unsupported_value"  # OpenAI: the member is known, but not with this value
_CODES: Final = frozenset({_VALUE_ONLY, "unsupported_parameter", "unknown_parameter", "extra_forbidden"})
_SAYING: Final = ("message", "msg", "detail", "error", "title")
_MAX_LEVELS: Final = 6
_MAX_CHARS: Final = 8 * 1024
_CAPITAL: Final = re.compile(r"_([a-z])")


class RefusedMembers(NamedTuple):
    """What was refused; `is_lasting` unless only its value was."""

    names: frozenset[str] = frozenset()
    is_lasting: bool = True


def refused_members(refusal: Refusal, sent: frozenset[str]) -> RefusedMembers:
    """Return which of the members that were sent the provider does not take; none if it refused something else."""
    if refusal.status not in STATUSES:
        return RefusedMembers()
    body = refusal.json()
    places = frozenset(_places(body, levels=_MAX_LEVELS))
    if places & (sent | KEPT):  # it says precisely what; Cerebras has `validation_error` for a place
        return RefusedMembers(places & sent, is_lasting=_VALUE_ONLY not in set(_codes(body)))
    said = " ".join(_sentences(body, levels=_MAX_LEVELS))[:_MAX_CHARS]
    if not _NOT_TAKEN.search(said):
        return RefusedMembers()
    return RefusedMembers(frozenset(name for name in sent if _names(said, name)))


def _places(body: Any, *, levels: int) -> Iterator[str]:  # any JSON
    """Yield the members that an error of OpenAI's form, or a list of faults as pydantic makes them, points at."""
    if is_list(body) and levels:
        for entry in body:
            yield from _places(entry, levels=levels - 1)
    if not is_object(body) or not levels:
        return
    if _is_about_form(body):
        if is_list(loc := body.get("loc")):
            steps = [step for step in loc if isinstance(step, str) and step != "body"]
            yield from steps[:1]
        if isinstance(param := body.get("param"), str):
            yield re.split(r"[.\[]", param)[0]
    for name in _SAYING:
        yield from _places(body.get(name), levels=levels - 1)


def _is_about_form(fault: dict[str, Any]) -> bool:  # JSON of a provider's
    said = fault.get("msg") or fault.get("message")
    return not _CODES.isdisjoint(_codes(fault)) or (isinstance(said, str) and _NOT_TAKEN.search(said) is not None)


def _codes(body: Any) -> Iterator[str]:  # any JSON
    for part in (body, body.get("error") if is_object(body) else None):
        if is_object(part):
            yield from (code for name in ("code", "type") if isinstance(code := part.get(name), str))


def _sentences(body: Any, *, levels: int) -> Iterator[str]:  # any JSON
    if isinstance(body, str):
        yield body
    elif is_list(body) and levels:
        for entry in body:
            yield from _sentences(entry, levels=levels - 1)
    elif is_object(body) and levels:
        for name in _SAYING:
            yield from _sentences(body.get(name), levels=levels - 1)


def _names(said: str, member: str) -> bool:
    """Return whether a sentence names a member, as it is sent or as `reasoningEffort` (xAI)."""
    written = _CAPITAL.sub(lambda letter: letter[1].upper(), member)
    return re.search(rf"\b(?:{re.escape(member)}|{re.escape(written)})\b", said) is not None
