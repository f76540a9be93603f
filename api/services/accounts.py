"""Users: made, logged in, changed, and recognised by their tokens.

A token is good while the account has the epoch it says; a changed password, a changed account and "log out everywhere"
raise it. No password leaves this module, and none is in what it raises.
"""

from datetime import timedelta
from typing import Any, Final

from api.services.account_memory import AccountMemory
from api.services.account_views import Account, LoggedIn, Role, UserToken, account_from
from api.services.logins import LoginThrottle
from api.tokens import UserTokens, user_token_key
from shared.database.queries import AnyRow, Queries
from shared.database.statements import accounts as statements
from shared.database.statements.keys import owner_named
from shared.domain.errors import Forbidden, InvalidRequest, NotFound, Unauthenticated, UsernameTaken
from shared.domain.ids import OwnerId
from shared.domain.usernames import username_from
from shared.encryption import Sealer
from shared.passwords import Passwords
from shared.settings import Settings

WRONG: Final = "The username or the password is wrong."
"""The one answer for an unknown user, a wrong password and a disabled account."""


class AccountStore:
    """The accounts of all users."""

    def __init__(self, queries: Queries, sealer: Sealer, settings: Settings) -> None:
        clocks, limits = settings.clocks, settings.limits
        self._queries = queries
        self._passwords = Passwords(rounds=limits.password_rounds)
        self._tokens = UserTokens(user_token_key(settings.jwt_secret, sealer))
        self._throttle = LoginThrottle(queries, sealer, clocks, limits)
        self._memory = AccountMemory(self._read, believed_for=clocks.key_cache)
        self._is_open = settings.registration == "open"

    def close(self) -> None:
        """Let go of what hashes passwords."""
        self._passwords.close()

    async def register(
        self, username: str, password: str, *, role: Role = Role.USER, is_by_admin: bool = False
    ) -> Account:
        """Make an account, and its owner with it.

        Raises:
            Forbidden: if only administrators make accounts here.
            InvalidRequest: if this can be no user's name or password.
            UsernameTaken: if there is an owner of this name.
            Unavailable: if too many passwords are waiting to be hashed.
        """
        if not (self._is_open or is_by_admin):
            raise Forbidden("Registration is closed here: ask an administrator for an account.")
        name = username_from(username)
        if await self._queries.rows(owner_named(name)):
            raise _taken()
        password_hash = await self._passwords.hash(password)
        async with self._queries.transaction() as connection:
            owner_id = (await connection.execute(statements.owner_if_new(name))).scalar_one_or_none()
            if owner_id is None:
                raise _taken()
            await connection.execute(statements.new_account(owner_id, password_hash=password_hash, role=role))
            return account_from((await connection.execute(statements.account_of(owner_id))).one())

    async def login(self, username: str, password: str, *, address: str) -> Account:
        """Return the account that a name and a password open. `address` is where the attempt comes from.

        Raises:
            Unauthenticated: if they open none.
            TooManyLogins: if too many attempts failed; the password was not looked at.
            Unavailable: if too many passwords are waiting to be checked.
        """
        name = _possible(username)
        attempt = await self._throttle.begin(name, address)
        row = await self._named(name)
        is_right = await self._passwords.check(password, None if row is None else row.password_hash)
        if row is None or not is_right or row.disabled_at is not None:
            raise Unauthenticated(WRONG)
        await self._throttle.succeed(attempt)
        await self._note_login(row, password)
        return account_from(row)

    def token_for(self, account: Account, *, lifetime: timedelta) -> UserToken:
        """Return a token with which a user shows who they are."""
        token, expires_at = self._tokens.make(account.owner_id, account.epoch, lifetime=lifetime)
        return UserToken(token=token, expires_at=expires_at)

    async def holder_of(self, token: str) -> LoggedIn | None:
        """Return who holds a token; None if it is not valid, not any more, or its user was disabled."""
        claims = self._tokens.read(token)
        if claims is None:
            return None
        account = await self._memory.find(OwnerId(claims.user_id), epoch=claims.epoch)
        if account is None or account.disabled_at is not None or account.epoch != claims.epoch:
            return None
        return LoggedIn(account=account, expires_at=claims.expires_at)

    async def change_password(self, account: Account, *, old: str, new: str, address: str) -> Account:
        """Change a user's own password and end all tokens; the old one is asked for as in a login.

        Raises:
            InvalidRequest: if the old one is wrong, or the new one can be none.
            TooManyLogins: if too many attempts failed; the password was not looked at.
            Unavailable: if too many passwords are waiting to be checked.
        """
        attempt = await self._throttle.begin(account.username, address)
        row = await self._named(account.username)
        if row is None or not await self._passwords.check(old, row.password_hash):
            raise InvalidRequest("is not your password", field="old_password")
        await self._throttle.succeed(attempt)
        values = {"password_hash": await self._passwords.hash(new)}
        changed = await self._change(account.owner_id, values, replacing=row.password_hash)
        if changed is None:
            raise InvalidRequest("is not your password any more", field="old_password")
        return changed

    async def log_out_everywhere(self, owner_id: OwnerId) -> None:
        """End every token of a user: at once in this process, elsewhere within the time what was read is believed."""
        await self._change(owner_id, {})

    async def change(
        self, owner_id: OwnerId, *, role: Role | None = None, disabled: bool | None = None, password: str | None = None
    ) -> Account:
        """Change any account and end its tokens; None leaves things as they are.

        Raises:
            NotFound: if there is no such account.
            InvalidRequest: if the password can be none.
        """
        values: dict[str, Any] = {}  # of columns
        if role is not None:
            values["role"] = role
        if disabled is not None:
            values["disabled_at"] = statements.DISABLED if disabled else None
        if password is not None:
            values["password_hash"] = await self._passwords.hash(password)
        changed = await self._change(owner_id, values)
        if changed is None:
            raise NotFound("There is no user with this id.")
        return changed

    async def page(self, *, username: str | None, after: int | None, limit: int) -> list[Account]:
        """Return accounts, newest first."""
        rows = await self._queries.rows(statements.accounts_page(username=username, after=after, limit=limit))
        return [account_from(row) for row in rows]

    async def _change(
        self, owner_id: OwnerId, values: dict[str, Any], *, replacing: str | None = None
    ) -> Account | None:
        rows = await self._queries.rows(statements.changed(owner_id, values, replacing=replacing))
        return self._memory.remember(owner_id, account_from(rows[0])) if rows else None

    async def _note_login(self, row: AnyRow, password: str) -> None:
        """Note a login whose password was right; hash it anew if that was done with another cost."""
        await self._queries.rows(statements.noted_login(row.owner_id))
        if self._passwords.is_outdated(row.password_hash):
            new_hash = await self._passwords.hash(password)
            await self._queries.rows(
                statements.rehashed(row.owner_id, password_hash=new_hash, replacing=row.password_hash)
            )

    async def _named(self, username: str) -> AnyRow | None:
        rows = await self._queries.rows(statements.account_named(username))
        return rows[0] if rows else None

    async def _read(self, owner_id: OwnerId) -> Account | None:
        rows = await self._queries.rows(statements.account_of(owner_id))
        return account_from(rows[0]) if rows else None


def _possible(username: str) -> str:
    """Return a name as it is stored; nobody's, where it can be no user's."""
    try:
        return username_from(username)
    except InvalidRequest:
        return ""


def _taken() -> UsernameTaken:
    return UsernameTaken("username already exists", field="username")
