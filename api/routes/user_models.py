"""What the routes of users take and give, as the documentation shows it."""

from datetime import datetime
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from api.services.account_views import Account, Role, UserToken
from shared.passwords import MAX_PASSWORD_BYTES

MIN_PASSWORD_BYTES: Final = 8
MAX_ID: Final = 2**63 - 1
MAX_TYPED: Final = 1000
"""Characters of a name or a password anybody types."""


def _long_enough(password: SecretStr) -> SecretStr:
    if not MIN_PASSWORD_BYTES <= len(password.get_secret_value().encode()) <= MAX_PASSWORD_BYTES:
        raise ValueError(f"must have {MIN_PASSWORD_BYTES} to {MAX_PASSWORD_BYTES} bytes in UTF-8")
    return password


NewPassword: TypeAlias = Annotated[
    SecretStr, AfterValidator(_long_enough), Field(examples=["correct horse battery staple"])
]
TypedPassword: TypeAlias = Annotated[SecretStr, Field(max_length=MAX_TYPED)]
UserId: TypeAlias = Annotated[int, Field(ge=1, le=MAX_ID)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class UserIn(_Body):
    """A user to be made."""

    username: Annotated[str, Field(max_length=MAX_TYPED, description="1 to 64 characters", examples=["anna"])]
    password: NewPassword
    role: Annotated[Role, Field(description="Only administrators make administrators.")] = Role.USER


class LoginIn(_Body):
    """Who logs in."""

    username: Annotated[str, Field(max_length=MAX_TYPED, examples=["anna"])]
    password: TypedPassword


class PasswordIn(_Body):
    """A user's new password, and the one it replaces."""

    old_password: TypedPassword
    new_password: NewPassword


class UserChange(_Body):
    """What is to be different."""

    role: Annotated[Role, Field(default=Role.USER)]  # left out means unchanged; null is refused
    disabled: Annotated[bool, Field(default=False, description="No login, token or API key of theirs is good then.")]
    password: Annotated[NewPassword, Field(default_factory=lambda: SecretStr(""))]

    @model_validator(mode="after")
    def _changes_something(self) -> "UserChange":
        if not self.model_fields_set:
            raise ValueError("name what is to be different: role, disabled or password")
        return self


class UsersQuery(BaseModel):
    """Which users to list."""

    model_config = ConfigDict(extra="forbid")

    username: Annotated[str | None, Field(max_length=MAX_TYPED)] = None
    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: UserId | None = None


class UserOut(BaseModel):
    """A user."""

    id: int
    username: str
    role: Role
    created_at: datetime
    disabled_at: datetime | None
    last_login_at: datetime | None


class UsersOut(BaseModel):
    """A page of users; `next` is the cursor of the next page, if there is one."""

    users: list[UserOut]
    next: int | None


class LoginOut(BaseModel):
    """A token for a user, to be sent as `Authorization: Bearer …`."""

    token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - it is no secret
    expires_at: datetime
    user: UserOut


def shown(account: Account) -> UserOut:
    """Return an account as it is shown."""
    return UserOut(
        id=account.owner_id,
        username=account.username,
        role=account.role,
        created_at=account.created_at,
        disabled_at=account.disabled_at,
        last_login_at=account.last_login_at,
    )


def logged_in(account: Account, made: UserToken) -> LoginOut:
    """Return a token as its user gets it."""
    return LoginOut(token=made.token, expires_at=made.expires_at, user=shown(account))
