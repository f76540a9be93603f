"""Reading an uploaded image: the body itself, or a file in a form."""

from typing import Any, Final

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from api.body import read_body
from shared.domain.errors import InvalidRequest, MalformedRequest, UnsupportedMediaType

MULTIPART_OVERHEAD_BYTES: Final = 64 * 1024
RAW_TYPES: Final = frozenset({"", "application/octet-stream", "application/x-www-form-urlencoded"})
"""Besides image/*; the last is what curl's --data-binary says of anything."""
FORM_FIELDS: Final = ("image", "file")

_binary: Final = {"schema": {"type": "string", "format": "binary"}}
_form: Final = {"type": "object", "required": ["image"], "properties": {"image": _binary["schema"]}}
DOCUMENTED: Final[dict[str, Any]] = {  # an OpenAPI fragment
    "requestBody": {
        "required": True,
        "content": {
            "image/jpeg": _binary,
            "image/png": _binary,
            "image/webp": _binary,
            "multipart/form-data": {"schema": _form},
        },
    }
}


async def read_image(request: Request, *, limit: int) -> tuple[bytes, str]:
    """Return the uploaded bytes and the name of the field they came in.

    Raises:
        InvalidRequest: if there is no image to be read, or more than `limit` bytes of it.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == "multipart/form-data":
        return await _from_form(request, limit)
    if media_type in RAW_TYPES or media_type.startswith("image/"):
        return await read_body(request, limit=limit), "body"
    raise UnsupportedMediaType(
        f"Send the image as image/jpeg, image/png, image/webp or multipart/form-data, not {media_type[:80]!r}.",
        field="Content-Type",
    )


async def _from_form(request: Request, limit: int) -> tuple[bytes, str]:
    # Read whole and counted first: the form's parser has no limit on a file of its own.
    body = await read_body(request, limit=limit + MULTIPART_OVERHEAD_BYTES)
    replayed = Request(request.scope, _once(body))
    try:
        async with replayed.form(max_files=1, max_fields=4) as form:
            for name in FORM_FIELDS:
                part = form.get(name)
                if isinstance(part, UploadFile):
                    return await part.read(), name
    except HTTPException as error:
        raise MalformedRequest(f"The form could not be read: {error.detail}") from error
    raise InvalidRequest("The form needs a file in the field `image`.", field="image")


def _once(body: bytes) -> Any:  # ASGI's receive, which Starlette types as a mutable mapping
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
