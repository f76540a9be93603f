"""`smartsip batch promote`, `revert` and `promotions`: a variant becomes a profile's default if it passes bars."""

import json as json_text
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from compose.batch_names import find_batch, find_variant
from compose.batch_options import Json, Named
from compose.server import LOCAL, Data, TokenFile, Url, find_server

PROMOTE_TIMEOUT_S = 300.0  # the server reads every answer of the batch


def promote(
    batch: Named,
    *,
    variant: Annotated[str, typer.Option(help="Which one: its number or its name.")],
    profile: Annotated[str, typer.Option(help="Your profile that is to ask like this.")],
    min_accuracy: Annotated[
        float | None, typer.Option(help="Share of labelled photos it is right about.", min=0, max=1)
    ] = None,
    min_accuracy_low: Annotated[
        float | None, typer.Option(help="The lower end of that share's 95 % interval.", min=0, max=1)
    ] = None,
    min_labelled: Annotated[int | None, typer.Option(help="How many photos must be labelled.", min=1)] = None,
    max_asked_violations: Annotated[
        int | None, typer.Option(help="Photos on which what the model wanted would do harm.", min=0)
    ] = None,
    max_executed_violations: Annotated[
        int | None, typer.Option(help="Photos on which harm is left after the envelope.", min=0)
    ] = None,
    max_failures: Annotated[float | None, typer.Option(help="Share of photos without an answer.", min=0, max=1)] = None,
    max_unusable: Annotated[
        float | None, typer.Option(help="Share of answers that were replaced by the safe one.", min=0, max=1)
    ] = None,
    max_latency_p95_ms: Annotated[float | None, typer.Option(help="Of twenty answers, the slowest but one.")] = None,
    max_cost_per_photo: Annotated[float | None, typer.Option(help="What an answer costs on average.", min=0)] = None,
    json: Json = False,
    url: Url = LOCAL,
    token_file: TokenFile = None,
    data: Data = None,
) -> None:
    """Make a variant's model and prompt a profile's default, only if it passes every bar that is given.

    It is recorded either way, and can be reverted. Exit code 0 if it passed, 1 if it did not (nothing is changed).

    Example: smartsip batch promote 12 --variant 1 --profile kitchen --min-accuracy-low 0.8 --max-executed-violations 0
    """
    bars = {
        "min_accuracy": min_accuracy,
        "min_accuracy_low": min_accuracy_low,
        "min_labelled": min_labelled,
        "max_asked_violations": max_asked_violations,
        "max_executed_violations": max_executed_violations,
        "max_failures": max_failures,
        "max_unusable": max_unusable,
        "max_latency_p95_ms": max_latency_p95_ms,
        "max_cost_per_photo": max_cost_per_photo,
    }
    wanted = {name: bar for name, bar in bars.items() if bar is not None}
    if not wanted:
        raise typer.BadParameter("give a bar it must pass, as in --min-accuracy 0.9")
    server = find_server(url, token_file, data)
    found = find_batch(server, batch)
    body = {"variant": find_variant(found, variant), "profile": profile, "bars": wanted}
    path = f"/v2/batches/{found['id']}/promotions"
    made = server.ask("POST", path, json=body, timeout=PROMOTE_TIMEOUT_S)
    _tell(made, is_json=json, has_results=True)
    raise typer.Exit(0 if made["passed"] else 1)


def revert(
    promotion: Annotated[str, typer.Argument(help="The promotion's id.", metavar="PROMOTION")],
    *,
    json: Json = False,
    url: Url = LOCAL,
    token_file: TokenFile = None,
    data: Data = None,
) -> None:
    """Take a promotion back: the profile asks as it did before.

    Example: smartsip batch revert 019a5c3e-7b1f-7c55-b0f1-2f4c1d9a8e10
    """
    server = find_server(url, token_file, data)
    reverted = server.ask("POST", f"/v2/promotions/{_id(promotion)}/revert")
    _tell(reverted, is_json=json, has_results=False)


def promotions(
    *,
    profile: Annotated[str | None, typer.Option(help="Only of this profile.")] = None,
    json: Json = False,
    url: Url = LOCAL,
    token_file: TokenFile = None,
    data: Data = None,
) -> None:
    """List promotions, newest first, those that did not pass too.

    Example: smartsip batch promotions --profile kitchen
    """
    query = {"profile": profile} if profile else {}
    found = list(find_server(url, token_file, data).pages("/v2/promotions", "promotions", query))
    if json:
        typer.echo(json_text.dumps(found, ensure_ascii=False, indent=2))
        return
    if not found:
        typer.echo("There are no promotions: smartsip batch promote makes one.", err=True)
        return
    from compose.batch_promotion_view import promotions_table
    from compose.batch_view import print_out

    print_out(promotions_table(found, now=datetime.now(UTC)))


def _tell(promotion: dict[str, Any], *, is_json: bool, has_results: bool) -> None:  # JSON
    if is_json:
        typer.echo(json_text.dumps(promotion, ensure_ascii=False, indent=2))
        return
    from compose.batch_promotion_view import results_table, verdict
    from compose.batch_view import print_out

    print_out(*([results_table(promotion)] if has_results else []), verdict(promotion))


def _id(text: str) -> str:
    from uuid import UUID

    try:
        return str(UUID(text))
    except ValueError:
        raise typer.BadParameter("give a promotion's id: smartsip batch promotions shows them") from None
