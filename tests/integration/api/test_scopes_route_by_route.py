"""What each credential opens, route by route: a new route fails here until the table says who may use it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Final
from uuid import uuid4

import pytest
from fastapi import FastAPI
from fastapi.routing import APIWebSocketRoute, iter_route_contexts
from starlette.routing import Mount
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from api.app import create_app
from api.scopes import EVERY_SCOPE, USER_SCOPES, Scope
from shared.settings import Settings
from tests.integration.api.accounts import new_user
from tests.integration.api.devices import new_device
from tests.quick_settings import ADMIN_TOKEN
from tests.served import Served, bearer, served

DEVICE: Final = "a device's token"
DEVICE_IN_PATH: Final = "a device's token in the path"
USER: Final = "a user's token"
NOBODY: Final = "no credential"
ADMINISTRATOR: Final = "the administrator's token"
KEYS: Final = tuple(sorted(EVERY_SCOPE))
CREDENTIALS: Final = (NOBODY, ADMINISTRATOR, *KEYS, USER, DEVICE, DEVICE_IN_PATH)
SOCKET: Final = "WEBSOCKET"
ANY: Final = "DELETE|GET|HEAD|OPTIONS|PATCH|POST|PUT"

JOBS: Final = (
    *("POST /v2/jobs", "GET /v2/jobs", "GET /v2/jobs/{job_id}", "POST /v2/jobs/{job_id}/cancel"),
    *("GET /v2/jobs/{job_id}/setbacks", "GET /v2/jobs/{job_id}/events"),
    *(f"{SOCKET} /v2/jobs/{{job_id}}/ws", f"{SOCKET} /v2/ws", "GET /v2/providers"),
    "GET /v2/models",
    *("POST /v2/tickets", "GET /v2/quotas", "GET /v2/usage"),
    *("POST /v2/chats", "GET /v2/chats", "DELETE /v2/chats", "GET /v2/chats/{chat_id}", "PATCH /v2/chats/{chat_id}"),
    *("DELETE /v2/chats/{chat_id}", "POST /v2/chats/{chat_id}/stop", "GET /v2/chats/{chat_id}/messages"),
    *("POST /v2/chats/{chat_id}/messages", "DELETE /v2/chats/{chat_id}/messages/{message_id}"),
    "POST /v2/chats/{chat_id}/messages/{message_id}/regenerate",
    *("POST /v2/batches", "GET /v2/batches"),
    *(f"{method} /v2/batches/{{batch_id}}" for method in ("GET", "PATCH", "DELETE")),
    *(f"POST /v2/batches/{{batch_id}}/{what}" for what in ("pause", "resume", "cancel", "retry", "variants")),
    *(f"GET /v2/batches/{{batch_id}}/{what}" for what in ("events", "items", "report")),
    *("POST /v1/ask", "GET /v1/client/info"),
    *("POST /v1/chat/completions", "POST /v1/images/generations", "GET /v1/models", "GET /v1/models/{model:path}"),
    *("POST /api/conversations/create", "GET /api/conversations/history/{conversation_id}"),
    *("GET /api/conversations/list", "POST /api/conversations/del/{conversation_id}"),
    "POST /api/chat/{conversation_id}",
)
LITE_LLM_CHAT: Final = (
    *("GET /api/v1/providers", "GET /api/v1/models", "POST /api/v1/chat", "POST /api/v1/upload"),
    *("GET /api/v1/sessions", "POST /api/v1/sessions", "DELETE /api/v1/sessions"),
    *(f"{method} /api/v1/sessions/{{session_id}}" for method in ("GET", "PATCH", "DELETE")),
    *("DELETE /api/v1/sessions/{session_id}/truncate/{message_id}", "GET /uploads/{name:path}"),
    f"{ANY} /uploads/{{rest:path}}",
)
LLM_SERVICE_API: Final = (
    *("POST /set-llm", "POST /set-llm/", "POST /chat", "POST /chat/"),
    f"{SOCKET} /ws/{{session_id}}",
)
IMAGES: Final = (
    *("POST /v2/images", "GET /v2/images", "GET /v2/images/{image_id}"),
    *("PATCH /v2/images/{image_id}", "DELETE /v2/images/{image_id}"),
    *("GET /v2/images/{image_id}/content", "GET /v2/images/{image_id}/thumbnail", "GET /v2/images/{image_id}/link"),
    *("POST /v2/media", "GET /v2/media", "GET /v2/media/{media_id}", "DELETE /v2/media/{media_id}"),
    "GET /v2/media/{media_id}/content",
)
DEVICES: Final = (
    *("POST /v2/devices", "GET /v2/devices", "GET /v2/devices/{device_id}", "PATCH /v2/devices/{device_id}"),
    *("POST /v2/devices/{device_id}/rotate", "POST /v2/devices/{device_id}/claim", "DELETE /v2/devices/{device_id}"),
    *("PUT /v2/profiles/{name}", "DELETE /v2/profiles/{name}"),
    *("POST /v2/prompts/{name}", "DELETE /v2/prompts/{name}"),
    *("POST /v2/batches/{batch_id}/promotions", "POST /v2/promotions/{promotion_id}/revert"),
)
DEVICES_OR_JOBS: Final = (
    *("GET /v2/profiles", "GET /v2/profiles/{name}"),
    *("GET /v2/prompts", "GET /v2/prompts/{name}", "GET /v2/prompts/{name}/{version}"),
    *("GET /v2/promotions", "GET /v2/promotions/{promotion_id}"),
)
OF_A_DEVICE: Final = (
    *("GET /v2/devices/me", "POST /v2/devices/me/jobs", "GET /v2/devices/me/jobs/{job_id}"),
    *("POST /v2/devices/me/jobs/{job_id}/cancel", "GET /v2/devices/me/jobs/{job_id}/events"),
    f"{SOCKET} /v2/devices/me/jobs/{{job_id}}/ws",
)
OF_A_USER: Final = ("GET /v2/users/me", "PUT /v2/users/me/password", "POST /v2/users/me/logout")
OF_THE_FIRMWARE: Final = ("PUT /{bucket}/{name:path}", "POST /smartsip/upload")
OF_ADMINISTRATORS: Final = (
    *("POST /v2/jobs/{job_id}/replay", "GET /v2/users", "PATCH /v2/users/{user_id}"),
    *("PUT /v2/quotas/{subject:path}", "DELETE /v2/quotas/{subject:path}", "POST /v2/quotas/{subject:path}/reset"),
)
HEALTH_2: Final = ("/health2", "/health2/")
PUBLIC: Final = (
    *("GET /", "GET /health", "GET /health/live", "GET /health/ready", "POST /v2/devices/claim"),
    *("POST /v2/users", "POST /v2/users/login"),
    *("GET|HEAD /openapi.json", "GET /docs", "GET /redoc", "GET /docs/oauth2-redirect", "GET /static-offline-docs"),
    *(f"{ANY} {path}/{{rest:path}}" for path in ("/smartsip", "/api/v1", "/ws")),
    *(f"{ANY} {path}/{{path:path}}" for path in ("/v1", "/api/users", "/api/conversations", "/api/chat")),
    *("POST /api/users/register", "POST /api/users/login"),
    *("GET /v1/health", "HEAD /v1/health", "GET /api/v1/health", "HEAD /api/v1/health"),
    *("DELETE|GET|HEAD|OPTIONS|PATCH|PUT /v1/ask", "DELETE|HEAD|OPTIONS|PATCH|POST|PUT /v1/client/info"),
    *(f"DELETE|OPTIONS|PATCH|POST|PUT {path}" for path in ("/v1/health", "/api/v1/health")),
    *(f"{method} {path}" for method in ("GET", "DELETE|HEAD|OPTIONS|PATCH|POST|PUT") for path in HEALTH_2),
    *("POST /token", "POST /token/"),
    *(
        f"DELETE|GET|HEAD|OPTIONS|PATCH|PUT {path}{end}"
        for path in ("/token", "/set-llm", "/chat")
        for end in ("", "/")
    ),
)
WHO_MAY: Final[dict[str, frozenset[str]]] = {
    **dict.fromkeys((*JOBS, *LITE_LLM_CHAT, *LLM_SERVICE_API), frozenset({Scope.JOBS})),
    **dict.fromkeys(IMAGES, frozenset({Scope.IMAGES})),
    **dict.fromkeys(DEVICES, frozenset({Scope.DEVICES})),
    **dict.fromkeys(DEVICES_OR_JOBS, frozenset({Scope.DEVICES, Scope.JOBS})),
    **dict.fromkeys(("POST /v2/keys", "GET /v2/keys", "DELETE /v2/keys/{key_id}"), frozenset({Scope.KEYS})),
    "GET /metrics": frozenset({Scope.METRICS}),
    **dict.fromkeys(OF_ADMINISTRATORS, frozenset[str]()),
    **dict.fromkeys(OF_A_DEVICE, frozenset({DEVICE, DEVICE_IN_PATH})),
    **dict.fromkeys(OF_THE_FIRMWARE, frozenset({DEVICE_IN_PATH})),
    **dict.fromkeys(PUBLIC, frozenset(CREDENTIALS)),
    **dict.fromkeys(OF_A_USER, frozenset({USER})),  # in the end, because logging out ends the token that is shown
}
"""Who else than an administrator: they may use everything but what is a device's or a user's own. A user may use what a
key with a user's scopes may."""
OWN: Final = frozenset({DEVICE, DEVICE_IN_PATH, USER})
FILLED: Final = {
    "{bucket}": "test",
    "{name:path}": "a.jpg",
    "{rest:path}": "x",
    "{path:path}": "x/y",
    "{version}": "1",
    "{name}": "a-name",
    "{user_id}": "9",
    "{message_id}": "9",
}


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Served]:
    async with served(settings) as running:
        yield running


