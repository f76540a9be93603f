"""Statements about accounts: owners who can log in."""

from typing import Any, Final, TypeAlias

from sqlalchemy import Select, func, select, update
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.sql.dml import ReturningInsert, ReturningUpdate

from shared.database.tables import account, owner

Accounts: TypeAlias = Select[*tuple[Any, ...]]
ChangedAccount: TypeAlias = ReturningUpdate[*tuple[Any, ...]]

_columns = (
    account.c.owner_id,
    owner.c.name.label("username"),
    account.c.role,
    account.c.epoch,
    account.c.created_at,
    account.c.disabled_at,
    account.c.last_login_at,
)

DISABLED: Final = func.coalesce(account.c.disabled_at, func.now())
"""The value of `disabled_at` for an account that is to be, or is already, disabled."""


def account_of(owner_id: int) -> Accounts:
    """The account of an owner."""
    return _accounts().where(account.c.owner_id == owner_id)


def account_named(username: str) -> Accounts:
    """The account of this name, with the hash of its password."""
    return (
        select(*_columns, account.c.password_hash)
        .join(owner, owner.c.id == account.c.owner_id)
        .where(owner.c.name == username)
    )


def accounts_page(*, username: str | None, after: int | None, limit: int) -> Accounts:
    """Accounts, newest first."""
    statement = _accounts().order_by(account.c.owner_id.desc()).limit(limit)
    if username is not None:
        statement = statement.where(owner.c.name == username)
    return statement if after is None else statement.where(account.c.owner_id < after)


def owner_if_new(name: str) -> ReturningInsert[int]:
    """Make an owner and return the id; no row if there is one of this name."""
    return insert(owner).values(name=name).on_conflict_do_nothing(index_elements=[owner.c.name]).returning(owner.c.id)


def new_account(owner_id: int, *, password_hash: str, role: str) -> Insert:
    """Let an owner log in."""
    return insert(account).values(owner_id=owner_id, password_hash=password_hash, role=role)


def noted_login(owner_id: int) -> ReturningUpdate[int]:
    """Note that somebody logged in."""
    return (
        update(account)
        .where(account.c.owner_id == owner_id)
        .values(last_login_at=func.now())
        .returning(account.c.owner_id)
    )


def rehashed(owner_id: int, *, password_hash: str, replacing: str) -> ReturningUpdate[int]:
    """Store the same password's new hash, unless the password was changed meanwhile."""
    return (
        update(account)
        .where(account.c.owner_id == owner_id, account.c.password_hash == replacing)
        .values(password_hash=password_hash)
        .returning(account.c.owner_id)
    )


def changed(owner_id: int, values: dict[str, Any], *, replacing: str | None = None) -> ChangedAccount:
    """Change an account and end its tokens; returns it, unless its password hash is not `replacing` any more."""
    statement = (
        update(account)
        .where(account.c.owner_id == owner_id, owner.c.id == account.c.owner_id)
        .values(values | {"epoch": account.c.epoch + 1})
        .returning(*_columns)
    )
    return statement if replacing is None else statement.where(account.c.password_hash == replacing)


def _accounts() -> Accounts:
    return select(*_columns).join(owner, owner.c.id == account.c.owner_id)
