"""Settings about devices: which buckets they write to themselves, and what kinds of dispensers everybody may have."""

import re
from collections.abc import Collection, Mapping
from typing import Any, Final, cast

from shared.domain.dispense import BUILT_IN_REFERENCES, PROFILES, DeviceProfile

BUCKET_NAME: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
OWNER_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


def buckets_and_owners(text: str) -> dict[str, str]:
    """Return the pairs of `bucket=owner,bucket=owner`.

    Raises:
        ValueError: if it is something else, or gives a bucket twice.
    """
    pairs = [tuple(side.strip() for side in part.partition("=")) for part in text.split(",") if part.strip()]
    owners = {bucket: owner for bucket, _, owner in pairs}
    if not all(bucket and owner for bucket, owner in owners.items()):
        raise ValueError("SMARTSIP_DEVICE_BUCKETS must be bucket=owner pairs with commas, as in test=local,lab=anna")
    if len(owners) < len(pairs):
        raise ValueError("SMARTSIP_DEVICE_BUCKETS gives a bucket twice: each has one owner")
    return owners


def checked_buckets(owners: dict[str, str], *, our_own: str) -> None:
    """Refuse names that no bucket or owner can have, and the bucket that holds everybody's images.

    Raises:
        ValueError: with what to change.
    """
    if not all(map(BUCKET_NAME.fullmatch, owners)):
        raise ValueError(
            "SMARTSIP_DEVICE_BUCKETS has a name that no bucket can have: 3 to 63 of a-z, 0-9, dot and hyphen"
        )
    if not all(map(OWNER_NAME.fullmatch, owners.values())):
        raise ValueError(
            "SMARTSIP_DEVICE_BUCKETS has a name that no owner can have: 1 to 64 letters, digits and . _ @ -"
        )
    if our_own in owners:
        raise ValueError(
            "SMARTSIP_DEVICE_BUCKETS names the bucket in which this server keeps everybody's images: give devices"
            " another one"
        )


def with_names(profiles: object) -> object:
    """Return device profiles with the names they stand under."""
    if not isinstance(profiles, dict):
        return profiles
    rows = cast("dict[str, Any]", profiles)  # checked by the model afterwards
    return {
        name: {"name": name, **cast("dict[str, Any]", row)} if isinstance(row, dict) else row
        for name, row in rows.items()
    }


def checked_profiles(profiles: dict[str, DeviceProfile]) -> dict[str, DeviceProfile]:
    """Return profiles that mean the same to every owner.

    Raises:
        ValueError: with what to change.
    """
    for name, profile in profiles.items():
        if name in PROFILES:
            raise ValueError(f"The profile {name} cannot be configured: it is built in, choose another name")
        if profile.name != name:
            raise ValueError(f"The profile {name} has another name inside: leave `name` out")
        if profile.prompt is not None and profile.prompt not in BUILT_IN_REFERENCES:
            raise ValueError(
                f"The profile {name} names the prompt {profile.prompt}, which is not everybody's: choose one of"
                f" {', '.join(sorted(BUILT_IN_REFERENCES))}"
            )
    return profiles


def check_models_of_profiles(profiles: Mapping[str, DeviceProfile], *, configured: Collection[str]) -> None:
    """Refuse profiles whose photos nobody could be asked about.

    Raises:
        ValueError: with what to change.
    """
    for name, profile in profiles.items():
        if profile.model is not None and profile.model.partition("/")[0] not in configured:
            raise ValueError(
                f"The profile {name} names the model {profile.model}, whose provider is not configured (configured:"
                f" {', '.join(configured)})"
            )
