"""Users: register, log in, change the password, log out everywhere; and what an administrator does with accounts."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from api.auth import Caller, caller_if_any, logged_in_user, require
from api.client_address import address_of
from api.dependencies import FrontDep
from api.front import Front
from api.routes.answers import PROBLEM, REFUSED, Documented
from api.routes.jobs import NoParameters
from api.routes.user_models import (
    MAX_ID,
    LoginIn,
    LoginOut,
    PasswordIn,
    UserChange,
    UserIn,
    UserOut,
    UsersOut,
    UsersQuery,
    logged_in,
    shown,
)
from api.scopes import USER_SCOPES, Scope
from api.services.account_views import Account, Role
from shared.domain.errors import Forbidden
from shared.domain.ids import OwnerId
from shared.domain.usernames import username_from

router = APIRouter(prefix="/v2/users", tags=["users"])
User = Annotated[Caller, Depends(logged_in_user)]
Administrator = Annotated[Caller, Depends(require(Scope.ADMIN))]
NO_STORE: Final = "no-store"
_PUBLIC: Final[dict[str, Any]] = {"security": []}  # an OpenAPI fragment
_THROTTLED: Final[Documented] = {429: PROBLEM | {"description": "Too many logins failed: `Retry-After` says how long"}}
_WRONG: Final[Documented] = {401: PROBLEM | {"description": "The username or the password is wrong"}}
_ABSENT: Final[Documented] = {404: PROBLEM | {"description": "No such user"}}
_TAKEN: Final[Documented] = {409: PROBLEM | {"description": "There is an owner of this name"}}
_CLOSED: Final[Documented] = {403: PROBLEM | {"description": "Only administrators make accounts here"}}


@router.post(
    "", status_code=201, responses=REFUSED | _TAKEN | _CLOSED, openapi_extra=_PUBLIC, summary="Register a user"
)
async def register_user(
    wanted: UserIn, query: NoParameters, front: FrontDep, caller: Annotated[Caller | None, Depends(caller_if_any)]
) -> UserOut:
    """Make an account. Needs no credential where registration is open, and an administrator's where it is closed."""
    is_admin = caller is not None and caller.is_admin
    if wanted.role is not Role.USER and not is_admin:
        raise Forbidden("Only an administrator makes administrators.", field="role")
    password = wanted.password.get_secret_value()
    return shown(await front.accounts.register(wanted.username, password, role=wanted.role, is_by_admin=is_admin))


@router.post("/login", responses=REFUSED | _WRONG | _THROTTLED, openapi_extra=_PUBLIC, summary="Log in")
async def log_in(
    wanted: LoginIn, query: NoParameters, request: Request, response: Response, front: FrontDep
) -> LoginOut:
    """Return a token for a user. Unknown name, wrong password and disabled account get the same answer."""
    account = await front.accounts.login(
        wanted.username, wanted.password.get_secret_value(), address=_address(front, request)
    )
    return _with_token(front, account, response)


@router.get("/me", summary="Who is logged in")
async def get_own_account(query: NoParameters, user: User) -> UserOut:
    """Return the calling user."""
    return shown(_account_of(user))


@router.put("/me/password", responses=REFUSED | _THROTTLED, summary="Change the own password")
async def change_own_password(
    wanted: PasswordIn, query: NoParameters, request: Request, response: Response, front: FrontDep, user: User
) -> LoginOut:
    """Change the password and end every token of the user; the answer has a new one."""
    account = await front.accounts.change_password(
        _account_of(user),
        old=wanted.old_password.get_secret_value(),
        new=wanted.new_password.get_secret_value(),
        address=_address(front, request),
    )
    return _with_token(front, account, response)


@router.post("/me/logout", status_code=204, summary="Log out everywhere")
async def log_out(query: NoParameters, front: FrontDep, user: User) -> None:
    """End every token of the user: at once in this process, within seconds (`key_cache`) in others. API keys stay."""
    await front.accounts.log_out_everywhere(user.owner_id)


@router.get("", responses=REFUSED, summary="List users")
async def list_users(query: Annotated[UsersQuery, Query()], front: FrontDep, caller: Administrator) -> UsersOut:
    """Return users, newest first. For administrators."""
    username = None if query.username is None else username_from(query.username)
    page = await front.accounts.page(username=username, after=query.cursor, limit=query.limit + 1)
    listed = page[: query.limit]
    following = listed[-1].owner_id if len(page) > len(listed) else None
    return UsersOut(users=[shown(account) for account in listed], next=following)


@router.patch("/{user_id}", responses=REFUSED | _ABSENT, summary="Change a user")
async def change_user(
    user_id: Annotated[int, Path(ge=1, le=MAX_ID)],
    wanted: UserChange,
    query: NoParameters,
    front: FrontDep,
    caller: Administrator,
) -> UserOut:
    """Change a user's role or password, disable or enable them; ends their tokens. For administrators.

    A disabled user cannot log in, and their API keys are not good; their devices and jobs go on. Who is no longer an
    administrator loses the API keys that are good for more than users may do.
    """
    given = wanted.model_fields_set
    account = await front.accounts.change(
        OwnerId(user_id),
        role=wanted.role if "role" in given else None,
        disabled=wanted.disabled if "disabled" in given else None,
        password=wanted.password.get_secret_value() if "password" in given else None,
    )
    if "role" in given and account.role is not Role.ADMIN:
        await front.keys.restrict(account.owner_id, USER_SCOPES)
    front.keys.forget(account.owner_id)
    return shown(account)


def _with_token(front: Front, account: Account, response: Response) -> LoginOut:
    response.headers["Cache-Control"] = NO_STORE
    return logged_in(account, front.accounts.token_for(account, lifetime=front.settings.clocks.user_token))


def _address(front: Front, request: Request) -> str:
    return address_of(request, proxies=front.settings.trusted_proxies)


def _account_of(user: Caller) -> Account:
    assert user.account is not None, "logged_in_user lets nobody else in"
    return user.account
