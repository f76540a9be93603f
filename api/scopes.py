"""What a credential may do."""

from enum import StrEnum
from typing import Final


class Scope(StrEnum):
    """One thing a key may be good for. A key with `admin` is good for everything."""

    JOBS = "jobs"
    IMAGES = "images"
    DEVICE = "device"
    KEYS = "keys"
    METRICS = "metrics"
    ADMIN = "admin"


EVERY_SCOPE: Final = frozenset(Scope)


def effective(scopes: frozenset[Scope]) -> frozenset[Scope]:
    """Return everything a set of scopes amounts to."""
    return EVERY_SCOPE if Scope.ADMIN in scopes else scopes
