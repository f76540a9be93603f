"""What a device is given to show who it is: a token, and where it signs its uploads a pair to sign them with.

Only the token's hash and the sealed signing secret are kept; the token itself leaves this process once.
"""

import secrets
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import structlog
from pydantic import SecretStr

from shared.domain.errors import Unavailable
from shared.domain.ids import uuid7
from shared.encryption import CannotOpen, Sealer
from shared.security import hash_of_key, hint_of_key, new_device_token

ACCESS_KEY_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
ACCESS_KEY_CHARS: Final = 20
SECRET_KEY_BYTES: Final = 30
"""40 characters: the lengths of AWS's own pairs, which firmware has room for."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class SigningPair:
    """What a device signs its uploads with (AWS signature version 2)."""

    access_key: str
    secret_key: SecretStr


@dataclass(frozen=True, kw_only=True)
class NewCredential:
    """A credential that was just made, with what is shown this once."""

    id: UUID
    token: SecretStr
    signing: SigningPair | None


def new_signing_pair() -> SigningPair:
    """Return a pair that nobody can have had before."""
    access_key = "".join(secrets.choice(ACCESS_KEY_LETTERS) for _ in range(ACCESS_KEY_CHARS))
    return SigningPair(access_key=access_key, secret_key=SecretStr(secrets.token_urlsafe(SECRET_KEY_BYTES)))


def new_credential(signing: SigningPair | None) -> NewCredential:
    """Return a credential, to be stored as `credential_row` says."""
    return NewCredential(id=uuid7(), token=SecretStr(new_device_token()), signing=signing)


def credential_row(device_id: UUID, new: NewCredential, sealer: Sealer) -> dict[str, Any]:  # values of columns
    """Return what is stored of a new credential."""
    token, signing = new.token.get_secret_value(), new.signing
    return {
        "id": new.id,
        "device_id": device_id,
        "hash": hash_of_key(token),
        "hint": hint_of_key(token),
        "access_key": signing and signing.access_key,
        "secret": signing and sealer.seal(signing.secret_key.get_secret_value(), purpose=_purpose(new.id)),
    }


def opened_pair(
    credential_id: UUID, access_key: str | None, sealed: bytes | None, sealer: Sealer
) -> SigningPair | None:
    """Return the pair of a stored credential, if it has one.

    Raises:
        Unavailable: if it was sealed under another master key. A device that signs is then refused rather than
            believed without its signature; with the right key, or after a rotation, it is let in again.
    """
    if access_key is None or sealed is None:
        return None
    try:
        secret = sealer.open(sealed, purpose=_purpose(credential_id))
    except CannotOpen as error:
        _log.error("signing_secret_does_not_open", credential_id=str(credential_id), reason=str(error))
        raise Unavailable(
            "This device's signing secret does not open under this server's SMARTSIP_MASTER_KEY: set the key it was"
            " stored under, or rotate the device."
        ) from error
    return SigningPair(access_key=access_key, secret_key=SecretStr(secret))


def _purpose(credential_id: UUID) -> str:
    return f"device_credential:{credential_id}"
