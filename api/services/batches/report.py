"""A batch compared: its photos go through a comparison a page at a time, in a thread, so that the loop goes on."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing
from uuid import UUID

from api.front import Front
from api.services.batches.report_head import Head, head_of
from api.services.batches.report_photos import Item, ReportPhoto, earlier_items, photo_pages
from shared.domain.comparison import Comparison, Findings
from shared.domain.errors import InvalidRequest
from shared.domain.ids import OwnerId


async def findings_of(front: Front, owner_id: OwnerId, batch_id: UUID, *, against: UUID | None = None) -> Findings:
    """Return what an owner's batch shows so far, and what is different since an earlier one.

    Raises as `heads_of`.
    """
    head, earlier = await heads_of(front, owner_id, batch_id, against=against)
    return await compared(front, head, earlier)


async def heads_of(
    front: Front, owner_id: OwnerId, batch_id: UUID, *, against: UUID | None
) -> tuple[Head, Head | None]:
    """Return a batch, and the earlier one that it is to be compared with.

    Raises:
        NotFound: if there is no such batch of this owner.
        InvalidRequest: if they are the same.
    """
    head = await head_of(front, owner_id, batch_id)
    if against is None:
        return head, None
    if against == batch_id:
        raise InvalidRequest("A batch is not compared with itself.", field="against")
    return head, await head_of(front, owner_id, against, field="against")


async def compared(front: Front, head: Head, earlier: Head | None) -> Findings:
    """Return the comparison of a batch's variants. Photos that were deleted meanwhile do not count.

    Raises:
        NotFound: if the batch was deleted meanwhile.
    """
    comparison = Comparison(head.variants, earlier=earlier.variants if earlier else ())
    async with aclosing(photo_pages(front, head)) as pages:
        async for page in pages:
            photos = [photo for photo in page if not photo.is_gone]
            before = await earlier_items(front, earlier, photos) if earlier else {}
            await asyncio.to_thread(_add, comparison, photos, before)
    return await asyncio.to_thread(comparison.findings)


def _add(comparison: Comparison, photos: Iterable[ReportPhoto], before: Mapping[UUID, Sequence[Item | None]]) -> None:
    for photo in photos:
        earlier = before.get(photo.image_id, ())
        comparison.add(photo.compared(), [None if item is None else item.verdict() for item in earlier])
