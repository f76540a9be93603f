"""Our own API: every router of it, in the order the documentation shows them."""

from typing import Final

from fastapi import APIRouter

from api.routes import (
    device_jobs,
    devices,
    events,
    health,
    home,
    image_library,
    images,
    jobs,
    keys,
    metrics,
    profiles,
    prompts,
    providers,
    submissions,
    websockets,
)

ROUTERS: Final[tuple[APIRouter, ...]] = (
    submissions.router,
    jobs.router,
    events.router,
    websockets.router,
    device_jobs.router,  # before `devices`, whose ids would take `me` for one
    devices.router,
    profiles.router,
    prompts.router,
    image_library.router,
    images.router,
    providers.router,
    keys.router,
    health.router,
    metrics.router,
    home.router,
)
