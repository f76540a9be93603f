"""The front as an ASGI application: opens the adapters, runs the sweep, mounts our API and every dialect."""

import asyncio
import contextlib
import functools
import signal
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from types import FrameType
from typing import Any, Final

import structlog
from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import iter_route_contexts
from fastapi_offline import FastAPIOffline
from starlette.routing import BaseRoute

from api.dialects import DIALECTS
from api.errors import add_error_handlers
from api.front import Front, open_front
from api.middleware import add_middleware
from api.routes import ROUTERS, media
from api.routes.submissions import COMMAND_SCHEMAS
from api.services.batches.pump import pump_batches
from shared.adapters.redis_epoch import RedisEpoch
from shared.database.sweep import Sweep
from shared.ending import end
from shared.settings import Settings

TAGS: Final = [
    {"name": "jobs", "description": "Submit, look up, list, cancel."},
    {"name": "events", "description": "A job's events, live or replayed: server-sent events and WebSockets."},
    {"name": "chats", "description": "Conversations that are kept: say something, have it answered, look back."},
    {"name": "images", "description": "Photos that jobs refer to."},
    {"name": "media", "description": "Videos and audio files that messages refer to."},
    {"name": "batches", "description": "Stored photos through other models and prompts: run, watch, compare."},
    {"name": "devices", "description": "Dispensers: register, claim, rotate, revoke; and what a device itself asks."},
    {"name": "profiles", "description": "What a kind of dispenser can do and may do."},
    {"name": "prompts", "description": "What a model is asked about a photo, in versions."},
    {"name": "providers", "description": "Who answers, and with which models."},
    {"name": "usage", "description": "What was used, and what may be used: sums of the ledger, quotas of tokens."},
    {"name": "users", "description": "Accounts: register, log in, change the password, log out everywhere."},
    {"name": "keys", "description": "API keys."},
    {"name": "operation", "description": "Health and metrics."},
    {"name": "firmware", "description": "The fielded dispenser's two requests."},
    {"name": "openai", "description": "Chat completions and models, as OpenAI's SDKs ask for them."},
    {"name": "llm-backend-api", "description": "llm-backend-api's seven routes, for its own clients."},
    {"name": "lite-llm-chat", "description": "Lite-LLM-Chat's API, for its own clients."},
    {"name": "llm-service-api", "description": "The LLM Service API, for its own clients; and `WS /ws/{session_id}`."},
]
DESCRIPTION: Final = """
A photo or a chat goes in as a **job**; what comes of it is a stream of **events** that can be followed live, resumed
and replayed, and a reply once the job has ended. A 2xx on submit means: it is stored, and it will end.

Errors are problem documents (RFC 9457): `code` is stable, `field` names what to change.
"""
_log = structlog.get_logger(__name__)


def create_app(settings: Settings) -> FastAPI:
    """Return the application; nothing is opened before its lifespan begins."""
    app = FastAPIOffline(  # the pages at /docs and /redoc work without the internet
        title="SmartSip Backend",
        version="2",
        summary="Durable jobs, resumable streams, safe water.",
        description=DESCRIPTION,
        openapi_tags=TAGS,
        lifespan=_lifespan_with(settings),
        redirect_slashes=False,  # devices follow no redirect
        swagger_ui_parameters={"persistAuthorization": True, "tryItOutEnabled": True, "docExpansion": "list"},
    )
    app.router.routes.extend(_routes(settings.dialects.api_prefix))
    add_error_handlers(app)
    add_middleware(
        app,
        settings.limits,
        file_paths=(media.PATH, f"{settings.dialects.api_prefix}/upload"),
        allowed_origins=settings.allowed_origins,
    )
    app.openapi = lambda: _openapi(app)
    return app


@functools.cache
def _routes(api_prefix: str) -> tuple[BaseRoute, ...]:
    """Return every route, ready to be matched.

    FastAPI looks at a router's routes when the first request comes, which would wait for that, and once per router that
    was included: so once per process.
    """
    every = APIRouter()
    for router in (*ROUTERS, *(dialect.router for dialect in DIALECTS)):
        every.include_router(router)
    for dialect in DIALECTS:
        if dialect.api is not None:
            every.include_router(dialect.api(api_prefix))
    for _ in iter_route_contexts(every.routes):
        pass
    return tuple(every.routes)


def _lifespan_with(settings: Settings) -> Callable[[FastAPI], contextlib.AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with open_front(settings) as front:
            app.state.front = front
            with _draining_on_signals(front):
                sweeping = asyncio.create_task(_sweep_forever(front), name="sweep")
                pumping = asyncio.create_task(pump_batches(front), name="batches")
                try:
                    yield
                finally:
                    front.hub.drain()
                    await end(sweeping, pumping)

    return lifespan


async def _sweep_forever(front: Front) -> None:
    """Keep a sweep running: it survives what it expects, and is begun anew after what it does not."""
    settings = front.settings
    while True:
        epoch = RedisEpoch(front.redis, settings.redis.prefix)
        sweep = Sweep(settings.database, front.ringer, epoch, settings.clocks)
        try:
            await sweep.run()
        except Exception:  # noqa: BLE001 - logged; without a sweep no promise of this system holds
            _log.exception("sweep_crashed")
        finally:
            await sweep.close()
        await asyncio.sleep(settings.clocks.sweep_every.total_seconds())


@contextlib.contextmanager
def _draining_on_signals(front: Front) -> Any:  # a generator, as contextmanager wants it
    """Send open streams away as soon as the server is told to stop.

    The server waits for open connections before it ends the lifespan, and event streams end only when they are told.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are heard in the main thread only: whoever runs a server in another ends its lifespan
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(front.hub.drain)
        previous = before[signal.Signals(number)]
        if callable(previous):
            previous(number, frame)

    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, previous in before.items():
            if signal.getsignal(number) is handle:
                signal.signal(number, previous)


def _openapi(app: FastAPI) -> dict[str, Any]:  # an OpenAPI document
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            summary=app.summary,
            description=app.description,
            routes=app.routes,
            tags=app.openapi_tags,
        )
        components = document.setdefault("components", {})
        components.setdefault("schemas", {}).update(COMMAND_SCHEMAS)
        components["securitySchemes"] = {
            "bearer": {
                "type": "http",
                "scheme": "bearer",
                "description": "An API key, a user's token, or the administrator's.",
            }
        }
        for path, operations in document["paths"].items():
            if path.startswith("/v2/") or path == "/metrics":
                for operation in operations.values():
                    operation.setdefault("security", [{"bearer": []}])
        app.openapi_schema = document
    return app.openapi_schema
