"""AWS signature version 2 in a header, as the firmware signs its uploads. Pure.

Source: AWS, "Signing and authenticating REST requests (AWS signature version 2)". Intentional difference: the resource
is the raw path without any query, which means nothing here.
"""

import base64
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Final

from shared.domain.errors import Forbidden
from shared.security import is_same_secret

_AUTHORIZATION: Final = re.compile(r"AWS ([^\s:]{1,128}):([A-Za-z0-9+/]{27}=)")  # SHA-1 is 20 bytes
_HOUR: Final = timedelta(hours=1)
_UNITS: Final = (
    (timedelta(days=730), timedelta(days=365.25), "years"),
    (timedelta(days=2), timedelta(days=1), "days"),
    (2 * _HOUR, _HOUR, "hours"),
    (timedelta(minutes=2), timedelta(minutes=1), "minutes"),
)
"""From how much on which unit is used."""


@dataclass(frozen=True, kw_only=True)
class SignedRequest:
    """What of a request is signed. `path` is as it was sent, without the prefix that holds the device's token."""

    method: str
    path: str
    headers: Mapping[str, str]
    """By lower-case name; several of one name are joined with commas."""

    @classmethod
    def of(cls, method: str, path: bytes, headers: Iterable[tuple[str, str]]) -> "SignedRequest":
        """Return a request with its headers in the canonical form."""
        joined: dict[str, list[str]] = {}
        for name, value in headers:
            joined.setdefault(name.lower(), []).append(value.strip())
        canonical = {name: ",".join(values) for name, values in joined.items()}
        return cls(method=method, path=path.decode("latin-1"), headers=canonical)


def check_signature(
    request: SignedRequest, *, access_key: str, secret_key: str, now: datetime, max_skew: timedelta
) -> None:
    """Return if the holder of the pair has signed this request, at most `max_skew` ago or ahead.

    Raises:
        Forbidden: if not. Whether the access key or the signature is wrong is not told.
    """
    given = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
    if given is None:
        raise Forbidden("this device signs its uploads: Authorization: AWS <access key>:<signature>")
    is_known = is_same_secret(given[1], access_key)
    is_signed = hmac.compare_digest(given[2], sign(secret_key, string_to_sign(request)))
    if not (is_known and is_signed):
        raise Forbidden("the access key or the signature is wrong")
    _check_clock(_date_of(request), now, max_skew)


def string_to_sign(request: SignedRequest) -> str:
    """Return what is signed of a request. A date in `x-amz-date` stands there instead of in the line of `Date`."""
    headers = request.headers
    date = "" if "x-amz-date" in headers else headers.get("date", "")
    lines = [request.method, headers.get("content-md5", ""), headers.get("content-type", ""), date]
    lines += [f"{name}:{headers[name]}" for name in sorted(headers) if name.startswith("x-amz-")]
    return "\n".join([*lines, request.path])


def sign(secret_key: str, text: str) -> str:
    """Return the signature of a string: HMAC-SHA1 in base64."""
    return base64.b64encode(hmac.digest(secret_key.encode(), text.encode("latin-1"), "sha1")).decode()


def _date_of(request: SignedRequest) -> datetime:
    text = request.headers.get("x-amz-date") or request.headers.get("date")
    if not text:
        raise Forbidden("this device signs its uploads: the header Date is missing")
    try:
        date = parsedate_to_datetime(text)
        return date if date.tzinfo else date.replace(tzinfo=UTC)
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        raise Forbidden("the header Date cannot be read; it is like Sat, 16 Nov 2024 06:11:07 GMT") from error


def _check_clock(date: datetime, now: datetime, max_skew: timedelta) -> None:
    off = abs(now - date)
    if off > max_skew:
        direction = "behind" if date < now else "ahead"
        raise Forbidden(
            f"the device's clock is wrong: {_amount(off)} {direction}, at most {_amount(max_skew)} are taken"
            f" (it is {format_datetime(now, usegmt=True)}; before a device has the time from the network, it says 1970)"
        )


def _amount(duration: timedelta) -> str:
    for least, unit, name in _UNITS:
        if duration >= least:
            return f"{duration / unit:.0f} {name}"
    return f"{duration.total_seconds():.0f} seconds"
