"""Who is calling: the administrator's token, an API key, a user's or a device's token, for HTTP and WebSocket alike.

A credential comes as `Authorization: Bearer …`; as the WebSocket subprotocol `bearer.<credential>`, because browsers
cannot set headers there (offer a second one, `smartsip`, which the server picks); or as the path prefix
`/d/<token>/`, for clients that can only be given a base URL. The administrator's token is never taken from a path: URLs
end up in other people's logs. On a few routes a browser's ticket (`api.tickets`) stands in for a credential.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, TypeAlias
from uuid import UUID

import structlog
from fastapi import Depends
from starlette.requests import HTTPConnection

from api.dependencies import FrontDep
from api.front import Front
from api.scopes import EVERY_SCOPE, USER_SCOPES, Scope, effective
from api.services.account_views import Account, LoggedIn, Role
from api.services.devices import CallingDevice
from api.services.keys import Key
from api.tickets import TICKET, Ticket
from api.tokens import looks_like_token
from shared.domain.errors import Forbidden, NotFound, Unauthenticated
from shared.domain.ids import LOCAL_OWNER, JobId, OwnerId
from shared.security import is_device_token, is_same_secret

SUBPROTOCOL_PREFIX: Final = "bearer."
FIRMWARE_HEADER: Final = "X-Firmware"
MAX_FIRMWARE_CHARS: Final = 100
HOW_TO_REGISTER: Final = "Register the device: POST /v2/devices, or `smartsip device add`."


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who is calling, and what they may do: `owner_id` is whose things they see and make.

    What they showed says more: `device` which one it is, `key_id` with which API key, `account` which user logged in,
    `ticket` the one thing that may be had.
    """

    owner_id: OwnerId
    owner_name: str
    name: str
    scopes: frozenset[Scope]
    is_admin: bool = False
    expires_at: datetime | None = None
    device: CallingDevice | None = None
    key_id: UUID | None = None
    account: Account | None = None
    ticket: Ticket | None = None

    @property
    def is_user(self) -> bool:
        """Whether somebody logged in, rather than showed an API key."""
        return self.account is not None

    @property
    def device_number(self) -> int:
        """What a device's own things are kept under; 0 is no device."""
        return self.device.number if self.device else 0

    def may(self, scope: Scope) -> bool:
        """Whether this caller's credential is good for something."""
        return scope in self.scopes


ADMINISTRATOR: Final = Caller(
    owner_id=LOCAL_OWNER, owner_name="local", name="administrator", scopes=EVERY_SCOPE, is_admin=True
)
"""Holds the administrator's token; acts as the built-in local owner."""


async def current_caller(connection: HTTPConnection, front: FrontDep) -> Caller:
    """Return who is calling.

    Raises:
        Unauthenticated: if no credential came, or one that is not valid (any more).
    """
    offered = offered_by_header(connection)
    if offered is not None:
        caller = await caller_with(front, offered, firmware=_firmware(connection))
    else:
        caller = await caller_by_path(front, connection)
    if caller is None:
        raise Unauthenticated(
            "Send an API key, a user's or the administrator's token as `Authorization: Bearer …`."
            if offered is None
            else "The credential is not valid: it is mistyped, revoked or expired."
        )
    structlog.contextvars.bind_contextvars(owner_id=caller.owner_id)
    return caller


async def caller_if_any(connection: HTTPConnection, front: FrontDep) -> Caller | None:
    """Return who is calling where nobody has to say so; None if no credential came.

    Raises:
        Unauthenticated: if one came that is not valid.
    """
    is_offered = offered_by_header(connection) is not None or "path_token" in connection.scope
    return await current_caller(connection, front) if is_offered else None


async def caller_with(front: Front, credential: str, *, firmware: str | None = None) -> Caller | None:
    """Return who holds a credential; None if nobody does. `firmware` is what a device says it runs."""
    if is_same_secret(credential, front.settings.admin_token.get_secret_value()):
        return ADMINISTRATOR
    return await _holder(front, credential, firmware)


async def caller_by_path(front: Front, connection: HTTPConnection) -> Caller | None:
    """Return who holds the credential in the path's prefix; None if there is no prefix or nobody does."""
    token: str | None = connection.scope.get("path_token")
    return None if token is None else await _holder(front, token, _firmware(connection))


async def _holder(front: Front, credential: str, firmware: str | None) -> Caller | None:
    if is_device_token(credential):
        device = await front.devices.calling(credential, firmware=firmware)
        return None if device is None else _caller_as(device)
    if looks_like_token(credential):
        logged_in = await front.accounts.holder_of(credential)
        return None if logged_in is None else _caller_who(logged_in)
    key = await front.keys.find(credential)
    return None if key is None else _caller_of(key)


