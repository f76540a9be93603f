"""How long a provider asks us to wait: every place where one of them says so."""

import math
import re
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Final

from workers.providers.refusal import Refusal, details, is_object, lower_names, metadata

MAX_WAIT_S: Final = 24 * 3600
_EPOCH_S: Final = 1e9
"""Larger numbers are instants, not durations: 2001 in seconds."""
_EPOCH_MS: Final = 1e11
"""Larger instants are in milliseconds."""
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|h|m|s|d)", re.ASCII)
_UNIT_S: Final = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86400}


def retry_after_s(refusal: Refusal, *, now: float | None = None) -> float | None:
    """Return the wait that the provider asks for, in seconds from now; None if it does not say."""
    now = time.time() if now is None else now
    body = refusal.json()
    inner = metadata(body).get("headers")
    for headers in (refusal.headers, _headers(inner)):
        for wait in _header_waits(headers, now):
            return wait
    for entry in details(body):  # google.rpc.RetryInfo, as in https://cloud.google.com/apis/design/errors
        wait = _duration(str(entry.get("retryDelay", "")))
        if wait is not None:
            return wait
    return None


def _header_waits(headers: Mapping[str, str], now: float) -> Iterator[float]:
    """Yield what the headers say, the most explicit first."""
    milliseconds = _number(headers.get("retry-after-ms"))  # OpenAI
    if milliseconds is not None:
        yield from _sane(milliseconds / 1000)
    yield from _sane(_retry_after(headers.get("retry-after"), now))
    yield from _sane(_rate_limit_reset(headers, now))


def _retry_after(value: str | None, now: float) -> float | None:
    """Read seconds or an HTTP date (RFC 9110 section 10.2.3), or a duration, which some send instead."""
    if value is None:
        return None
    seconds = _number(value)
    if seconds is not None:
        return seconds
    wait = _duration(value)
    if wait is not None:
        return wait
    try:
        return max(parsedate_to_datetime(value).timestamp() - now, 0)
    except (ValueError, OverflowError):
        return None


def _rate_limit_reset(headers: Mapping[str, str], now: float) -> float | None:
    """Read `x-ratelimit-reset-*` (Mistral: no x): of the limits that are used up the last reset, else the first."""
    used_up: list[float] = []
    waits: list[float] = []
    for name, value in headers.items():
        if not name.startswith(("x-ratelimit-reset", "ratelimit-reset")):
            continue
        wait = _reset(value, now)
        if wait is not None:
            waits.append(wait)
            if _number(headers.get(name.replace("-reset", "-remaining", 1))) == 0:
                used_up.append(wait)
    return max(used_up) if used_up else min(waits, default=None)


def _reset(value: str, now: float) -> float | None:
    """Read `6m0s` (OpenAI, Groq), seconds (Cerebras), or an instant in seconds or milliseconds (OpenRouter)."""
    number = _number(value)
    if number is None:
        return _duration(value)
    if number < _EPOCH_S:
        return number
    return max((number / 1000 if number > _EPOCH_MS else number) - now, 0)


def _duration(text: str) -> float | None:
    text = text.strip()
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _UNIT_S[unit] for number, unit in parts)


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _sane(wait: float | None) -> Iterator[float]:
    if wait is not None and 0 <= wait <= MAX_WAIT_S:
        yield wait


def _headers(inner: object) -> dict[str, str]:
    if not is_object(inner):
        return {}
    return lower_names({name: str(value) for name, value in inner.items()})
