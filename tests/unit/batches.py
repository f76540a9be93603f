"""Batches as a server tells of them."""

from typing import Any

BATCH_ID = "019a5c3e-7b1f-7c55-b0f1-2f4c1d9a8e10"


def a_batch(batch_id: str, number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": batch_id,
        "number": number,
        "name": "",
        "created_at": "2026-11-21T12:00:00Z",
        "variants": [],
        "state": "running",
        "photos": 2,
        "progress": {"photos": 2},
        **changes,
    }
