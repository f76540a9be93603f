"""Takes what looks like a secret out of whatever is about to be logged or shown."""

import re
from collections.abc import Mapping
from typing import Any, Final, cast

REDACTED: Final = "[redacted]"
SECRET_NAMES: Final = frozenset(
    {
        *("authorization", "proxy_authorization", "cookie", "set_cookie", "x_api_key", "x_goog_api_key"),
        *("api_key", "token", "admin_token", "device_token", "ticket", "password", "secret", "jwt_secret"),
        *("old_password", "new_password", "password_hash", "access_token"),
        *("master_key", "secret_key", "access_key", "claim_code"),
    }
)
_SECRETS: Final = (
    (re.compile(r"(?i)\b(bearer|basic) +[A-Za-z0-9._~+/=:-]+"), rf"\1 {REDACTED}"),
    (re.compile(r"\bss[kd]_[A-Za-z0-9_-]+"), REDACTED),
    (re.compile(r"\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+"), REDACTED),  # users' tokens and tickets
    (re.compile(r"\b(?:[0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-HJKMNP-TV-Z]{4}\b"), REDACTED),  # claim codes
    (re.compile(r"\bsk-[A-Za-z0-9_-]{6,}"), REDACTED),
    (re.compile(r"\bAWS [^\s:]+:[A-Za-z0-9+/=]+"), f"AWS {REDACTED}"),  # signature V2, as the old firmware sends it
    (re.compile(r"(?i)\b(x-amz-(?:signature|credential|security-token)|signature)=[^&\s\"']+"), rf"\1={REDACTED}"),
    (re.compile(r"(?i)([?&](?:ticket|token|access_token|api_key|key)=)[^&\s\"'#]+"), rf"\1{REDACTED}"),
    (re.compile(r"/d/[^/\s?#\"']+"), f"/d/{REDACTED}"),  # the token of a client that can only be given a base URL
    (re.compile(r"(?<=://)[^/\s@\"']*:[^/\s@\"']*@"), f"{REDACTED}@"),
)


def redact_text(text: str) -> str:
    """Return a text without tokens, signatures and passwords of URLs."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def redact(value: Any) -> Any:  # whatever a log line carries
    """Return a value without secrets, in texts at any depth and under names that say so; other types as they are."""
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()  # keys of any kind
        return {name: REDACTED if is_secret_name(name) else redact(item) for name, item in items}
    if isinstance(value, (list, tuple)):
        return [redact(item) for item in cast("list[Any]", value)]  # items of any kind
    if isinstance(value, bytes):
        return redact_text(value.decode("utf-8", "replace"))
    if isinstance(value, BaseException):
        return redact_text(f"{type(value).__name__}: {value}")
    return value


def is_secret_name(name: object) -> bool:
    """Return whether values of this name are never shown."""
    return isinstance(name, str) and name.lower().replace("-", "_") in SECRET_NAMES
