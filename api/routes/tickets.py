"""Tickets for browsers, whose EventSource and WebSocket cannot send a credential in a header."""

from datetime import datetime
from typing import Annotated, Final
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from api.auth import Caller, require
from api.dependencies import FrontDep
from api.routes.answers import NOT_FOUND, REFUSED
from api.routes.jobs import NoParameters
from api.scopes import Scope
from api.services.watch import job_of
from api.tickets import TICKET, Ticket
from shared.domain.ids import JobId

router = APIRouter(prefix="/v2/tickets", tags=["events"])
SessionId = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f/]{1,200}$")]
NO_STORE: Final = "no-store"


class TicketIn(BaseModel):
    """What a ticket is to open: a job's events, or a session of the LLM Service API."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    job_id: UUID | None = None
    session_id: Annotated[SessionId | None, Field(description="As in `WS /ws/{session_id}`")] = None

    @model_validator(mode="after")
    def _opens_one_thing(self) -> "TicketIn":
        if (self.job_id is None) == (self.session_id is None):
            raise ValueError("name one of job_id and session_id")
        return self


class JobTicketOut(BaseModel):
    """A ticket for a job, and where it is good."""

    ticket: str
    job_id: UUID
    expires_at: datetime
    events: Annotated[str, Field(description="For an EventSource")]
    websocket: Annotated[str, Field(description="For a WebSocket")]


class SessionTicketOut(BaseModel):
    """A ticket for a session, and where it is good."""

    ticket: str
    session_id: str
    expires_at: datetime
    websocket: Annotated[str, Field(description="For a WebSocket")]


@router.post("", status_code=201, responses=NOT_FOUND | REFUSED, summary="Get a ticket for a browser")
async def create_ticket(
    wanted: TicketIn,
    query: NoParameters,
    response: Response,
    front: FrontDep,
    caller: Annotated[Caller, Depends(require(Scope.JOBS))],
) -> JobTicketOut | SessionTicketOut:
    """Make a ticket that opens one job's events, or one session's socket, for ten minutes.

    A stream it opened goes on after that; what comes back later needs a new ticket.
    """
    job_id = None if wanted.job_id is None else JobId(wanted.job_id)
    if job_id is not None:
        await job_of(front, caller.owner_id, job_id)
    ticket = Ticket(
        owner_id=caller.owner_id,
        owner_name=caller.owner_name,
        job_id=job_id,
        session_id=wanted.session_id,
        credential_ends=caller.expires_at,
    )
    text, expires_at = front.tickets.make(ticket)
    response.headers["Cache-Control"] = NO_STORE
    if job_id is not None:
        job = f"/v2/jobs/{job_id}"
        events, websocket = f"{job}/events?{TICKET}={text}", f"{job}/ws?{TICKET}={text}"
        return JobTicketOut(ticket=text, job_id=job_id, expires_at=expires_at, events=events, websocket=websocket)
    session_id = wanted.session_id or ""
    websocket = f"/ws/{quote(session_id, safe='')}?{TICKET}={text}"
    return SessionTicketOut(ticket=text, session_id=session_id, expires_at=expires_at, websocket=websocket)
