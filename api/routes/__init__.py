"""Our own API: every router of it, in the order the documentation shows them."""

from typing import Final

from fastapi import APIRouter

from api.routes import (
    batch_reports,
    batches,
    chats,
    device_jobs,
    devices,
    events,
    health,
    home,
    image_library,
    images,
    jobs,
    keys,
    media,
    messages,
    metrics,
    models,
    profiles,
    promotions,
    prompts,
    providers,
    quotas,
    submissions,
    tickets,
    usage,
    users,
    websockets,
)

ROUTERS: Final[tuple[APIRouter, ...]] = (
    submissions.router,
    jobs.router,
    events.router,
    websockets.router,
    tickets.router,
    chats.router,
    messages.router,
    device_jobs.router,  # before `devices`, whose ids would take `me` for one
    devices.router,
    profiles.router,
    prompts.router,
    promotions.router,
    batch_reports.router,
    image_library.router,
    images.router,
    batches.router,
    media.router,
    providers.router,
    models.router,
    quotas.router,
    usage.router,
    users.router,
    keys.router,
    health.router,
    metrics.router,
    home.router,
)
