"""What an attempt fetches from elsewhere: few things at a time, and all of them within one clock."""

import asyncio

from shared.domain.errors import MediaRefused
from shared.domain.remote import NOT_FETCHED
from workers.providers.base import MESSAGES_FIELD
from workers.services.attempt import Attempt
from workers.services.media.fetch_url import fetch_url


async def fetch_media(attempt: Attempt, url: str, *, max_bytes: int) -> bytes:
    """Return what a message shows from elsewhere; nobody knows yet what it is.

    The clock `fetch_media` begins with the first thing an attempt fetches.

    Raises:
        MediaRefused: if nothing is fetched here; and what `fetch_url` raises.
    """
    web = attempt.tools.web
    if web is None:
        raise MediaRefused(f"{NOT_FETCHED[0].upper()}{NOT_FETCHED[1:]}.", field=MESSAGES_FIELD)
    now = asyncio.get_running_loop().time
    if attempt.fetch_until is None:
        attempt.fetch_until = now() + attempt.tools.clocks.fetch_media.total_seconds()
    async with attempt.fetching:
        timeout_s = max(attempt.fetch_until - now(), 0)
        fetched = await fetch_url(url, max_bytes=max_bytes, timeout_s=timeout_s, field=MESSAGES_FIELD, web=web)
        return fetched.content
