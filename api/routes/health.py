"""Health: is the process alive, and can it do its work? Without a credential, and without details."""

import asyncio
from collections.abc import Awaitable
from importlib.metadata import PackageNotFoundError, version
from typing import Final, Literal

import structlog
from fastapi import APIRouter, Response
from pydantic import BaseModel
from sqlalchemy import text

from api.dependencies import FrontDep
from api.front import Front
from shared.domain.errors import SmartSipError

CHECK_TIMEOUT_S: Final = 1.0
REDIS: Final = "redis"
"""The one part that may be away: jobs are accepted and end without it, streams follow the database."""

_log = structlog.get_logger(__name__)
router = APIRouter(tags=["operation"])


class Health(BaseModel):
    """The process answers."""

    status: Literal["healthy"] = "healthy"
    version: str


class NamedHealth(BaseModel):
    """The service answers, under the name that the older systems' clients know; `app` and `version` are settings."""

    status: Literal["healthy"] = "healthy"
    app: str
    version: str


class Readiness(BaseModel):
    """Whether work is taken, and which parts are away."""

    status: Literal["ready", "degraded", "unavailable"]
    away: list[str]
    degraded: list[str]


def _version() -> str:
    try:
        return version("smartsip-backend")
    except PackageNotFoundError:  # run from a checkout that was not installed
        return "0+checkout"


@router.get("/health", summary="Whether the service answers")
async def get_health(front: FrontDep) -> NamedHealth:
    """Return that it does, in the words of Lite-LLM-Chat; the LLM Service API's clients read `status` alone."""
    named = front.settings.dialects
    return NamedHealth(app=named.app_name, version=named.app_version)


@router.get("/health/live", summary="Whether the process is alive")
async def get_liveness() -> Health:
    """Return that it is: ask nothing of other parts, so that a restart is not the answer to their absence."""
    return Health(version=_version())


@router.get("/health/ready", summary="Whether work is taken", responses={503: {"model": Readiness}})
async def get_readiness(front: FrontDep, response: Response) -> Readiness:
    """Ask PostgreSQL, Redis and the object store, each for at most a second."""
    names = ("postgresql", REDIS, "objects")
    checks = (_postgresql(front), _redis(front), front.objects.check())
    answers = await asyncio.gather(*(_is_there(name, check) for name, check in zip(names, checks, strict=True)))
    missing = [name for name, is_there in zip(names, answers, strict=True) if not is_there]
    away = [name for name in missing if name != REDIS]
    degraded = [name for name in missing if name == REDIS]
    response.status_code = 503 if away else 200
    response.headers["Cache-Control"] = "no-store"
    return Readiness(
        status="unavailable" if away else "degraded" if degraded else "ready", away=away, degraded=degraded
    )


async def _is_there(name: str, check: Awaitable[None]) -> bool:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            await check
    except TimeoutError:
        _log.warning("part_is_away", part=name, error=f"no answer within {CHECK_TIMEOUT_S} s")
        return False
    except Exception as error:  # noqa: BLE001 - whatever a client raises, its part is away
        detail = error.detail if isinstance(error, SmartSipError) else type(error).__name__
        _log.warning("part_is_away", part=name, error=detail)
        return False
    return True


async def _postgresql(front: Front) -> None:
    await front.queries.rows(text("select 1"))


async def _redis(front: Front) -> None:
    await front.redis.ping()  # pyright: ignore[reportUnknownMemberType] - its keyword arguments are untyped
