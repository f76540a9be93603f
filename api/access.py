"""Who may use a dialect whose clients need not log in: `open`, `token` or `off`, as a setting says.

`open` is for the local stack: it lets in only what runs on this machine and talks to it by that name, so that neither
a proxy in front nor a web page that rebinds its name to 127.0.0.1 is taken for the operator. Elsewhere, and in
`token`, a credential says who is calling: in a header or, where a client can only be given a base URL, in the path's
prefix. A device's is taken from the path only, as its firmware sends it.
"""

from ipaddress import ip_address
from typing import Final, Literal, TypeAlias

from starlette.requests import HTTPConnection

from api.auth import HOW_TO_REGISTER, Caller, caller_by_path, caller_by_ticket, caller_with, offered_by_header
from api.front import Front
from api.scopes import Scope
from shared.domain.errors import Forbidden, NotFound, Unauthenticated
from shared.domain.ids import LOCAL_OWNER

Access: TypeAlias = Literal["open", "token", "off"]

_HOW_TO_COME_IN: Final = "a valid token is required: http://host:port/d/<token>/…"
_LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_FORWARDED: Final = (
    *("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-server"),
    *("x-real-ip", "via", "cf-connecting-ip", "true-client-ip", "x-original-host"),
)


async def admit(
    connection: HTTPConnection, front: Front, *, access: Access, scope: Scope, session_id: str | None = None
) -> Caller:
    """Return who is calling a dialect that is open to its own devices or programs.

    A browser's ticket for `session_id` opens that session, and nothing that has none.

    Raises:
        NotFound: if the dialect is switched off, or a ticket is for another session.
        Unauthenticated: if neither the place nor a credential lets the caller in, or a credential is not valid.
        Forbidden: if the credential is not good for this dialect.
    """
    if access == "off":
        raise NotFound("not found")
    caller = await _with_credential(connection, front, scope, session_id)
    if caller is not None:
        if not caller.may(scope):
            raise Forbidden(_wrong_credential(scope))
        return caller
    if access == "open" and not _offers_any(connection, scope) and is_local(connection, front):
        return Caller(owner_id=LOCAL_OWNER, owner_name="local", name="this machine", scopes=frozenset({scope}))
    raise Unauthenticated(_HOW_TO_COME_IN if scope is Scope.DEVICE else f"{_HOW_TO_COME_IN}, or as a Bearer token")


async def _with_credential(
    connection: HTTPConnection, front: Front, scope: Scope, session_id: str | None
) -> Caller | None:
    """Return who holds the credential that came; None if none did, or nobody holds it."""
    by_ticket = None if session_id is None else caller_by_ticket(front, connection, session_id=session_id)
    if by_ticket is not None:
        return by_ticket
    offered = None if scope is Scope.DEVICE else offered_by_header(connection)
    return await (caller_by_path(front, connection) if offered is None else caller_with(front, offered))


def _offers_any(connection: HTTPConnection, scope: Scope) -> bool:
    """Whether a credential came at all: who shows a wrong one is not let in for the place they come from."""
    is_in_header = scope is not Scope.DEVICE and offered_by_header(connection) is not None
    return is_in_header or "path_token" in connection.scope


def _wrong_credential(scope: Scope) -> str:
    if scope is Scope.DEVICE:
        return f"the key in the path is not a device's token. {HOW_TO_REGISTER}"
    return f"the credential needs the scope {scope}"


def is_local(connection: HTTPConnection, front: Front) -> bool:
    """Whether a request was made on this machine, to this machine by name, through no proxy and no foreign page."""
    origin = connection.headers.get("origin")
    return (
        connection.client is not None
        and _is_loopback(connection.client.host)
        and _host_name(connection.headers.get("host", "")) in _LOCAL_NAMES
        and not any(name in connection.headers for name in _FORWARDED)
        and (origin is None or (origin in front.settings.allowed_origins and origin != "*"))
    )


def _is_loopback(address: str) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback


def _host_name(host: str) -> str:
    """Return the name in a Host header (RFC 9110 section 7.2), without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()