def every_route(app: FastAPI) -> Iterator[str]:
    """Methods and path of every route, as the table names them."""
    for context in iter_route_contexts(app.routes):
        path = context.path
        assert path is not None, f"a route of a new sort: {context.original_route}"
        if isinstance(context.original_route, APIWebSocketRoute):
            yield f"{SOCKET} {path}"
        elif isinstance(context.original_route, Mount):
            yield f"GET {path}"
        else:
            assert context.methods, f"a route of a new sort: {context.original_route}"
            yield f"{'|'.join(sorted(context.methods))} {path}"


async def credential(api: Served, name: str) -> tuple[dict[str, str], str]:
    """The headers and the path prefix of a credential."""
    if name == NOBODY:
        return {}, ""
    if name == ADMINISTRATOR:
        return bearer(ADMIN_TOKEN), ""
    if name in (DEVICE, DEVICE_IN_PATH):
        token = (await new_device(api)).token
        return (bearer(token), "") if name == DEVICE else ({}, f"/d/{token}")
    if name == USER:
        return bearer((await new_user(api)).token), ""
    made = await api.client.post("/v2/keys", json={"name": "a key", "scopes": [name]})
    return bearer(made.json()["secret"]), ""


async def statuses(api: Served, route: str, headers: dict[str, str], prefix: str) -> set[int]:
    """What the methods of a route answer to a request that has nothing but its credential."""
    methods, _, path = route.partition(" ")
    parts = (FILLED.get(part, str(uuid4()) if part.startswith("{") else part) for part in path.split("/"))
    address = prefix + "/".join(parts)
    if methods == SOCKET:
        return {await handshake(api.url.replace("http", "ws", 1) + address, headers)}
    asked = (api.stranger.request(method, address, headers=headers) for method in methods.split("|"))
    return {answer.status_code for answer in await asyncio.gather(*asked)}