def _caller_of(key: Key) -> Caller:
    return Caller(
        owner_id=key.owner_id,
        owner_name=key.owner_name,
        name=key.name,
        scopes=effective(key.scopes),
        is_admin=Scope.ADMIN in key.scopes,
        expires_at=key.expires_at,
        key_id=key.id,
    )


def _caller_who(logged_in: LoggedIn) -> Caller:
    account = logged_in.account
    is_admin = account.role is Role.ADMIN
    return Caller(
        owner_id=account.owner_id,
        owner_name=account.username,
        name=account.username,
        scopes=EVERY_SCOPE if is_admin else USER_SCOPES,
        is_admin=is_admin,
        expires_at=logged_in.expires_at,
        account=account,
    )


def _caller_as(device: CallingDevice) -> Caller:
    return Caller(
        owner_id=device.owner_id,
        owner_name=device.owner_name,
        name=device.name,
        scopes=frozenset({Scope.DEVICE}),
        expires_at=device.expires_at,
        device=device,
    )


def _firmware(connection: HTTPConnection) -> str | None:
    """Return the firmware's version if it is told; one that cannot be shown is no reason not to pour."""
    told = connection.headers.get(FIRMWARE_HEADER, "").strip()
    return told if told and told.isascii() and told.isprintable() and len(told) <= MAX_FIRMWARE_CHARS else None


def caller_by_ticket(
    front: Front, connection: HTTPConnection, *, job_id: JobId | None = None, session_id: str | None = None
) -> Caller | None:
    """Return who follows a job or a session by the ticket in the query; None if there is no ticket.

    Raises:
        Unauthenticated: if it is not valid.
        NotFound: if it is for another job or session.
    """
    text = connection.query_params.get(TICKET)
    if text is None:
        return None
    ticket = front.tickets.read(text)
    if ticket is None:
        raise Unauthenticated("The ticket is not valid or has expired: ask for a new one (POST /v2/tickets).")
    if (ticket.job_id, ticket.session_id) != (job_id, session_id):
        raise NotFound("The ticket is for something else.")
    return Caller(
        owner_id=ticket.owner_id,
        owner_name=ticket.owner_name,
        name="a ticket",
        scopes=frozenset({Scope.JOBS}),
        expires_at=ticket.credential_ends,
        ticket=ticket,
    )


def offered_by_header(connection: HTTPConnection) -> str | None:
    """Return the credential of a header or, in a WebSocket's handshake, of a subprotocol; None if there is none."""
    scheme, _, credential = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credential.strip():
        return credential.strip()
    if connection.scope["type"] == "websocket":
        for subprotocol in connection.scope.get("subprotocols", ()):
            if subprotocol.startswith(SUBPROTOCOL_PREFIX):
                return subprotocol.removeprefix(SUBPROTOCOL_PREFIX)
    return None


CallerDep: TypeAlias = Annotated[Caller, Depends(current_caller)]


def require(*scopes: Scope) -> Callable[..., Awaitable[Caller]]:
    """Return a dependency that gives the caller if their credential is good for one of these scopes."""

    async def permitted(caller: CallerDep) -> Caller:
        if not caller.scopes.intersection(scopes):
            raise Forbidden(_needed(scopes))
        return caller

    return permitted


def _needed(scopes: tuple[Scope, ...]) -> str:
    if scopes == (Scope.DEVICE,):
        return f"This needs a device's own token. {HOW_TO_REGISTER}"
    return f"This needs a credential with the scope {' or '.join(f'`{scope}`' for scope in scopes)}."


async def calling_device(caller: Annotated[Caller, Depends(require(Scope.DEVICE))]) -> CallingDevice:
    """Return the device that is calling, on routes that are for devices only."""
    assert caller.device is not None, "only a device's token has the scope device"
    return caller.device


async def follower(connection: HTTPConnection, front: FrontDep, job_id: UUID) -> Caller:
    """Return who follows a job's events: by a ticket for it, or with a credential that is good for jobs.

    Raises:
        Unauthenticated: if there is neither, or it is not valid.
        NotFound: if the ticket is for another job.
        Forbidden: if the credential is good for other things.
    """
    by_ticket = caller_by_ticket(front, connection, job_id=JobId(job_id))
    if by_ticket is not None:
        structlog.contextvars.bind_contextvars(owner_id=by_ticket.owner_id)
        return by_ticket
    return await require(Scope.JOBS)(await current_caller(connection, front))


async def logged_in_user(caller: CallerDep) -> Caller:
    """Return who is calling, on routes that are for users who logged in themselves; `account` is theirs."""
    if not caller.is_user:
        raise Forbidden("This needs a user's own login: POST /v2/users/login.")
    return caller
