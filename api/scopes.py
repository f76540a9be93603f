"""What a credential may do."""

from enum import StrEnum
from typing import Final


class Scope(StrEnum):
    """One thing a credential may be good for.

    `device` is what a device's own token is good for and nothing else is, the administrator's token included: what it
    opens acts as one device. `devices` is to manage them. A key with `admin` is good for everything but `device`.
    """

    JOBS = "jobs"
    IMAGES = "images"
    DEVICE = "device"
    DEVICES = "devices"
    KEYS = "keys"
    METRICS = "metrics"
    ADMIN = "admin"


EVERY_SCOPE: Final = frozenset(Scope) - {Scope.DEVICE}
"""What the administrator may do."""

USER_SCOPES: Final = EVERY_SCOPE - {Scope.ADMIN, Scope.METRICS}
"""What a user may do who is not an administrator."""


def effective(scopes: frozenset[Scope]) -> frozenset[Scope]:
    """Return everything a key's scopes amount to."""
    return EVERY_SCOPE if Scope.ADMIN in scopes else scopes & EVERY_SCOPE
