"""What the routes of jobs have in common in their answers, and in the documentation of them."""

from typing import Any, Final, TypeAlias

from fastapi import Response

from api.front import Front
from api.routes.job_models import ProblemModel
from api.services.job_documents import encode_document, job_document
from api.services.watch import job_of
from shared.domain.ids import JobId, OwnerId
from shared.domain.jobs import TERMINAL

Documented: TypeAlias = dict[int | str, dict[str, Any]]
"""FastAPI's type for what it says about answers."""

CLIENT_CLOSED_REQUEST: Final = 499
"""nginx' number for an answer nobody is there to read."""
PROBLEM: Final = {"model": ProblemModel}
NOT_FOUND: Final[Documented] = {404: PROBLEM | {"description": "No such job, or another owner's"}}
REFUSED: Final[Documented] = {422: PROBLEM | {"description": "Something is wrong; the problem names the field"}}


def answer(document: dict[str, Any], *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a document (JSON)."""
    return Response(encode_document(document), status, headers, "application/json")


async def whole_job(front: Front, owner_id: OwnerId | None, job_id: JobId) -> tuple[dict[str, Any], bool]:
    """Return a job's document (JSON), with its answer if it has ended, and whether it has."""
    view, reply = await job_of(front, owner_id, job_id)
    return job_document(view, reply), view.state in TERMINAL
