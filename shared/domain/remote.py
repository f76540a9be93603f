"""Media elsewhere: what a URL must look like to be fetched. Where it may lead, decides who fetches it."""

import re
from typing import Annotated, Final, TypeAlias

from pydantic import AfterValidator, StringConstraints

MAX_URL_CHARS: Final = 2000
MAX_REMOTE: Final = 32
"""Of one job: each is a request that somebody else's server gets from here."""
NOT_FETCHED: Final = "this server fetches nothing from elsewhere: its setting SMARTSIP_FETCH_REMOTE_MEDIA is off"

_BEGINNING: Final = re.compile(r"https?://", re.ASCII | re.IGNORECASE)
_URL: Final = re.compile(r"https?://([^/?#\\]+)(?:[/?#][^\\]*)?", re.IGNORECASE)
_BLANK: Final = re.compile(r"[\s\x00-\x20\x7f]")


def is_url(text: str) -> bool:
    """Return whether a text means to be a URL of the web."""
    return _BEGINNING.match(text) is not None


def check_url(url: str) -> str:
    """Return a URL of the web.

    Raises:
        ValueError: if it is none; the text does not repeat it, for it may hold a secret.
    """
    if len(url) > MAX_URL_CHARS:
        raise ValueError(f"has at most {MAX_URL_CHARS} characters")
    if not is_url(url):
        raise ValueError("begins with https:// or http://")
    if _BLANK.search(url) or not _is_text(url):
        raise ValueError("has no blanks and no control characters")
    match = _URL.fullmatch(url)
    if match is None:
        raise ValueError("names a host, as in https://example.com/photo.jpg")
    if "@" in match[1]:
        raise ValueError("has no user and no password")
    return url


def _is_text(url: str) -> bool:
    try:
        url.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can spell
        return False
    return True


RemoteUrl: TypeAlias = Annotated[str, StringConstraints(max_length=MAX_URL_CHARS), AfterValidator(check_url)]
