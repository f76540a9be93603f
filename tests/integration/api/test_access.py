"""Who may use a dialect whose clients need not log in: by place, by a credential, or by a ticket."""

from collections.abc import AsyncIterator, Mapping
from typing import Final

import pytest
from starlette.requests import HTTPConnection

from api.access import Access, admit, is_local
from api.auth import Caller
from api.front import Front
from api.scopes import Scope
from api.tickets import Ticket
from shared.domain.errors import Forbidden, NotFound, SmartSipError, Unauthenticated
from shared.domain.ids import OwnerId
from shared.settings import Settings
from tests.integration.api.accounts import new_user
from tests.integration.api.devices import new_device
from tests.quick_settings import ADMIN_TOKEN
from tests.served import Served, served

HERE: Final = {"host": "localhost:8888"}
SESSION: Final = "a session"


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Served]:
    async with served(settings.model_copy(update={"allowed_origins": ("*", "http://localhost:5173")})) as running:
        yield running


def connection(
    headers: Mapping[str, str], *, query: str = "", path_token: str | None = None, subprotocols: tuple[str, ...] = ()
) -> HTTPConnection:
    scope = {
        "type": "websocket" if subprotocols else "http",
        "client": ("127.0.0.1", 5000),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "query_string": query.encode(),
        "subprotocols": list(subprotocols),
    }
    return HTTPConnection(scope if path_token is None else scope | {"path_token": path_token})


async def admitted(
    front: Front, coming: HTTPConnection, access: Access, *, session_id: str | None = None
) -> Caller | type[SmartSipError]:
    """Who was admitted, or with which error they were not."""
    try:
        return await admit(coming, front, access=access, scope=Scope.JOBS, session_id=session_id)
    except (Unauthenticated, Forbidden, NotFound) as error:
        return type(error)


def bearer(secret: str) -> dict[str, str]:
    return HERE | {"authorization": f"Bearer {secret}"}


async def new_key(api: Served, *scopes: str) -> tuple[str, str]:
    made = (await api.client.post("/v2/keys", json={"name": "a key", "scopes": scopes})).json()
    return made["id"], made["secret"]


async def test_a_credential_is_taken_wherever_a_client_can_put_it(api: Served):
    front, user = api.front, await new_user(api)
    key_id, key = await new_key(api, "jobs")
    for coming in (
        connection(bearer(key)),
        connection(HERE, path_token=key),
        connection({}, subprotocols=(f"bearer.{key}",)),
    ):
        caller = await admitted(front, coming, "token")
        assert isinstance(caller, Caller)
        assert (str(caller.key_id), caller.is_user, caller.owner_name) == (key_id, False, "local")
    caller = await admitted(front, connection(bearer(user.token)), "token")
    assert isinstance(caller, Caller)
    assert (caller.key_id, caller.is_user, caller.owner_id, caller.name) == (None, True, user.id, "anna")
    administrator = await admitted(front, connection(bearer(ADMIN_TOKEN)), "token")
    assert isinstance(administrator, Caller)
    assert administrator.is_admin
    assert await admitted(front, connection(HERE, path_token=ADMIN_TOKEN), "token") is Unauthenticated


async def test_a_wrong_credential_is_refused_also_where_none_is_needed(api: Served):
    front = api.front
    _, metrics = await new_key(api, "metrics")
    here = await admitted(front, connection(HERE), "open")
    assert isinstance(here, Caller)
    assert (here.owner_name, here.scopes) == ("local", {Scope.JOBS})
    assert await admitted(front, connection(HERE | {"authorization": "Basic YTpi"}), "open") == here
    assert await admitted(front, connection(bearer("nonsense")), "open") is Unauthenticated
    assert await admitted(front, connection(HERE, path_token="nonsense"), "open") is Unauthenticated
    assert await admitted(front, connection(bearer(metrics)), "open") is Forbidden
    assert await admitted(front, connection(HERE), "token") is Unauthenticated
    assert await admitted(front, connection(bearer(metrics)), "off") is NotFound


async def test_a_ticket_is_good_for_its_session_only(api: Served):
    front = api.front
    bound = Ticket(owner_id=OwnerId(7), owner_name="anna", session_id=SESSION)
    text, _ = front.tickets.make(bound)
    coming = connection({"host": "elsewhere"}, query=f"ticket={text}")
    caller = await admitted(front, coming, "token", session_id=SESSION)
    assert isinstance(caller, Caller)
    assert (caller.owner_id, caller.ticket, caller.scopes) == (7, bound, {Scope.JOBS})
    assert await admitted(front, coming, "token", session_id="another") is NotFound
    assert await admitted(front, coming, "token") is Unauthenticated
    garbled = connection(HERE, query=f"ticket={text}x")
    assert await admitted(front, garbled, "open", session_id=SESSION) is Unauthenticated


async def test_a_page_is_local_if_its_origin_is_listed_by_name(api: Served):
    origins = {None: True, "http://localhost:5173": True, "https://evil.example": False, "null": False, "*": False}
    found = {
        origin: is_local(connection(HERE | ({} if origin is None else {"origin": origin})), api.front)
        for origin in origins
    }
    assert found == origins


async def test_a_device_is_known_by_its_path_only(api: Served):
    token = (await new_device(api)).token
    with pytest.raises(Unauthenticated):
        await admit(connection(bearer(token)), api.front, access="token", scope=Scope.DEVICE)
    caller = await admit(connection(HERE, path_token=token), api.front, access="token", scope=Scope.DEVICE)
    assert caller.device is not None
