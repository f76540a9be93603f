"""The object store: images by key. Media types and everything else that must be known about them is in PostgreSQL."""

from datetime import timedelta
from typing import Protocol


class ObjectStore(Protocol):
    """Keys are ours, relative, with an extension; content is immutable once put."""

    async def put(self, key: str, content: bytes, *, media_type: str) -> None:
        """Store an object; putting the same key again with the same content is harmless."""
        ...

    async def get(self, key: str, *, limit: int | None = None) -> bytes:
        """Return an object's content; with a `limit`, never more than so many bytes are read.

        Raises:
            NotFound: if there is no such object.
            PayloadTooLarge: if it has more than `limit` bytes.
        """
        ...

    async def presign(self, key: str, *, expires: timedelta, media_type: str) -> str:
        """Return a link that serves the object to anyone who has it, until it expires."""
        ...

    async def delete(self, key: str) -> None:
        """Remove an object; removing what is not there is harmless."""
        ...

    async def check(self) -> None:
        """Raise unless the store answers and its bucket exists."""
        ...
