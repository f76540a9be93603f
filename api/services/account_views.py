"""An account as it can be shown, and what a valid token of its user amounts to."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy.engine import Row

from shared.domain.ids import OwnerId


class Role(StrEnum):
    """What a user is to this system."""

    USER = "user"
    ADMIN = "admin"


@dataclass(frozen=True, kw_only=True)
class Account:
    """An owner who can log in. Tokens of another `epoch` are over."""

    owner_id: OwnerId
    username: str
    role: Role
    epoch: int
    created_at: datetime
    disabled_at: datetime | None
    last_login_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class UserToken:
    """A token that was just made."""

    token: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class LoggedIn:
    """Whose token is valid, and until when."""

    account: Account
    expires_at: datetime


def account_from(row: Row[Any]) -> Account:  # Any: the columns of statements.accounts
    """Return an account as it was read."""
    return Account(
        owner_id=OwnerId(row.owner_id),
        username=row.username,
        role=Role(row.role),
        epoch=row.epoch,
        created_at=row.created_at,
        disabled_at=row.disabled_at,
        last_login_at=row.last_login_at,
    )
