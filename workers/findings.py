"""What a vision job found in a stored photo, as a row to be written with its end."""

from typing import Any

import msgspec

from shared.database.claims import Finding
from shared.domain.commands import JobSpec, StoredImage, VisionTask
from shared.domain.dispense import Dispense, Observation


def finding_of(
    spec: JobSpec,
    result: dict[str, Any] | None,  # JSON, as events.Result carries it
    *,
    model: str | None = None,
) -> Finding | None:
    """Return the row; `model` is who answered, where it was not the one that was asked for.

    None for other kinds, for photos that are not stored, and where there is no result.
    """
    task = spec.input
    if result is None or not isinstance(task, VisionTask) or not isinstance(task.image, StoredImage):
        return None
    dispense = msgspec.convert(result, Dispense)
    observed = dispense.observed or Observation()
    return Finding(
        image_id=task.image.id,
        model=model or spec.model,
        prompt=dispense.prompt,
        profile=dispense.profile,
        volume=dispense.volume,
        degree=dispense.degree,
        container=dispense.type,
        contents=observed.contents,
        receivable=observed.receivable,
        child_present=observed.child_present,
        is_safe_default=dispense.is_safe_default,
        is_changed=bool(dispense.interventions),
    )
