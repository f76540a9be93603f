"""Files that messages of an older system show: stored as their owner's, or kept as the addresses they were."""

import asyncio
import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final
from uuid import UUID

from api.front import Front
from api.media_body import ReceivedFile
from api.services.uploads import Uploaded, upload_any
from compose.old_history import Report
from shared.domain.chats import IMAGE_URL, MEDIA_URL, media_ref
from shared.domain.errors import InvalidRequest, PayloadTooLarge
from shared.domain.ids import OwnerId

PREFIX: Final = "/uploads/"
MAX_ADDRESS_CHARS: Final = 2000
_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,200}")
_DATA_URL: Final = re.compile(r"data:[\w.+/;=-]*;base64,(.*)", re.ASCII | re.IGNORECASE | re.DOTALL)
_SHOWN: Final = re.compile(r"(!\[[^\[\]\n]*\])\((/uploads/[^()\s]+)\)")


@dataclass
class OldFiles:
    """The files of one import. Without a `folder` nothing but data URLs is stored; with `is_dry`, nothing at all."""

    front: Front
    owner_id: OwnerId
    folder: Path | None
    report: Report
    is_dry: bool = False
    stored: int = 0
    """Files that were stored, or would be; the same one may have been there before."""
    linked: int = 0
    """Those that are only addresses now."""
    _known: dict[str, dict[str, str] | None] = field(default_factory=dict[str, dict[str, str] | None])

    async def reference(self, kind: str, url: str, *, where: str) -> dict[str, str] | None:
        """Return what a message refers to a file by; None for what is neither an upload nor an address."""
        if url not in self._known:
            self._known[url] = await self._found(kind, url, where)
        return self._known[url]

    async def rewritten(self, text: str, *, where: str) -> tuple[str, list[dict[str, str]]]:
        """Return an answer's text with the images in it where they are now, and references to them."""
        shown = {match[2]: await self.reference("image", match[2], where=where) for match in _SHOWN.finditer(text)}
        stored = {url: found for url, found in shown.items() if found is not None and "id" in found}
        return _SHOWN.sub(lambda match: _moved(match, stored), text), list(stored.values())

    async def _found(self, kind: str, url: str, where: str) -> dict[str, str] | None:
        if data := _DATA_URL.fullmatch(url):
            return await self._from_data(data[1], where)
        if url.startswith(PREFIX) and _NAME.fullmatch(url.removeprefix(PREFIX)):
            return await self._from_folder(kind, url, where)
        if url.startswith(("http://", "https://")) and url.isprintable() and len(url) <= MAX_ADDRESS_CHARS:
            return self._link(kind, url)
        self.report(f"{where}: {url[:80]!r} is no file that can be taken over; left out")
        return None

    async def _from_data(self, data: str, where: str) -> dict[str, str] | None:
        try:
            content = base64.b64decode(data, validate=True)
            return await self._store(BytesIO(content), len(content))
        except (binascii.Error, ValueError) as error:
            self.report(f"{where}: a data URL is broken ({error}); left out")
        except InvalidRequest as error:
            self.report(f"{where}: a data URL is refused ({error}); left out")
        return None

    async def _from_folder(self, kind: str, url: str, where: str) -> dict[str, str]:
        if self.folder is None:
            return self._link(kind, url)
        path = self.folder / url.removeprefix(PREFIX)
        if not path.is_file() or path.resolve().parent != self.folder.resolve():
            self.report(f"{where}: there is no file {path}; kept as an address")
            return self._link(kind, url)
        try:
            with await asyncio.to_thread(path.open, "rb") as file:
                return await self._store(file, path.stat().st_size)
        except (InvalidRequest, OSError) as error:
            self.report(f"{where}: {path.name} is not taken ({error}); kept as an address")
            return self._link(kind, url)

    async def _store(self, file: BinaryIO, size_bytes: int) -> dict[str, str]:
        limit = self.front.settings.limits.media_bytes
        if size_bytes > limit:
            raise PayloadTooLarge(f"it has more than {limit} bytes")
        self.stored += 1
        if self.is_dry:
            return {}  # nothing refers to it
        received = ReceivedFile(file, size_bytes, "file")
        uploaded: Uploaded = await upload_any(self.front, self.owner_id, received)
        return media_ref(uploaded.kind, uploaded.id)

    def _link(self, kind: str, url: str) -> dict[str, str]:
        self.linked += 1
        return {"type": kind, "url": url}


def _moved(match: re.Match[str], stored: Mapping[str, dict[str, str]]) -> str:
    found = stored.get(match[2])
    if found is None:
        return match[0]
    file_id = UUID(found["id"])
    is_image = found["type"] == "image"
    return f"{match[1]}({IMAGE_URL.format(image_id=file_id) if is_image else MEDIA_URL.format(media_id=file_id)})"
