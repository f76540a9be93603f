"""What a dialect is: a foreign HTTP surface, told as a parser into commands and a framer out of events.

A dialect's routes set `request.scope["dialect"]`, so that every error of theirs leaves in their shape.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from fastapi import APIRouter

from shared.domain.errors import ErrorInfo
from shared.domain.events import Entry, Reply


class Framer(Protocol):
    """Events to the bytes of one stream; holds this stream's state only."""

    @property
    def media_type(self) -> str:
        """The Content-Type of the stream."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether the stream must end here, though the job may go on: what was said so far cannot be taken back."""
        ...

    def opening(self) -> bytes:
        """What is sent at once, so that proxies and clients see that the stream stands."""
        ...

    def frame(self, entry: Entry) -> bytes:
        """One entry; empty if the dialect has nothing to say about it."""
        ...

    def heartbeat(self) -> bytes:
        """What keeps a silent stream alive; ignored by clients."""
        ...

    def closing(self, *, retry_ms: int) -> bytes:
        """What is sent when the server ends a stream that is not over: come back after `retry_ms`."""
        ...


@dataclass(frozen=True, kw_only=True)
class RenderedError:
    """An error as a dialect puts it on the wire."""

    status: int
    body: bytes
    media_type: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """One foreign system's surface."""

    name: str
    """Also the label of its metrics."""
    router: APIRouter
    render_error: Callable[[ErrorInfo], RenderedError]
    """Every error of the tree, also those before a route was found by this dialect's paths."""
    api: Callable[[str], APIRouter] | None = None
    """Routes below a prefix that is a setting (`api_prefix`); they get what the other dialects leave."""
    new_framer: Callable[[], Framer] | None = None
    """Absent where the dialect does not stream."""
    render: Callable[[Reply], object] | None = None
    """The whole answer, as something that can be sent as JSON; absent where a route does it itself."""
