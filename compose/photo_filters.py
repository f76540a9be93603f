"""The filters of `GET /v2/images` as options of a command."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

import typer

_Texts = list[str] | None


def _flag(name: str, said: str) -> Any:  # an annotation
    return Annotated[bool | None, typer.Option(f"--{name}/--not-{name}", help=said)]


FILTERS: Final[Mapping[str, Any]] = {  # annotations, by the query's names
    "tag": Annotated[_Texts, typer.Option(help="Has this tag; give more, and all must be there.")],
    "label": Annotated[
        _Texts, typer.Option(help="Has this label, or with this value; more: all.", metavar="NAME[:VALUE]")
    ],
    "device": Annotated[str | None, typer.Option(help="A device's id, or none.", metavar="ID|none")],
    "since": Annotated[str | None, typer.Option(help="Stored then or later.", metavar="2026-01-31T12:00:00Z")],
    "until": Annotated[str | None, typer.Option(help="Stored then or earlier.", metavar="2026-01-31T12:00:00Z")],
    "state": Annotated[str | None, typer.Option(help="pending, or ready (opened by a worker).")],
    "analysed": _flag("analysed", "A model's answer about it is known, or none is."),
    "said": Annotated[str | None, typer.Option(help="Part of what a model saw: container or contents.")],
    "receivable": _flag("receivable", "A model said that it can receive water, or cannot."),
    "child_present": _flag("child-present", "A model saw a child, or saw none."),
    "intervened": _flag("intervened", "The envelope changed an answer, or did not."),
    "unusable": _flag("unusable", "An answer was replaced by the safe one, or was not."),
    "model": Annotated[str | None, typer.Option(help="A model that answered.", metavar="PROVIDER/MODEL")],
    "prompt": Annotated[str | None, typer.Option(help="What was asked: a name, or name@version.")],
    "min_volume": Annotated[int | None, typer.Option(help="At least so much was to be poured, in ml.", min=0)],
    "max_volume": Annotated[int | None, typer.Option(help="At most so much was to be poured, in ml.", min=0)],
}


def filtered(command: Callable[..., None], called: Mapping[str, str] | None = None) -> Callable[..., None]:
    """Give a command these options, some `called` otherwise; it gets them as `query`, the parameters of a request."""
    names = {name: (called or {}).get(name, name) for name in FILTERS}
    signature = inspect.signature(command, eval_str=True)
    own = [parameter for parameter in signature.parameters.values() if parameter.name != "query"]
    options = [
        inspect.Parameter(names[name], inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in FILTERS.items()
    ]

    @functools.wraps(command)
    def with_query(*arguments: Any, **given: Any) -> None:  # what the parser made of the command line
        wanted = {name: given.pop(names[name]) for name in FILTERS}
        command(*arguments, **given, query=query_of(wanted))

    parameters = [*own, *options]
    with_query.__signature__ = signature.replace(parameters=parameters)  # pyright: ignore[reportAttributeAccessIssue]
    with_query.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return with_query


def query_of(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a request, without what was not asked for."""
    said = {name: value for name, value in wanted.items() if value not in (None, [])}
    return {name: str(value).lower() if isinstance(value, bool) else value for name, value in said.items()}