async def handshake(url: str, headers: dict[str, str]) -> int:
    try:
        async with connect(url, additional_headers=headers, proxy=None):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


def test_every_route_is_in_the_table_and_nothing_else(settings: Settings):
    assert sorted(every_route(create_app(settings))) == sorted(WHO_MAY)


def test_a_devices_token_is_for_what_devices_do_and_a_key_is_not():
    for route, who in WHO_MAY.items():
        if route not in PUBLIC and who & {DEVICE, DEVICE_IN_PATH}:
            assert who <= {DEVICE, DEVICE_IN_PATH}
            assert route in OF_THE_FIRMWARE or " /v2/devices/me" in route
    public = {"POST /v2/devices/claim", "POST /v2/users", "POST /v2/users/login"}
    assert {route for route in PUBLIC if "/v2/" in route} == public


@pytest.mark.parametrize("name", CREDENTIALS)
async def test_a_credential_opens_what_the_table_says_and_nothing_else(api: Served, name: str):
    headers, prefix = await credential(api, name)
    answers = {route: await statuses(api, route, headers, prefix) for route in WHO_MAY}
    assert not any(status >= 500 for found in answers.values() for status in found)
    opened = {route for route, found in answers.items() if not found & {401, 403}}
    is_administrator = name in (ADMINISTRATOR, Scope.ADMIN)
    names = {name, *USER_SCOPES} if name == USER else {name}
    assert opened == {
        route for route, who in WHO_MAY.items() if names & who or (is_administrator and not (who & OWN and who <= OWN))
    }
    if name == NOBODY:
        closed = [route for route in answers.keys() - opened if not route.startswith(ANY)]
        assert {status for route in closed for status in answers[route]} == {401}
