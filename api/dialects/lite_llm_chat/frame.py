"""What Lite-LLM-Chat's clients are told: `data: <json>` events, messages, and errors as `{"detail": …}`. Pure.

JSON in streams is as Python's `json.dumps` writes it, ASCII only. An event is a block of its own that begins with
`data:`, because the old web page takes no other; comments come between them.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from api.dialects.lite_llm_chat.parse import Fault, fault_at
from api.framing import AnswerFramer
from shared.domain.errors import ErrorInfo, ProviderError, SmartSipError
from shared.domain.events import ImageStored, SearchResult, SearchResults, VideoStored
from shared.domain.images import EXTENSION_OF as IMAGE_EXTENSION_OF
from shared.domain.media import EXTENSION_OF, upload_path

EMPTY: Final = ProviderError("Empty response from provider").info()
_UUID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_REFERENCE: Final = re.compile(rf"(!\[[^\[\]\n]*\])\(/v2/(images|media)/({_UUID})/content\)")
_USUAL_EXTENSION: Final = {"image": "png", "images": "png", "video": "mp4", "media": "mp4", "audio": "mp3"}
"""Of what is not known (any more); `/uploads` looks at the id only."""
_EXTENSIONS: Final = {**IMAGE_EXTENSION_OF, **EXTENSION_OF}


class LiteFramer(AnswerFramer):
    """The events of one stream: the session first, `done` or an error last."""

    def __init__(self, session_id: int) -> None:
        super().__init__()
        self._session_id = session_id
        self._extensions: dict[str, str] = {}

    def opening(self) -> bytes:
        """Return which session this is: clients have it before the first word."""
        return event({"session_id": self._session_id})

    def text(self, text: str) -> bytes:
        """See `AnswerFramer`."""
        return event({"content": with_uploads(text, self._extensions)}) if text else b""

    def reasoning(self, text: str) -> bytes:
        """See `AnswerFramer`."""
        return event({"reasoning": text}) if text else b""

    def search_results(self, found: SearchResults) -> bytes:
        """See `AnswerFramer`."""
        return event({"search_results": [source(result) for result in found.results]}) if found.results else b""

    def image(self, image: ImageStored) -> bytes:
        """Note what sort of file it is; the text that shows it comes next."""
        self._extensions[image.image_id] = extension_of(image.media_type)
        return b""

    def video(self, video: VideoStored) -> bytes:
        """As for images."""
        self._extensions[video.video_id] = extension_of(video.media_type)
        return b""

    def completed(self, finish_reason: str) -> bytes:
        """See `AnswerFramer`; nothing at all is no answer."""
        return event({"done": True}) if self._has_said else self.failed(EMPTY)

    def failed(self, error: ErrorInfo) -> bytes:
        """See `AnswerFramer`."""
        return event({"error": f"Error: {_words(error)}"})


def event(data: Mapping[str, Any]) -> bytes:  # JSON
    """Return one event."""
    return f"data: {json.dumps(data)}\n\n".encode()


def with_uploads(text: str, extensions: Mapping[str, str]) -> str:
    """Return an answer's text with its files where this system's clients find them; `extensions` are by id."""
    if "/v2/" not in text:
        return text

    def path(found: re.Match[str]) -> str:
        extension = extensions.get(found[3], _USUAL_EXTENSION[found[2]])
        return f"{found[1]}({upload_path(UUID(found[3]), extension)})"

    return _REFERENCE.sub(path, text)


def ids_in(text: str) -> list[UUID]:
    """Return the ids of the files that an answer's text shows."""
    return [UUID(found[3]) for found in _REFERENCE.finditer(text)]


def path_of(reference: Mapping[str, str], extensions: Mapping[str, str]) -> str:
    """Return where a file of a message is; one that is kept as an address only is where that says."""
    if "id" not in reference:
        return reference.get("url", "")
    return upload_path(UUID(reference["id"]), extensions.get(reference["id"], _USUAL_EXTENSION[reference["type"]]))


def extension_of(media_type: str) -> str:
    """Return what names of files of a type end with."""
    return _EXTENSIONS.get(media_type, "png")


def source(result: SearchResult) -> dict[str, str]:
    """Return a source the model used; it always has a title."""
    known = {"url": result.url, "title": result.title or result.url}
    return known if result.content is None else {**known, "content": result.content}


def with_sources(text: str, results: Sequence[SearchResult]) -> str:
    """Return a whole answer with its sources beneath, as the old system writes it where there is no stream."""
    if not results:
        return text
    lines = [
        f"- [{result.title or result.url}]({result.url})" + (f" — {result.content}" if result.content else "")
        for result in results
    ]
    return "\n".join([f"{text}\n\nSources:", *lines])


def instant(at: datetime) -> str:
    """Return an instant as the old system writes it: UTC, and without saying so."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")


def render_error(error: ErrorInfo) -> tuple[int, bytes]:
    """Return the status and the body of an error: a list of faults for 422, a sentence for everything else.

    What a provider did wrong is 500 here, as the document has it.
    """
    if error.code in _PROVIDER_CODES:
        words = _words(error) if error == EMPTY else f"Provider error: {_words(error)}"
        return 500, _detail(words)
    if error.status == 422 and error.field is not None:
        return 422, faulty([fault_at(error.field, _words(error))])
    words = _words(error) if error.field is None else f"{error.field}: {_words(error)}"
    return 500 if error.status in (502, 504) else error.status, _detail(words)


def faulty(faults: Sequence[Fault]) -> bytes:
    """Return the body for a request that is not valid."""
    return _detail(faults)


def _detail(detail: object) -> bytes:
    return json.dumps({"detail": detail}, ensure_ascii=False, separators=(",", ":")).encode()


def _words(error: ErrorInfo) -> str:
    return error.detail or error.title


def _codes(error: type[SmartSipError]) -> set[str]:
    return {error.code}.union(*(_codes(branch) for branch in error.__subclasses__()))


_PROVIDER_CODES: Final = frozenset(_codes(ProviderError))
