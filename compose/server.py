"""Asking a running server over HTTP: one request, its JSON, or one sentence that says why there is none."""

from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from compose.credentials import find_token
from compose.errors import CannotStart

if TYPE_CHECKING:
    import httpx

TIMEOUT_S: Final = 10.0
PAGE: Final = 100
LOCAL: Final = "http://127.0.0.1:8888"

Url = Annotated[str, typer.Option(help="Where the server is.")]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        help="File with a token (default: SMARTSIP_TOKEN or SMARTSIP_ADMIN_TOKEN, else the local stack's).",
        metavar="FILE",
    ),
]
Data = Annotated[
    Path | None, typer.Option(help="Data directory of the local stack, where its token is.", metavar="DIRECTORY")
]


class Refused(CannotStart):
    """The server said no; `status` is HTTP's."""

    def __init__(self, sentence: str, *, status: int) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True)
class Server:
    """A SmartSip server: where it is and what lets us in."""

    url: str
    token: str = field(repr=False)

    def ask(self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **parts: Any) -> Any:
        """Send one request and return the JSON of its answer, None if it has none; `parts` are httpx's arguments.

        Raises:
            Refused: if the server refuses; says so in the server's words.
            CannotStart: if there is no server.
        """
        import httpx

        try:
            with self._client() as client:
                answer = client.request(method, path, headers=headers, **parts)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise self._away(error) from error
        if not answer.is_success:
            raise Refused(complaint(answer), status=answer.status_code)
        try:
            return answer.json() if answer.content else None
        except ValueError as error:
            raise CannotStart(_stranger(answer.status_code)) from error

    @contextmanager
    def streamed(self, path: str, *, silence_s: float, **parts: Any) -> "Generator[httpx.Response]":
        """Open an answer that is read as it comes; it breaks (httpx.TransportError) after `silence_s` without a byte.

        Raises:
            Refused: if the server refuses; says so in the server's words.
            CannotStart: if there is no server.
        """
        import httpx

        with self._client() as client:
            request = client.build_request("GET", path, timeout=httpx.Timeout(TIMEOUT_S, read=silence_s), **parts)
            try:
                answer = client.send(request, stream=True)
                if not answer.is_success:
                    answer.read()
                    raise Refused(complaint(answer), status=answer.status_code)
            except (httpx.TransportError, httpx.InvalidURL) as error:
                raise self._away(error) from error
            with closing(answer):
                yield answer

    def pages(self, path: str, name: str, query: dict[str, Any]) -> Iterator[dict[str, Any]]:  # JSON
        """Yield every document of a list, page after page."""
        query = {"limit": PAGE} | query
        while True:
            page = self.ask("GET", path, params=query)
            yield from page[name]
            if page["next"] is None:
                return
            query["cursor"] = page["next"]

    def _client(self) -> "httpx.Client":
        import httpx

        # The proxies of the environment are for providers in the cloud and would keep us from our own machine.
        return httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {self.token}"}, timeout=TIMEOUT_S, trust_env=False
        )

    def _away(self, error: Exception) -> CannotStart:
        return CannotStart(f"No server answers at {self.url} ({type(error).__name__}): start it with ./smartsip up.")


def find_server(url: str, token_file: Path | None, data: Path | None) -> Server:
    """Return the server that a command's options name.

    Raises:
        CannotStart: if there is no token for it, or the URL is none.
    """
    if not url.startswith(("http://", "https://")):
        raise typer.BadParameter("must begin with http:// or https://", param_hint="--url")
    return Server(url.rstrip("/"), find_token(token_file, data))


def complaint(answer: Any) -> str:  # httpx.Response, whose import is put off
    """Say what a server refused, in its own words (RFC 9457) where it has any."""
    try:
        problem = answer.json()
        said, field = problem.get("detail") or problem["title"], problem.get("field")
        named = f" ({field})" if field and field not in said else ""
        return f"The server refused ({answer.status_code}): {said}{named}"
    except (ValueError, KeyError, AttributeError):
        return _stranger(answer.status_code)


def _stranger(status: int) -> str:
    return f"The server at this address is not SmartSip, or is not well: it answered {status}."
