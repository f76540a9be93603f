"""A front without HTTP: accepts jobs, reads and cancels them, as the api does, for tests of the workers."""

import asyncio
import hashlib
import json
import os
import pickle
import signal
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, LiteralString
from uuid import UUID

import psycopg
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.adapters.celery_broker import create_celery
from shared.adapters.celery_job_queue import CeleryJobQueue
from shared.adapters.minio_object_store import MinioObjectStore
from shared.adapters.redis_connection import connect
from shared.adapters.redis_event_log import RedisEventLog, cancel_channel
from shared.database.control import CancelOutcome, JobControl
from shared.database.engine import create_engine
from shared.database.reads import JobReads
from shared.database.submissions import NewJob, Submissions
from shared.database.views import Ending, JobView
from shared.domain.commands import (
    ChatInput,
    InlineImage,
    JobSpec,
    Message,
    Parameters,
    StoredImage,
    UploadTask,
    VisionTask,
)
from shared.domain.errors import NotFound
from shared.domain.events import Entry, Event
from shared.domain.ids import LOCAL_OWNER, JobId, OwnerId, new_job_id, uuid7
from shared.domain.image_keys import every_key, original_key
from shared.domain.images import sniff
from shared.domain.jobs import QUEUE_OF, Kind, Queue
from shared.ports.job_queue import Bell
from shared.settings import Settings
from tests.forks import fork
from tests.stack import eventually

MODEL = "openai/scripted"
CHECKOUT = Path(__file__).parents[3]


@dataclass
class Bench:
    """Everything a test does to the workers from outside."""

    settings: Settings
    engine: AsyncEngine
    submissions: Submissions
    reads: JobReads
    control: JobControl
    redis: Redis
    events: RedisEventLog
    jobs: CeleryJobQueue
    objects: MinioObjectStore

    async def chat(
        self, text: str = "Hi", *, model: str = MODEL, deadline_in: timedelta = timedelta(minutes=1)
    ) -> JobId:
        """Accept a chat job; nobody is rung."""
        asked = ChatInput(messages=[Message(role="user", content=text)])
        return await self.accept(JobSpec(kind=Kind.CHAT, model=model, input=asked), deadline_in=deadline_in)

    async def vision(
        self,
        image: InlineImage | StoredImage,
        *,
        model: str = MODEL,
        owner_id: OwnerId = LOCAL_OWNER,
        parameters: Parameters | None = None,
        **task: Any,
    ) -> JobId:
        """Accept a vision job with these fields of a `VisionTask`; nobody is rung."""
        spec = JobSpec(
            kind=Kind.VISION,
            model=model,
            input=VisionTask(image=image, **task),
            parameters=parameters or Parameters(),
        )
        return await self.accept(spec, owner_id=owner_id)

    async def upload(self, image_id: UUID, *, owner_id: OwnerId = LOCAL_OWNER) -> JobId:
        """Accept an upload job; nobody is rung."""
        spec = JobSpec(kind=Kind.UPLOAD, model="smartsip/decoder", input=UploadTask(image_id=image_id))
        return await self.accept(spec, owner_id=owner_id)

    async def store(self, content: bytes, *, owner_id: OwnerId = LOCAL_OWNER, media_type: str | None = None) -> UUID:
        """Store an image as the api does: sniffed only, not ready to be shown."""
        facts = sniff(content)
        sha256, image_id = hashlib.sha256(content).digest(), uuid7()
        key = original_key(owner_id, sha256, facts.extension)
        media_type = media_type or facts.media_type
        await self.objects.put(key, content, media_type=media_type)
        await self.rows(
            "insert into image (id, owner_id, sha256, media_type, size_bytes, width, height, object_key)"
            " values (%s, %s, %s, %s, %s, %s, %s, %s)",
            *(image_id, owner_id, sha256, media_type, len(content), facts.width, facts.height, key),
        )
        return image_id

    async def kept(self, content: bytes, *, owner_id: OwnerId = LOCAL_OWNER) -> dict[str, bytes]:
        """Return every object that is kept of an image, by key."""
        found: dict[str, bytes] = {}
        for key in every_key(owner_id, hashlib.sha256(content).digest()):
            with suppress(NotFound):
                found[key] = await self.objects.get(key)
        return found

    async def accept(
        self, spec: JobSpec, *, deadline_in: timedelta = timedelta(minutes=1), owner_id: OwnerId = LOCAL_OWNER
    ) -> JobId:
        """Accept any job."""
        new = NewJob(
            id=new_job_id(),
            owner_id=owner_id,
            fair_key=-owner_id,
            queue=QUEUE_OF[spec.kind],
            kind=spec.kind,
            model=spec.model,
            deadline=datetime.now(UTC) + deadline_in,
            payload=spec.model_dump_json().encode(),
            image_id=_stored_image(spec),
            request_hash=b"hash",
            waiting_cap=10_000,
            rung=True,
        )
        return (await self.submissions.insert(new)).id

    async def ring(self, *job_ids: JobId, queue: Queue = Queue.CHAT, solo: bool = False) -> None:
        """Ring for jobs."""
        await self.jobs.ring([Bell(job_id, queue, solo) for job_id in job_ids])

    async def ended(self, job_id: JobId, *, within: float = 20.0) -> Ending:
        """Wait for a job's end."""

        async def ending() -> Ending | None:
            return await self.reads.ending(job_id)

        await eventually(ending, within=within, expecting="the end of the job")
        found = await ending()
        assert found is not None
        return found

    async def view(self, job_id: JobId) -> JobView:
        """Return the job's row."""
        view = await self.reads.get(job_id, None)
        assert view is not None
        return view

    async def log(self, job_id: JobId, attempt: int = 1) -> list[Entry]:
        """Return what Redis has of an attempt."""
        return await self.events.read(job_id, attempt)

    async def said(self, job_id: JobId, kind: type[Event], *, attempt: int = 1, within: float = 20.0) -> None:
        """Wait until an attempt's log in Redis has an event of this kind."""

        async def predicate() -> bool:
            return any(isinstance(entry.event, kind) for entry in await self.log(job_id, attempt))

        await eventually(predicate, within=within, expecting=f"{kind.__name__} in the log")

    async def cancel(self, job_id: JobId, *, hint: bool = True) -> CancelOutcome:
        """Cancel as the api does: the flag first, then the hint."""
        outcome = await self.control.request_cancel(job_id, None)
        assert outcome is not None
        if hint and outcome.worker_id is not None:
            channel = cancel_channel(self.settings.redis.prefix, outcome.worker_id)
            await self.redis.publish(channel, str(job_id))  # pyright: ignore[reportUnknownMemberType]
        return outcome

    async def rows(self, statement: LiteralString, *values: Any) -> list[tuple[Any, ...]]:
        """Run a statement of the test's own."""
        url = self.settings.database.conninfo
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            cursor = await connection.execute(statement, values)
            return await cursor.fetchall() if cursor.description else []


