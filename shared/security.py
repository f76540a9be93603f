"""API keys and how secrets are compared: pure, and never a secret in what is returned for showing.

A key is `ssk_`, 43 characters of 32 random bytes, and 6 characters of checksum: a mistyped or invented key is refused
without a look into the database, and scanners recognise a leaked one. Full entropy is why one SHA-256 is enough of a
hash (OWASP Password Storage Cheat Sheet: slow hashes are for secrets that people choose).
"""

import base64
import hashlib
import hmac
import re
import secrets
import zlib
from typing import Final

KEY_PREFIX: Final = "ssk_"
_KEY: Final = re.compile(r"ssk_([A-Za-z0-9_-]{43})([A-Za-z0-9_-]{6})")
_HINT_CHARS: Final = len(KEY_PREFIX) + 4  # 24 of 256 bits: enough to tell keys apart, nothing to guess from


def new_api_key() -> str:
    """Return a new key; nobody can have it before, and it is stored nowhere but with its holder."""
    body = secrets.token_urlsafe(32)
    return f"{KEY_PREFIX}{body}{_checksum(body)}"


def is_api_key(text: str) -> bool:
    """Return whether a text can be a key at all: its form and checksum are right."""
    match = _KEY.fullmatch(text)
    return match is not None and hmac.compare_digest(_checksum(match[1]), match[2])


def hash_of_key(key: str) -> bytes:
    """Return what is stored of a key."""
    return hashlib.sha256(key.encode()).digest()


def hint_of_key(key: str) -> str:
    """Return the first characters of a key, by which its owner tells it from others."""
    return key[:_HINT_CHARS]


def is_same_secret(given: str, expected: str) -> bool:
    """Compare in a time that depends on neither the contents nor the lengths."""
    return hmac.compare_digest(hash_of_key(given), hash_of_key(expected))


def _checksum(body: str) -> str:
    return base64.urlsafe_b64encode(zlib.crc32(body.encode()).to_bytes(4, "big")).decode().rstrip("=")
