"""API keys, device tokens and claim codes, and how secrets are compared: pure, and never a secret in what is shown.

A key is `ssk_` (a device's token `ssd_`), 43 characters of 32 random bytes, and 6 characters of checksum: a mistyped or
invented one is refused without a look into the database, and scanners recognise a leaked one. Full entropy is why one
SHA-256 is enough of a hash (OWASP Password Storage Cheat Sheet: slow hashes are for secrets that people choose).
"""

import base64
import hashlib
import hmac
import re
import secrets
import zlib
from typing import Final

KEY_PREFIX: Final = "ssk_"
DEVICE_PREFIX: Final = "ssd_"
_SECRET: Final = re.compile(r"([A-Za-z0-9_-]{43})([A-Za-z0-9_-]{6})")
_CLAIM_LETTERS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CONFUSED: Final = str.maketrans({"I": "1", "L": "1", "O": "0"})
_HINT_CHARS: Final = len(KEY_PREFIX) + 4  # 24 of 256 bits: enough to tell keys apart, nothing to guess from


def new_api_key() -> str:
    """Return a new key; nobody can have it before, and it is stored nowhere but with its holder."""
    return _new_secret(KEY_PREFIX)


def new_device_token() -> str:
    """Return a new device token: like a key, with a beginning of its own."""
    return _new_secret(DEVICE_PREFIX)


def is_api_key(text: str) -> bool:
    """Return whether a text can be a key at all: its form and checksum are right."""
    return _is_secret(text, KEY_PREFIX)


def is_device_token(text: str) -> bool:
    """Return whether a text can be a device's token at all."""
    return _is_secret(text, DEVICE_PREFIX)


def new_claim_code() -> str:
    """Return a code that people can read out and type, as in `7K2M-9QRD-XW4T-H8VC`: 80 bits of chance."""
    letters = "".join(secrets.choice(_CLAIM_LETTERS) for _ in range(16))
    return "-".join(letters[place : place + 4] for place in range(0, 16, 4))


def canonical_claim_code(text: str) -> str | None:
    """Return a typed code as it was made, whatever the case and the dashes; None if it can be none.

    The letters are Crockford's base 32: what is easily confused (I, L, O) is read as the digit it looks like.
    """
    letters = text.upper().translate(_CONFUSED).replace("-", "").replace(" ", "")
    if len(letters) != 16 or not set(letters) <= set(_CLAIM_LETTERS):
        return None
    return "-".join(letters[place : place + 4] for place in range(0, 16, 4))


def hash_of_key(key: str) -> bytes:
    """Return what is stored of a key."""
    return hashlib.sha256(key.encode()).digest()


def hint_of_key(key: str) -> str:
    """Return the first characters of a key, by which its owner tells it from others."""
    return key[:_HINT_CHARS]


def is_same_secret(given: str, expected: str) -> bool:
    """Compare in a time that depends on neither the contents nor the lengths."""
    return hmac.compare_digest(hash_of_key(given), hash_of_key(expected))


def _new_secret(prefix: str) -> str:
    body = secrets.token_urlsafe(32)
    return f"{prefix}{body}{_checksum(body)}"


def _is_secret(text: str, prefix: str) -> bool:
    match = _SECRET.fullmatch(text.removeprefix(prefix)) if text.startswith(prefix) else None
    return match is not None and hmac.compare_digest(_checksum(match[1]), match[2])


def _checksum(body: str) -> str:
    return base64.urlsafe_b64encode(zlib.crc32(body.encode()).to_bytes(4, "big")).decode().rstrip("=")