@asynccontextmanager
async def open_bench(settings: Settings) -> AsyncGenerator[Bench]:
    engine = create_engine(settings.database)
    submissions = Submissions(settings.database)
    redis = connect(settings.redis)
    objects = MinioObjectStore(settings.objects)
    await submissions.open()
    try:
        yield Bench(
            settings=settings,
            engine=engine,
            submissions=submissions,
            reads=JobReads(engine),
            control=JobControl(engine),
            redis=redis,
            events=RedisEventLog(redis, settings.redis.prefix, settings.clocks),
            jobs=CeleryJobQueue(create_celery(settings.redis), redis, settings.redis.prefix),
            objects=objects,
        )
    finally:
        objects.close()
        await submissions.close()
        await redis.aclose()
        await engine.dispose()


def _stored_image(spec: JobSpec) -> UUID | None:
    match spec.input:
        case UploadTask(image_id=image_id) | VisionTask(image=StoredImage(id=image_id)):
            return image_id
        case _:
            return None


def events_of(entries: Sequence[Entry]) -> list[Event]:
    """Return the events, after checking that their positions are dense."""
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    return [entry.event for entry in entries]


class WorkerProcess:
    """A real worker in a process of its own; its log is read as JSON lines."""

    def __init__(self, settings: Settings, *, queues: Sequence[Queue] = (Queue.CHAT,), slots: int = 10) -> None:
        self.lines: list[dict[str, Any]] = []
        order, stdin = os.pipe()
        log, stderr = os.pipe()
        self._process = fork(
            "tests.integration.workers.worker_process",
            [",".join(queues), str(slots)],
            environment=os.environ,
            directory=str(CHECKOUT),
            streams=(order, 1, stderr),
        )
        os.close(order)
        os.close(stderr)
        with os.fdopen(stdin, "wb") as stream:
            stream.write(pickle.dumps(settings))
        self._reading = asyncio.create_task(asyncio.to_thread(self._read, log))

    @property
    def pid(self) -> int:
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    async def logged(self, event: str, *, count: int = 1, within: float = 30.0) -> dict[str, Any]:
        """Wait until it has logged an event (so many times); return the line."""

        async def predicate() -> bool:
            return len([line for line in self.lines if line.get("event") == event]) >= count

        await eventually(predicate, within=within, expecting=f"{event} in the worker's log")
        return [line for line in self.lines if line.get("event") == event][count - 1]

    async def exited(self, *, within: float = 30.0) -> int:
        """Wait for its exit code."""

        async def predicate() -> bool:
            return self._process.poll() is not None

        await eventually(predicate, within=within, expecting="the worker's exit")
        await self._reading
        return self._process.wait()

    async def end(self) -> None:
        """Make sure that it is gone."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
        await self.exited()

    def _read(self, log: int) -> None:
        with os.fdopen(log, "rb") as stream:
            for line in stream:
                try:
                    self.lines.append(json.loads(line))
                except ValueError:
                    self.lines.append({"event": "not_json", "line": line.decode(errors="replace")})
                if os.environ.get("SMARTSIP_TEST_SHOW_WORKERS"):
                    sys.stderr.write(line.decode(errors="replace"))


def is_alive(pid: int) -> bool:
    """Say whether a process exists that is more than a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children_of(pid: int) -> list[int]:
    """Return the processes that any thread of a process has started."""
    return [int(child) for file in Path(f"/proc/{pid}/task").glob("*/children") for child in file.read_text().split()]
