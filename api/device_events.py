"""A job's events as its own device is told them: how it stands, and its command in the device's form. Pure.

The model's words are left out, because numbers in them are not inside the envelope; and so is what a provider said when
it failed. A `result` that is replayed too late says so, and pours nothing.
"""

from datetime import UTC, datetime, timedelta
from typing import assert_never
from uuid import UUID

from api.device_document import command_document, dispense_in
from api.streaming import SSEFramer
from shared.domain.errors import ErrorInfo
from shared.domain.events import (
    Cancelled,
    Completed,
    Entry,
    Event,
    Expired,
    Failed,
    ImageStored,
    Noted,
    Progress,
    Queued,
    Reasoning,
    Rerouted,
    Restarted,
    Result,
    SearchResults,
    Signature,
    Started,
    Text,
    ToolCall,
    Usage,
    VideoStored,
)


class DeviceView:
    """One job's entries, each as the device may see it."""

    def __init__(self, job_id: UUID, *, valid_for: timedelta) -> None:
        self._job_id = job_id
        self._valid_for = valid_for

    def __call__(self, entry: Entry) -> Entry | None:
        """Return the entry with what the device may know of its event; None if that is nothing."""
        event = self._event(entry)
        return None if event is None else Entry(entry.attempt, entry.seq, entry.at_ms, event)

    def _event(self, entry: Entry) -> Event | None:
        match entry.event:
            case Queued() | Started() | Restarted() | Progress() | Completed() | Cancelled() | Expired():
                return entry.event
            case Result():
                return self._command(entry.event, entry.at_ms)
            case Failed(error):
                return Failed(ErrorInfo(code=error.code, title=error.title, status=error.status))
            case Text() | Reasoning() | ToolCall() | SearchResults() | Signature() | Usage():
                return None
            case ImageStored() | VideoStored() | Noted() | Rerouted():
                return None
            case _:
                assert_never(entry.event)

    def _command(self, result: Result, at_ms: int) -> Result | None:
        dispense = dispense_in(result.data)
        if dispense is None:
            return None
        expires_at = datetime.fromtimestamp(at_ms / 1000, UTC) + self._valid_for
        return Result(command_document(self._job_id, dispense, expires_at=expires_at, now=datetime.now(UTC)))


class DeviceFramer(SSEFramer):
    """Server-sent events of what a device may see."""

    def __init__(self, view: DeviceView) -> None:
        self._view = view

    def frame(self, entry: Entry) -> bytes:
        """Return one event; nothing if it is not for the device."""
        shown = self._view(entry)
        return b"" if shown is None else super().frame(shown)
