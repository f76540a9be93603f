"""Users' passwords, hashed with bcrypt: in threads, at most two at a time, so that logins hold up nothing else.

A check is the same work whether there is such a user or not. Nothing of a password is in what is raised or shown.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import bcrypt

from shared.domain.errors import InvalidRequest, Unavailable

MAX_PASSWORD_BYTES: Final = 72
"""All that bcrypt hears. A longer password is refused rather than cut."""
AT_A_TIME: Final = 2
MAX_WAITING: Final = 64
"""At a quarter of a second each, the last one waits for eight seconds."""
_NO_HASH: Final = "." * 53
"""A salt and a hash of zeros, which no password has."""

_Result = TypeVar("_Result")


class Passwords:
    """Hashes and checks; `rounds` is bcrypt's cost, each one more doubles the work."""

    def __init__(self, *, rounds: int) -> None:
        self._rounds = rounds
        self._threads = ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="password")
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """Return what is stored of a password.

        Raises:
            InvalidRequest: if it is empty, not text, or longer than bcrypt hears.
            Unavailable: if too many are waiting.
        """
        secret = _checked(password)
        return await self._run(lambda: bcrypt.hashpw(secret, bcrypt.gensalt(self._rounds)).decode())

    async def check(self, password: str, hashed: str | None) -> bool:
        """Return whether a password is the one that was hashed; None is nobody's and costs the same.

        Raises:
            Unavailable: if too many are waiting.
        """
        secret = password.encode(errors="surrogatepass")
        compared = hashed or f"$2b${self._rounds:02}${_NO_HASH}"
        is_same = await self._run(lambda: bcrypt.checkpw(secret[:MAX_PASSWORD_BYTES], compared.encode()))
        return is_same and hashed is not None and len(secret) <= MAX_PASSWORD_BYTES

    def is_outdated(self, hashed: str) -> bool:
        """Return whether a hash was made with another cost than today's."""
        return hashed.split("$")[2] != f"{self._rounds:02}"

    def close(self) -> None:
        """Let go of the threads; what has not begun is given up."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], _Result]) -> _Result:
        if self._waiting >= MAX_WAITING:
            raise Unavailable("Too many people log in at this moment.", retry_after_s=5)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1


def _checked(password: str) -> bytes:
    try:
        secret = password.encode()
    except UnicodeEncodeError:
        raise InvalidRequest("is not text that can be stored", field="password") from None  # it quotes the password
    if not 1 <= len(secret) <= MAX_PASSWORD_BYTES:
        raise InvalidRequest(f"must have 1 to {MAX_PASSWORD_BYTES} bytes in UTF-8", field="password")
    return secret
