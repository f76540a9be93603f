"""`smartsip batch`: stored photos through other models and prompts. Speaks only HTTP, to a server that is running.

Results go to standard output; words about what is done go to standard error, so that a script can take the one without
the other.
"""

from functools import partial
from typing import Annotated, Any

import typer

from compose import batch_control, batch_options, batch_promotions, batch_report, batch_show
from compose.batch_begin import begin, budget_of, device_id, variant_bodies
from compose.batch_names import find_batch
from compose.batch_options import Json, Named
from compose.batch_selection import count, plan, selection
from compose.photo_filters import filtered
from compose.server import LOCAL, Data, TokenFile, Url, find_server

app = typer.Typer(
    name="batch",
    help="Ask other models and prompts about many stored photos, watch it, and compare the answers.",
    no_args_is_help=True,
)


@app.command()
@partial(filtered, called={"model": "answered_by", "prompt": "asked_with"})
def start(
    *,
    query: dict[str, Any],
    ids: batch_options.Ids = None,
    everything: batch_options.Everything = False,
    limit: batch_options.Limit = None,
    sample: batch_options.Sample = None,
    model: batch_options.Models = None,
    prompt: batch_options.Prompts = None,
    prompt_file: batch_options.PromptFiles = None,
    profile: batch_options.Profile = None,
    variant: batch_options.Variants = None,
    temperature: batch_options.Temperature = None,
    parameter: batch_options.Parameter = None,
    name: Annotated[str | None, typer.Option(help="What you call it.")] = None,
    note: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    budget_cost: batch_options.BudgetCost = None,
    budget_tokens: batch_options.BudgetTokens = None,
    watch: Annotated[bool, typer.Option("--watch", help="Watch it to its end; Ctrl-C stops watching only.")] = False,
    json: Json = False,
    url: Url = LOCAL,
    token_file: TokenFile = None,
    data: Data = None,
) -> None:
    """Begin a batch: each selected photo is asked about with each model and each prompt, once.

    Photos are selected by what is known of them now; what comes later is not part of the batch. With --watch the exit
    code is 0 if everything succeeded, 1 if not, 130 after Ctrl-C (the batch goes on).

    Example: smartsip batch start --tag kitchen --sample 200 --model openai/gpt-4o --model ollama/llava --watch
    """
    variants = variant_bodies(
        models=model or [],
        prompts=prompt or [],
        prompt_files=prompt_file or [],
        written=variant or [],
        profile=profile,
        temperature=temperature,
        parameters=parameter or [],
    )
    selected = selection(query, ids or [], everything=everything, limit=limit, sample=sample)
    server = find_server(url, token_file, data)
    if "device" in query:
        selected["filter"]["device"] = device_id(server, query["device"])
    typer.echo(plan(selected, count(server, selected), len(variants)), err=True)
    body: dict[str, Any] = {"selection": selected, "variants": variants}  # JSON
    body |= {field: text for field, text in (("name", name), ("note", note)) if text is not None}
    budget = budget_of(budget_cost, budget_tokens)
    made = begin(server, body | ({"budget": budget} if budget else {}))
    batch_show.tell(made, is_json=json)
    if watch:
        raise typer.Exit(batch_show.watched(server, made))
    typer.echo(f"Watch it: smartsip batch watch {made['number']}", err=True)


@app.command()
def add(
    batch: Named,
    *,
    model: batch_options.Models = None,
    prompt: batch_options.Prompts = None,
    prompt_file: batch_options.PromptFiles = None,
    profile: batch_options.Profile = None,
    variant: batch_options.Variants = None,
    temperature: batch_options.Temperature = None,
    parameter: batch_options.Parameter = None,
    watch: Annotated[bool, typer.Option("--watch", help="Watch the batch to its end.")] = False,
    json: Json = False,
    url: Url = LOCAL,
    token_file: TokenFile = None,
    data: Data = None,
) -> None:
    """Ask about a batch's photos in one more way, or several; a completed batch goes on.

    Example: smartsip batch add 12 --model gemini/gemini-2.5-flash
    """
    variants = variant_bodies(
        models=model or [],
        prompts=prompt or [],
        prompt_files=prompt_file or [],
        written=variant or [],
        profile=profile,
        temperature=temperature,
        parameters=parameter or [],
    )
    server = find_server(url, token_file, data)
    found = find_batch(server, batch)
    for body in variants:
        found = server.ask("POST", f"/v2/batches/{found['id']}/variants", json=body)
        typer.echo(f"Variant {found['variants'][-1]['number']} is {found['variants'][-1]['name']}.", err=True)
    batch_show.tell(found, is_json=json)
    if watch:
        raise typer.Exit(batch_show.watched(server, found))


for command in (batch_show.list_, batch_show.show, batch_show.watch):
    app.command(command.__name__.rstrip("_"))(command)
for command in (batch_control.pause, batch_control.resume, batch_control.cancel, batch_control.retry):
    app.command()(command)
app.command()(batch_report.report)
for command in (batch_promotions.promote, batch_promotions.revert, batch_promotions.promotions):
    app.command()(command)
app.command()(batch_control.delete)
