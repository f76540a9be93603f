"""What a provider said when it refused: status, headers and body as they came, and the few facts read from them."""

import html
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import Any, Final, TypeGuard

import msgspec

MAX_BODY_BYTES: Final = 64 * 1024
"""More of an error's body is not read: what it says stands at its beginning."""
MAX_TEXT_CHARS: Final = 300
MAX_LOOKED_AT_CHARS: Final = 4 * 1024
"""Markup is removed in time that grows with the square of this: 20 ms at worst, on the event loop."""
MAX_KEY_ECHO: Final = 8
"""Shorter secrets are placeholders like `none`, whose removal would only garble the text."""
_CODE_FIELDS: Final = ("code", "type", "status", "reason", "error_type")
_MARKUP: Final = re.compile(r"<(script|style)\b.*?</\1\s*>|<!--.*?-->|<[^<>]*>", re.DOTALL | re.IGNORECASE)
_KEYS: Final = re.compile(
    r"\b(?:Bearer|Basic)\s+[^\s\"',;]+"
    r"|\b(?:sk|gsk|xai|nvapi|csk|hf|pk|rk)[-_][\w*.…-]{3,}"
    r"|\bAIza[\w-]{6,}"
    r"|(?<=api[_-]key=)[^\s&\"']+|(?<=://)[^\s/@]+(?=@)",
    re.IGNORECASE,
)


class Refusal(msgspec.Struct, frozen=True):
    """One refusal. `status` is None where the HTTP status was a success and the error came inside the answer."""

    status: int | None
    body: bytes
    headers: Mapping[str, str] = {}
    """Names in lower case."""

    def json(self) -> object:
        """Return the body as JSON, or None if it is none."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def names(self, *words: str) -> bool:
        """Return whether the body mentions one of these words."""
        return any(word.encode() in self.body for word in words)


def lower_names(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers with their names in lower case."""
    return {name.lower(): value for name, value in headers.items()}


def codes(body: object) -> frozenset[str]:
    """Return everything in an error's body that is a code rather than a sentence, in lower case."""
    return frozenset(code.lower() for part in _error_objects(body) for code in _codes_of(part))


def inner_status(body: object) -> int | None:
    """Return the HTTP status an error inside an answer carries as `status_code`, `code` or `status`."""
    for part in _error_objects(body):
        for name in ("status_code", "code", "status"):
            value = part.get(name)
            if isinstance(value, str) and len(value) == 3 and value.isascii() and value.isdigit():
                value = int(value)
            if isinstance(value, int) and 400 <= value <= 599:
                return value
    return None


def metadata(body: object) -> Mapping[str, Any]:
    """Return `error.metadata`, in which OpenRouter says more."""
    for part in _error_objects(body):
        if is_object(inner := part.get("metadata")):
            return inner
    return {}


def details(body: object) -> Iterator[Mapping[str, Any]]:
    """Yield the entries of `error.details`, in which Google says more."""
    for part in _error_objects(body):
        if is_list(entries := part.get("details")):
            yield from (entry for entry in entries if is_object(entry))


async def beginning(body: AsyncIterator[bytes]) -> bytes:
    """Read as much of an error's body as is worth reading."""
    content = b""
    async for chunk in body:
        content += chunk
        if len(content) >= MAX_BODY_BYTES:
            break
    return content[:MAX_BODY_BYTES]


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Return whether a decoded JSON value is an object."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Return whether a decoded JSON value is a list."""
    return isinstance(value, list)


def text_of(refusal: Refusal, *, secrets: Iterable[str] = ()) -> str:
    """Return what the provider says for a person to read: one line, without markup and keys, bounded."""
    said = _message(refusal.json()) or refusal.body.decode(errors="replace")
    return tidy(said, secrets=secrets)


def tidy(text: str, *, secrets: Iterable[str] = ()) -> str:
    """Return a foreign text as one bounded line without markup and keys."""
    text = text[:MAX_LOOKED_AT_CHARS]
    if "<" in text:
        text = html.unescape(_MARKUP.sub(" ", text))
    for secret in secrets:
        if len(secret) > MAX_KEY_ECHO:
            text = text.replace(secret, "[key]")
    line = " ".join("".join(char if char.isprintable() else " " for char in _KEYS.sub("[key]", text)).split())
    return line if len(line) <= MAX_TEXT_CHARS else line[: MAX_TEXT_CHARS - 1] + "…"


def _message(body: object) -> str | None:
    """Look where providers put their sentence, the most common place first."""
    if is_list(body):
        return _message(body[0]) if body else None
    if isinstance(body, str):  # SiliconFlow, 401
        return body
    if not is_object(body):
        return None
    error = body.get("error")
    candidates = (
        _with_cause(error) if is_object(error) else error,
        body.get("message"),
        _joined_detail(body.get("detail")),
        body.get("title"),
        body.get("msg"),
    )
    return next((said for said in candidates if isinstance(said, str) and said.strip()), None)


def _with_cause(error: Mapping[str, Any]) -> object:
    """Return an error's message, and what the provider behind OpenRouter said: its own is always the same."""
    said, more = error.get("message"), error.get("metadata")
    raw = more.get("raw") if is_object(more) else None
    return f"{said}: {raw}" if isinstance(said, str) and isinstance(raw, str) and raw else said


def _joined_detail(detail: object) -> object:
    """Join the list of faults that pydantic-based servers send: where, and what."""
    if not is_list(detail):
        return detail
    faults = [fault for fault in detail if is_object(fault)]
    return "; ".join(f"{_place(fault.get('loc'))}: {fault.get('msg')}" for fault in faults)


def _place(loc: object) -> str:
    return " -> ".join(str(step) for step in loc) if is_list(loc) else str(loc)


def _error_objects(body: object) -> Iterator[Mapping[str, Any]]:
    """Yield the objects that may carry codes: `error`, and the body itself."""
    if is_list(body):
        body = body[0] if body else None
    if not is_object(body):
        return
    if is_object(error := body.get("error")):
        yield error
    yield body


def _codes_of(part: Mapping[str, Any]) -> Iterator[str]:
    more = part.get("metadata")
    entries = part.get("details")
    for source in (part, more, *(entries if is_list(entries) else ())):
        if is_object(source):
            yield from (str(source[name]) for name in _CODE_FIELDS if isinstance(source.get(name), (str, int)))
