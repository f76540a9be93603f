"""How often somebody may try to log in: counted in PostgreSQL, so that every api process counts together.

An attempt is counted before its password is looked at and taken back if it was right: a hundred guesses that come at
once are a hundred attempts. What is counted per account is kept under a digest, because people type passwords where
their name belongs.
"""

import time
from dataclasses import dataclass
from typing import Final

from shared.database.queries import Queries
from shared.database.statements import logins as statements
from shared.domain.errors import TooManyLogins
from shared.encryption import Sealer
from shared.settings_groups import Clocks, Limits

PRUNE_EVERY_S: Final = 60.0


@dataclass(frozen=True)
class Attempt:
    """An attempt that was counted: the subjects under which it was."""

    pair: str
    address: str


class LoginThrottle:
    """Failed logins within a window: per account and address, and per address."""

    def __init__(self, queries: Queries, sealer: Sealer, clocks: Clocks, limits: Limits) -> None:
        self._queries = queries
        self._sealer = sealer
        self._window = clocks.login_window
        self._per_pair = limits.logins_per_client
        self._per_address = limits.logins_per_address
        self._prune_at = 0.0

    async def begin(self, username: str, address: str) -> Attempt:
        """Count an attempt.

        Raises:
            TooManyLogins: if there were too many within the window; nothing was counted.
        """
        await self._prune()
        digest = self._sealer.digest(f"{username}\0{address}", purpose="login").hex()
        attempt = Attempt(f"account:{digest}", f"address:{address}")
        async with self._queries.transaction() as connection:
            for subject, limit in ((attempt.pair, self._per_pair), (attempt.address, self._per_address)):
                counted = await connection.execute(statements.one_more(subject, limit=limit, window=self._window))
                if counted.one_or_none() is None:
                    left = await connection.execute(statements.seconds_left(subject, window=self._window))
                    raise TooManyLogins("Try again later.", retry_after_s=max(1.0, float(left.scalar() or 0)))
        return attempt

    async def succeed(self, attempt: Attempt) -> None:
        """Take an attempt back, whose password was right, and forget the failures before it."""
        async with self._queries.transaction() as connection:
            await connection.execute(statements.forgotten(attempt.pair))
            await connection.execute(statements.one_less(attempt.address))

    async def _prune(self) -> None:
        """Delete old lines, now and then."""
        now = time.monotonic()
        if now >= self._prune_at:
            self._prune_at = now + PRUNE_EVERY_S
            async with self._queries.transaction() as connection:
                await connection.execute(statements.pruned(window=self._window))
