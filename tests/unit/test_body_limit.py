"""How much of a body any route may read: files are large where they are posted, and nowhere else."""

import httpx
import pytest
from fastapi import FastAPI, Request

from api.errors import add_error_handlers
from api.middleware import UPLOAD_OVERHEAD_BYTES, add_middleware
from shared.settings import Limits

LIMITS = Limits(body_bytes=1000, image_bytes=2000, media_bytes=300_000)
IMAGE = LIMITS.image_bytes + UPLOAD_OVERHEAD_BYTES
FILE = LIMITS.media_bytes + UPLOAD_OVERHEAD_BYTES


def app() -> FastAPI:
    made = FastAPI()
    add_error_handlers(made)
    add_middleware(made, LIMITS, file_paths=("/v2/media", "/api/v1/upload"))

    @made.post("/{path:path}")
    async def read(path: str, request: Request) -> int:  # pyright: ignore[reportUnusedFunction] - the decorator uses it
        return len(await request.body())

    return made


@pytest.mark.parametrize(
    ("path", "content_type", "limit"),
    [
        ("/v2/media", "video/mp4", FILE),
        ("/v2/media/", "multipart/form-data; boundary=x", FILE),
        ("/d/token/v2/media", "video/mp4", FILE),
        ("/api/v1/upload", "multipart/form-data; boundary=x", FILE),
        ("/v2/media", "application/json", LIMITS.body_bytes),
        ("/v2/media/x", "video/mp4", IMAGE),
        ("/v2/medias", "video/mp4", IMAGE),
        ("/x/v2/media", "video/mp4", IMAGE),
        ("/v2/images", "image/jpeg", IMAGE),
        ("/v2/chats", "application/json", LIMITS.body_bytes),
    ],
)
async def test_a_body_may_be_as_long_as_what_is_posted_there(path: str, content_type: str, limit: int):
    headers = {"Content-Type": content_type}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app()), base_url="http://here") as client:
        taken = await client.post(path, content=bytes(limit), headers=headers)
        refused = await client.post(path, content=bytes(limit + 1), headers=headers)
    assert (taken.status_code, taken.json(), refused.status_code) == (200, limit, 413)
