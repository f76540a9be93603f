"""Users for tests: registered by the administrator and logged in, over HTTP."""

from dataclasses import dataclass, field

import httpx

from tests.served import Served, bearer

PASSWORD = "correct horse battery"


@dataclass(frozen=True, kw_only=True)
class User:
    """A user who is logged in."""

    id: int
    username: str
    token: str = field(repr=False)


async def new_user(api: Served, username: str = "anna", *, password: str = PASSWORD, role: str = "user") -> User:
    """Register a user and log in."""
    wanted = {"username": username, "password": password, "role": role}
    made = await api.client.post("/v2/users", json=wanted)
    assert made.status_code == 201, made.text
    return User(id=made.json()["id"], username=username, token=await token_of(api, username, password=password))


async def token_of(api: Served, username: str, *, password: str = PASSWORD) -> str:
    """Log in and return the token."""
    answer = await log_in(api, username, password)
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["token"]
    return token


async def log_in(api: Served, username: str, password: str) -> httpx.Response:
    return await api.stranger.post("/v2/users/login", json={"username": username, "password": password})


async def status_with(api: Served, token: str, path: str = "/v2/users/me") -> int:
    """What a credential gets at a path."""
    return (await api.stranger.get(path, headers=bearer(token))).status_code
