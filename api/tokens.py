"""Signed tokens (JWT, as RFC 8725 wants it): one algorithm, an issuer, an audience of its own for each kind, an end.

What a token says is readable by its holder: nothing secret goes into one. Pure; who a token is good for today is
decided by who asks (`api.services.accounts`, `api.tickets`).
"""

import hashlib
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import jwt
import msgspec
from pydantic import SecretStr

from shared.encryption import Sealer

ALGORITHM: Final = "HS256"
ISSUER: Final = "smartsip"
USERS: Final = "smartsip"
"""The audience of users' tokens."""
TYPE: Final = "JWT"
MIN_KEY_BYTES: Final = 32
"""RFC 7518 section 3.2. Only the local stack takes a shorter secret."""
MAX_TOKEN_CHARS: Final = 4096
_REQUIRED: Final = ("iss", "aud", "iat", "exp", "sub")


class Signer:
    """Signs and reads the tokens of one audience."""

    def __init__(self, key: bytes, *, audience: str) -> None:
        self._key = key
        self._audience = audience

    def sign(self, claims: Mapping[str, Any], *, lifetime: timedelta) -> tuple[str, datetime]:
        """Return a token that says `claims` (JSON, with `sub`), and when it ends."""
        now = time.time()
        expires_at = int(now + lifetime.total_seconds())
        said = dict(claims) | {"iss": ISSUER, "aud": self._audience, "iat": int(now), "exp": expires_at}
        token = jwt.encode(said, self._key, algorithm=ALGORITHM, headers={"typ": TYPE})
        return token, datetime.fromtimestamp(expires_at, UTC)

    def read(self, token: str) -> dict[str, Any] | None:
        """Return what a token says; None if it is not one of this audience, was changed, or has ended."""
        if not looks_like_token(token):
            return None
        try:
            decoded = jwt.decode_complete(
                token,
                self._key,
                algorithms=[ALGORITHM],
                audience=self._audience,
                issuer=ISSUER,
                # A token that another machine of ours made a moment ago, by a clock ahead of this one's, is good.
                options={"require": list(_REQUIRED), "verify_iat": False},
            )
        except jwt.InvalidTokenError:
            return None
        return decoded["payload"] if decoded["header"].get("typ") == TYPE else None


class UserClaims(msgspec.Struct, frozen=True):
    """What a user's token says; `user_id` is `sub` as the clients of llm-backend-api read it."""

    sub: str
    user_id: int
    epoch: int
    exp: int

    @property
    def expires_at(self) -> datetime:
        """When the token ends."""
        return datetime.fromtimestamp(self.exp, UTC)


class UserTokens:
    """Makes and reads users' tokens."""

    def __init__(self, key: bytes) -> None:
        self._signer = Signer(key, audience=USERS)

    def make(self, user_id: int, epoch: int, *, lifetime: timedelta) -> tuple[str, datetime]:
        """Return a token, and when it ends."""
        return self._signer.sign({"sub": str(user_id), "user_id": user_id, "epoch": epoch}, lifetime=lifetime)

    def read(self, token: str) -> UserClaims | None:
        """Return what a valid token says; None if it is none."""
        claims = self._signer.read(token)
        try:
            said = msgspec.convert(claims, UserClaims)
        except msgspec.ValidationError:
            return None
        return said if said.sub == str(said.user_id) else None


def user_token_key(secret: SecretStr | None, sealer: Sealer) -> bytes:
    """Return what users' tokens are signed with: the configured secret, else a key derived from the master key."""
    if secret is None:
        return sealer.digest("", purpose="user_token")
    key = secret.get_secret_value().encode()
    return key if len(key) >= MIN_KEY_BYTES else hashlib.sha256(key).digest()


def looks_like_token(credential: str) -> bool:
    """Whether a credential has the form of a signed token (three parts), and so is no key of ours."""
    return len(credential) <= MAX_TOKEN_CHARS and credential.isascii() and credential.count(".") == 2
