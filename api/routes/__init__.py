"""Our own API: every router of it, in the order the documentation shows them."""

from typing import Final

from fastapi import APIRouter

from api.routes import (
    events,
    health,
    home,
    images,
    jobs,
    keys,
    metrics,
    providers,
    submissions,
    websockets,
)

ROUTERS: Final[tuple[APIRouter, ...]] = (
    submissions.router,
    jobs.router,
    events.router,
    websockets.router,
    images.router,
    providers.router,
    keys.router,
    health.router,
    metrics.router,
    home.router,
)
