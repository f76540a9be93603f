"""What batches are measured on: a private system, the mock provider, and a library of tiny photos."""

import hashlib
import io
import os
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psycopg
from PIL import Image

from benchmarks.machine import cpu_by_role
from benchmarks.plan import Measured, Plan
from benchmarks.rounds import Bench
from benchmarks.system import Size, System, mock_provider, private_system, temporary_folder
from compose.processes import Child
from shared.domain.ids import LOCAL_OWNER, uuid7
from shared.domain.image_keys import original_key

SIDE_PIXELS: Final = 24
_COLUMNS: Final = (
    "id, owner_id, sha256, media_type, size_bytes, width, height, object_key, ready_at, content_sha256, labels"
)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A running system, and the provider that it asks.

    `put` stores an object under its key; `folder` is where the load generator finds its plans.
    """

    system: System
    provider: Child
    put: Callable[[str, bytes], None]
    folder: Path

    def cpu(self) -> dict[str, float]:
        """Return the processor seconds used so far, by part."""
        return self.system.cpu() | {"mock provider": sum(cpu_by_role(self.provider.process.pid).values())}

    def load(self, plan: Plan) -> Measured:
        """Run the load generator beside whatever the system does.

        Raises:
            CannotStart: if it does not come to its end.
        """
        bench = Bench(folder=self.folder, provider_port=0, provider_cpu=dict, system=None, scale=1.0)
        return bench.measure(plan)

    def add_photos(self, count: int) -> None:
        """Add photos to the library as they are once they were opened: small, plain, and each different.

        Call it once, before anything else is stored: the object store remembers for minutes what was in a folder, and
        behind its back is where they are put.
        """
        with psycopg.connect(self.system.database_url) as connection, connection.cursor() as cursor:
            with cursor.copy(f"copy image ({_COLUMNS}) from stdin") as rows:
                for _ in range(count):
                    content = tiny_photo()
                    sha256 = hashlib.sha256(content).digest()
                    key = original_key(LOCAL_OWNER, sha256, "jpg")
                    self.put(key, content)
                    photo = (sha256, "image/jpeg", len(content), SIDE_PIXELS, SIDE_PIXELS, key, datetime.now(UTC))
                    rows.write_row((uuid7(), LOCAL_OWNER, *photo, sha256, "{}"))
            cursor.execute("analyze image")


@contextmanager
def batch_stage(*, slots: int, workers: int = 1, settings: Mapping[str, str] | None = None) -> Generator[Stage]:
    """Run a system as `smartsip up` does, then remove it all; general workers share the slots.

    Raises:
        CannotStart: if it does not come up.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        private = folder / "private"
        private.mkdir(mode=0o700)  # the plans in it carry tokens
        port, provider = stack.enter_context(mock_provider(private))
        size, log = Size(slots=-(-slots // workers), workers=workers), private / "system.log"
        system = stack.enter_context(private_system(folder, size, provider_port=port, log=log, settings=settings))

        def put(key: str, content: bytes) -> None:
            _write(system.objects / key, content)

        yield Stage(system=system, provider=provider, put=put, folder=private)


def tiny_photo() -> bytes:
    """Return a JPEG of 24 × 24 pixels like no other."""
    content = io.BytesIO()
    Image.frombytes("RGB", (SIDE_PIXELS, SIDE_PIXELS), os.urandom(SIDE_PIXELS**2 * 3)).save(content, "JPEG", quality=50)
    return content.getvalue()


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except FileNotFoundError:
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
