"""Receiving a file of any size that is taken: the body itself, or a file in a form, kept on disk while it arrives."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, Final, cast

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from api.body import body_chunks, check_head
from api.image_body import MULTIPART_OVERHEAD_BYTES, RAW_TYPES
from shared.domain.errors import InvalidRequest, MalformedRequest, PayloadTooLarge, UnsupportedMediaType

IN_MEMORY_BYTES: Final = 1024 * 1024
"""What is on disk beyond, and written there at a time."""
FORM_FIELDS: Final = ("file", "media")
_RAW_FAMILIES: Final = ("video/", "audio/", "image/")

_binary: Final = {"schema": {"type": "string", "format": "binary"}}
_form: Final = {"type": "object", "required": ["file"], "properties": {"file": _binary["schema"]}}
DOCUMENTED: Final[dict[str, Any]] = {  # an OpenAPI fragment
    "requestBody": {
        "required": True,
        "content": {"video/*": _binary, "audio/*": _binary, "multipart/form-data": {"schema": _form}},
    }
}


@dataclass(frozen=True)
class ReceivedFile:
    """A file that has arrived whole, to be read in a thread; `field` is where the caller put it."""

    file: BinaryIO
    size_bytes: int
    field: str


@asynccontextmanager
async def receive_file(request: Request, *, limit: int) -> AsyncGenerator[ReceivedFile]:
    """Receive a file of at most `limit` bytes; it is gone when the block is left. Its name and type are not believed.

    Raises:
        InvalidRequest: if there is no file to be read, or more than `limit` bytes of it.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == "multipart/form-data":
        async with _from_form(request, limit) as received:
            yield received
    elif media_type in RAW_TYPES or media_type.startswith(_RAW_FAMILIES):
        async with _from_body(request, limit) as received:
            yield received
    else:
        raise UnsupportedMediaType(
            f"Send the file as it is, with its type, or as multipart/form-data, not {media_type[:80]!r}.",
            field="Content-Type",
        )


@asynccontextmanager
async def _from_body(request: Request, limit: int) -> AsyncGenerator[ReceivedFile]:
    with SpooledTemporaryFile(max_size=IN_MEMORY_BYTES) as file:
        size, batch = 0, bytearray()
        async with aclosing(body_chunks(request, limit=limit)) as chunks:
            async for chunk in chunks:
                size += len(chunk)
                batch += chunk
                if len(batch) >= IN_MEMORY_BYTES:
                    await asyncio.to_thread(file.write, batch)
                    batch = bytearray()
        await asyncio.to_thread(file.write, batch)
        yield ReceivedFile(cast("BinaryIO", file), size, "body")  # it has every method of one


@asynccontextmanager
async def _from_form(request: Request, limit: int) -> AsyncGenerator[ReceivedFile]:
    # The parser has no limit on a file of its own: the middleware `BodyLimit` ends bodies that are longer than any.
    check_head(request, limit=limit + MULTIPART_OVERHEAD_BYTES)
    try:
        form = await request.form(max_files=1, max_fields=4)
    except PayloadTooLarge:
        raise
    except HTTPException as error:
        raise MalformedRequest(f"The form could not be read: {error.detail}") from error
    except ClientDisconnect as error:
        raise MalformedRequest("The connection closed before the whole form had arrived.") from error
    try:
        name, part = next(
            ((name, part) for name in FORM_FIELDS if isinstance(part := form.get(name), UploadFile)), ("", None)
        )
        if part is None or part.size is None:
            raise InvalidRequest("The form needs a file in the field `file`.", field="file")
        if part.size > limit:
            raise PayloadTooLarge(f"At most {limit} bytes are taken here.", field=name)
        yield ReceivedFile(part.file, part.size, name)
    finally:
        await form.close()
