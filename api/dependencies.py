"""What routes ask for by type: `front: FrontDep`."""

from typing import Annotated, cast

from fastapi import Depends
from starlette.requests import HTTPConnection

from api.front import Front


async def front_of(connection: HTTPConnection) -> Front:
    """Return this process' opened parts; works for requests and WebSockets."""
    return cast("Front", connection.app.state.front)  # Starlette's state is untyped; create_app puts a Front there


FrontDep = Annotated[Front, Depends(front_of)]
