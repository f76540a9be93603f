"""Jobs as our API shows them: one shape, alone or in a list, from the row and, once the job has ended, its reply."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from shared.database.submissions import NewJob
from shared.database.views import JobView, SetbackView
from shared.domain.errors import ErrorInfo
from shared.domain.events import ImageStored, Reply, VideoStored
from shared.domain.jobs import State

encode_document = msgspec.json.Encoder().encode
"""A document -> JSON; times are RFC 3339, UTC."""


def job_document(view: JobView, reply: Reply | None = None) -> dict[str, Any]:  # JSON, described by routes.job_models
    """Return a job as it is shown; `reply` where it has ended and its answer was read."""
    return {
        "id": view.id,
        "kind": view.kind,
        "state": view.state,
        "queue": view.queue,
        "model": view.model,
        "labels": view.labels,
        "on_disconnect": view.on_disconnect,
        "created_at": view.created_at,
        "deadline": view.deadline,
        "run_after": view.run_after,
        "started_at": view.started_at,
        "ended_at": view.ended_at,
        "cancel_requested_at": view.cancel_requested_at,
        "position": view.position,
        "attempt": view.fence,
        "attempts": view.attempts,
        "losses": view.losses,
        **_answer(reply),
        "links": job_links(view.id),
    }


def accepted_document(new: NewJob) -> dict[str, Any]:  # JSON, as above
    """Return what a caller learns at once about a job that was accepted this moment."""
    return {
        "id": new.id,
        "kind": new.kind,
        "state": State.QUEUED,
        "queue": new.queue,
        "model": new.model,
        "labels": new.labels or {},
        "on_disconnect": new.on_disconnect,
        "deadline": new.deadline,
        "links": job_links(new.id),
    }


def setbacks_document(job_id: UUID, setbacks: Sequence[SetbackView]) -> dict[str, Any]:  # JSON, as above
    """Return the attempts that did not end a job."""
    return {
        "job_id": job_id,
        "setbacks": [
            {"attempt": setback.fence, "what": setback.what, "at": setback.at, "error": _error(setback.error)}
            for setback in setbacks
        ],
    }


def stored_image(image: ImageStored) -> dict[str, Any]:  # JSON, as above
    """Return an image of an answer, and where it is."""
    return msgspec.structs.asdict(image) | {"links": _media_links(f"/v2/images/{image.image_id}")}


def stored_video(video: VideoStored) -> dict[str, Any]:  # JSON, as above
    """Return a video of an answer, and where it is."""
    return msgspec.structs.asdict(video) | {"links": _media_links(f"/v2/media/{video.video_id}")}


def _media_links(path: str) -> dict[str, str]:
    return {"self": path, "content": f"{path}/content"}


def job_links(job_id: UUID) -> dict[str, str]:
    """Return where to go from a job."""
    path = f"/v2/jobs/{job_id}"
    return {"self": path, "events": f"{path}/events", "websocket": f"{path}/ws", "cancel": f"{path}/cancel"}


def _answer(reply: Reply | None) -> dict[str, Any]:  # JSON, as above
    if reply is None:
        return {"reply": None, "result": None, "error": None, "cancelled": None}
    return {
        "reply": {
            "text": reply.text,
            "reasoning": reply.reasoning,
            "tool_calls": reply.tool_calls,
            "search_results": reply.search_results,
            "signatures": reply.signatures,
            "images": [stored_image(image) for image in reply.images],
            "videos": [stored_video(video) for video in reply.videos],
            "notes": [{"code": note.code, "text": note.text} for note in reply.notes],
            "usage": _usage(reply),
            "provider": reply.provider,
            "model": reply.model,
            "finish_reason": reply.finish_reason,
        },
        "result": reply.result,
        "error": _error(reply.error),
        "cancelled": reply.cancelled and msgspec.structs.asdict(reply.cancelled) | {"usage": _usage(reply)},
    }


def _usage(reply: Reply) -> dict[str, Any] | None:  # numbers and a flag
    return None if reply.usage is None else msgspec.structs.asdict(reply.usage)


def _error(error: ErrorInfo | None) -> dict[str, Any] | None:  # as ErrorInfo's fields
    return None if error is None else msgspec.structs.asdict(error)
