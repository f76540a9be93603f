"""What must be read back and must not be read by others (signature secrets, provider keys): AES-256-GCM.

A sealed secret is a version byte, a nonce of 12 random bytes (NIST SP 800-38D section 8.2.2) and the ciphertext with
its tag. The purpose it was sealed for is authenticated with it: what was copied into another row does not open there.
"""

import base64
import hashlib
import hmac
import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

_VERSION: Final = b"\x01"
_NONCE_BYTES: Final = 12


class CannotOpen(Exception):
    """A sealed secret does not open: another master key, another purpose, or changed bytes."""


class Sealer:
    """Seals and opens under the system's master key (base64 of 32 bytes)."""

    def __init__(self, master_key: SecretStr) -> None:
        key = base64.b64decode(master_key.get_secret_value(), validate=True)
        self._cipher = AESGCM(key)
        self._digest_key = hmac.digest(key, b"digest", hashlib.sha256)  # one key for one purpose

    def seal(self, secret: str, *, purpose: str) -> bytes:
        """Return a secret sealed for a purpose, such as `device_credential:<id>`."""
        nonce = os.urandom(_NONCE_BYTES)
        return _VERSION + nonce + self._cipher.encrypt(nonce, secret.encode(), purpose.encode())

    def open(self, sealed: bytes, *, purpose: str) -> str:
        """Return the secret.

        Raises:
            CannotOpen: if it was sealed under another key or for another purpose, or was changed.
        """
        version, nonce, ciphertext = sealed[:1], sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        if version != _VERSION:
            raise CannotOpen("the sealed secret has an unknown version")
        try:
            return self._cipher.decrypt(nonce, ciphertext, purpose.encode()).decode()
        except (InvalidTag, ValueError):  # ValueError: too short to hold a nonce
            raise CannotOpen("the sealed secret does not open under this master key") from None

    def digest(self, text: str, *, purpose: str) -> bytes:
        """Return what tells whether a text with a secret in it is the same as before.

        Unlike a plain hash it is of no use to who has the database only, however easy the secret is to guess.
        """
        return hmac.digest(self._digest_key, f"{purpose}\0{text}".encode(), hashlib.sha256)
