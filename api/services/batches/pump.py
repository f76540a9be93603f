"""Keeps batches moving in every api process: ticks each one that is under way, and submits what a tick handed out.

Nothing of a batch lives in this process: whoever comes next goes on from the rows.
"""

import asyncio
import time
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import structlog

from api.front import Front
from api.services.cancel import request_cancel
from api.services.quotas import Payer
from api.services.submit import accept, metered_for, payload_of
from shared.database.batch_work import BatchWork, Handed, Moved
from shared.database.submissions import NewJob
from shared.domain.batches import VariantSpec
from shared.domain.commands import JobSpec, StoredImage, VisionTask
from shared.domain.errors import NotFound, QuotaExceeded, TokensSpent, Unavailable
from shared.domain.ids import JobId
from shared.domain.jobs import MAX_TIMEOUT, Kind, OnDisconnect, Queue

OUT_OF_TOKENS: Final = "A quota of tokens is spent: raise it, then resume."
SUBMIT_AT_ONCE: Final = 64
"""Few enough that requests get their turn in between."""

_log = structlog.get_logger(__name__)


class BatchPump:
    """One per api process."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._work = BatchWork(front.settings.database)
        self._every_s = front.settings.clocks.batch_every.total_seconds()
        self._specs: dict[str, VariantSpec] = {}

    async def run(self) -> None:
        """Move batches until cancelled; an error is logged, and the next tick comes as usual."""
        while True:
            started = time.monotonic()
            try:
                await self.once()
            except Unavailable as error:
                _log.warning("batches_wait", reason=str(error))
            except Exception:  # noqa: BLE001 - logged; without ticks no batch ever ends
                _log.exception("batches_failed")
            await asyncio.sleep(max(self._every_s - (time.monotonic() - started), self._every_s / 4))

    async def close(self) -> None:
        """Disconnect."""
        await self._work.close()

    async def once(self) -> None:
        """Tick every batch that is under way once.

        Raises:
            Unavailable: if PostgreSQL is away.
        """
        under_way = await self._work.under_way()
        if not under_way:
            self._specs.clear()
        for batch_id in under_way:
            try:
                await self._move(batch_id)
            except Unavailable:
                raise
            except Exception:  # noqa: BLE001 - logged; whatever is wrong with one batch must not hold up the others
                _log.exception("batch_failed", batch_id=str(batch_id))

    async def _move(self, batch_id: UUID) -> None:
        moved = await self._work.tick(batch_id)
        if moved is not None:
            await self._follow_up(moved)

    async def _follow_up(self, moved: Moved) -> None:
        for first in range(0, len(moved.to_submit), SUBMIT_AT_ONCE):
            handed = moved.to_submit[first : first + SUBMIT_AT_ONCE]
            refusals = await asyncio.gather(*(self._submit(moved, one) for one in handed))
            refused = {one.job_id: why for one, why in zip(handed, refusals, strict=True) if why is not None}
            if refused:
                spent = next((why for why in refused.values() if isinstance(why, TokensSpent)), None)
                pause_for = None if spent is None else OUT_OF_TOKENS
                rest = [one.job_id for one in moved.to_submit[first + SUBMIT_AT_ONCE :]]
                await self._work.put_back(moved.batch_id, [*refused, *rest], pause_for=pause_for)
                return
        for job_id in moved.to_cancel:
            await self._cancel(JobId(job_id))

    async def _submit(self, moved: Moved, handed: Handed) -> Exception | None:
        """Submit an item's job; return why it was refused, if it was."""
        try:
            await accept(self._front, await self._new_job(moved, handed))
        except (TokensSpent, QuotaExceeded) as refusal:
            return refusal
        except Unavailable as error:
            _log.warning("batch_item_not_submitted", job_id=str(handed.job_id), reason=str(error))
        return None

    async def _new_job(self, moved: Moved, handed: Handed) -> NewJob:
        variant = self._spec(handed.spec)
        task = VisionTask(
            image=StoredImage(id=handed.image_id),
            prompt=variant.prompt,
            prompt_text=variant.prompt_text,
            form=variant.form,
            profile=variant.profile,
            envelope=variant.envelope,
        )
        spec = JobSpec(kind=Kind.VISION, model=variant.model, input=task, parameters=variant.parameters)
        payer = Payer(owner_id=moved.owner_id, key_id=moved.key_id)
        spec, draft = await metered_for(self._front, payer, spec)
        return NewJob(
            id=JobId(handed.job_id),
            owner_id=moved.owner_id,
            fair_key=moved.number,
            queue=Queue.BATCH,
            kind=Kind.VISION,
            model=variant.model,
            deadline=datetime.now(UTC) + MAX_TIMEOUT,
            payload=payload_of(spec),
            request_hash=b"",
            waiting_cap=self._front.settings.limits.waiting_per_owner,
            on_disconnect=OnDisconnect.CONTINUE,
            labels={"batch": str(moved.batch_id), "variant": str(handed.variant)},
            rung=self._front.ringer.has_room(Queue.BATCH),
            image_id=handed.image_id,
            key_id=moved.key_id,
            draft=draft,
        )

    def _spec(self, text: str) -> VariantSpec:
        if text not in self._specs:
            self._specs[text] = VariantSpec.model_validate_json(text)
        return self._specs[text]

    async def _cancel(self, job_id: JobId) -> None:
        try:
            await request_cancel(self._front, job_id, None)
        except NotFound:  # deleted in this moment, with its photo
            return


async def pump_batches(front: Front) -> None:
    """Keep batches moving until cancelled."""
    pump = BatchPump(front)
    try:
        await pump.run()
    finally:
        await pump.close()
