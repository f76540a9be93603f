"""Reading a whole body with a limit: refused by its announced length first, and counted while it arrives."""

from collections.abc import AsyncGenerator

from fastapi import Request
from starlette.requests import ClientDisconnect

from shared.domain.errors import LengthRequired, MalformedRequest, PayloadTooLarge, UnsupportedMediaType


async def read_body(request: Request, *, limit: int, needs_length: bool = False) -> bytes:
    """Return the body.

    Raises:
        LengthRequired: if `needs_length` and there is no Content-Length.
        PayloadTooLarge: if it is announced or turns out to be longer than `limit`.
        UnsupportedMediaType: if it is compressed.
        MalformedRequest: if the connection closed half-way.
    """
    body = bytearray()
    async for chunk in body_chunks(request, limit=limit, needs_length=needs_length):
        body += chunk
    return bytes(body)


async def body_chunks(request: Request, *, limit: int, needs_length: bool = False) -> AsyncGenerator[bytes]:
    """Yield the body as it arrives. Raises what `read_body` does."""
    check_head(request, limit=limit, needs_length=needs_length)
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            yield chunk
    except ClientDisconnect as error:
        raise MalformedRequest("The connection closed before the whole body had arrived.") from error


def check_head(request: Request, *, limit: int, needs_length: bool = False) -> None:
    """Refuse by its head a body that `read_body` would refuse."""
    if request.headers.get("content-encoding", "identity") != "identity":
        raise UnsupportedMediaType("Send the body as it is, without Content-Encoding.", field="Content-Encoding")
    length = request.headers.get("content-length")
    if length is None:
        if needs_length:
            raise LengthRequired("Send a Content-Length.", field="Content-Length")
    elif not (length.isascii() and length.isdigit()):
        raise MalformedRequest("Content-Length must be a decimal number.", field="Content-Length")
    elif int(length) > limit:
        raise _too_large(limit)


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"At most {limit} bytes are taken here.")
