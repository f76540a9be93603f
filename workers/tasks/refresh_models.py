"""The Celery task that asks one provider for its models. A wish: nobody minds if it is lost or done twice."""

from collections.abc import Awaitable, Callable

from celery import Celery

from shared.domain.models import REFRESH_MODELS
from workers.await_bridge import wait_for


def register(app: Celery, refresh: Callable[[str], Awaitable[None]]) -> None:
    """Let the app answer such wishes by awaiting `refresh(provider)`."""

    def refresh_models(provider: str) -> None:
        wait_for(refresh(provider))

    app.task(refresh_models, name=REFRESH_MODELS, ignore_result=True, acks_late=False, shared=False)  # pyright: ignore[reportCallIssue, reportUnknownMemberType]
