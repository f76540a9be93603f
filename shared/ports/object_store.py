"""The object store: images, videos and audio files by key. Whatever else must be known about them is in PostgreSQL."""

from datetime import timedelta
from typing import BinaryIO, Protocol


class ObjectStore(Protocol):
    """Keys are ours, relative, with an extension; content is immutable once put."""

    async def put(self, key: str, content: bytes, *, media_type: str) -> None:
        """Store an object; putting the same key again with the same content is harmless."""
        ...

    async def put_file(self, key: str, file: BinaryIO, *, size_bytes: int, media_type: str) -> None:
        """Store what a file holds from its beginning, as `put` does; it is read in a thread, and stays open."""
        ...

    async def get(self, key: str, *, limit: int | None = None) -> bytes:
        """Return an object's content; with a `limit`, never more than so many bytes are read.

        Raises:
            NotFound: if there is no such object.
            PayloadTooLarge: if it has more than `limit` bytes.
        """
        ...

    async def get_part(self, key: str, *, first: int, size_bytes: int) -> bytes:
        """Return this part of an object, less where it ends earlier; its byte `first` must be there.

        Raises:
            NotFound: if there is no such object.
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
