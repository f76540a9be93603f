"""The `smartsip` command. Each command's code is imported when it runs, so that `--help` is quick."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from compose import batches, device, import_history, keys, photos, quotas, users
from compose.analyze import analyze
from compose.checkout import CHECKOUT, OLDEST_PYTHON
from compose.errors import CannotStart

app = typer.Typer(
    name="smartsip",
    help="A self-hosted backend between devices or apps and LLM providers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.command()(analyze)
app.add_typer(keys.app)
app.add_typer(users.app)
app.add_typer(quotas.app)
app.command()(quotas.usage)
app.add_typer(device.app)
app.add_typer(batches.app)
app.add_typer(photos.app)
app.add_typer(import_history.app)

WHOLE_SUITE: Final = (
    # Four on two cores, because many tests wait more than they compute; in the order of tests/conftest.py.
    ["--numprocesses=4", "--dist=loadfile", "--no-loadscope-reorder", "-m", "not alone"],
    ["-m", "alone", "tests/e2e"],  # where all of these are: collecting everything takes ten seconds
)
PYTEST_INTERRUPTED: Final = 2

Data = Annotated[
    Path | None,
    typer.Option(help="Directory of the local stack's data (default: /var/lib/smartsip or ~/.local/share/smartsip)."),
]
Config = Annotated[Path | None, typer.Option(help="A config.yaml to read settings from.", metavar="FILE")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log everything, as SMARTSIP_LOG_LEVEL=debug does.")]


@app.command()
def up(
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on (default 127.0.0.1).")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on (default 8888).", min=0, max=65535)] = None,
    data: Data = None,
    api: Annotated[int, typer.Option(help="How many api processes share the port.", min=1, max=64)] = 1,
    workers: Annotated[int, typer.Option(help="General workers, beside the one for devices.", min=1, max=64)] = 1,
    concurrency: Annotated[
        int | None, typer.Option(help="Jobs each worker runs at a time (default 200).", min=1, max=10_000)
    ] = None,
    verbose: Verbose = False,
    config: Config = None,
) -> None:
    """Start the whole system on this machine: servers, api and workers. Ctrl-C stops everything.

    Example: smartsip up --port 8000 --workers 2
    """
    from compose.up import Options, run_up

    use_config(config)
    be_verbose(wanted=verbose)
    run_up(Options(host=host, port=port, data=data, api=api, workers=workers, concurrency=concurrency))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def test(context: typer.Context) -> None:
    """Run the tests, on real servers of their own; everything after it goes to pytest.

    Without anything after it the whole suite runs: in four processes first, then what needs the machine for itself.
    Two servers that only tests need are installed before that, once; where it fails, their tests say so.

    Example: smartsip test tests/unit -k settings
    """
    code = 0
    if not context.args:
        subprocess.call([sys.executable, "-m", "tests.peers.install"], cwd=CHECKOUT)
    for arguments in [context.args] if context.args else WHOLE_SUITE:
        code = max(code, subprocess.call([sys.executable, "-m", "pytest", *arguments], cwd=CHECKOUT))
        if code == PYTEST_INTERRUPTED:
            break
    raise typer.Exit(code)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def bench(context: typer.Context) -> None:
    """Measure a system of its own on this machine, beside the provider called directly; --help tells the options.

    Example: smartsip bench --case ttft-1 --rounds 3
    """
    command = [sys.executable, "-P", "-m", "benchmarks", *context.args]
    raise typer.Exit(subprocess.call(command, cwd=CHECKOUT, env={**os.environ, "PYTHONPATH": str(CHECKOUT)}))


@app.command(hidden=True, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run(context: typer.Context, program: str) -> None:
    """Run a program of the environment in the checkout, as .ci/run does.

    Example: smartsip run ruff check
    """
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    environment = {**os.environ, "PATH": path}
    found = shutil.which(program, path=path)
    if found is None:
        raise CannotStart(f"There is no program {program} in the environment.")
    raise typer.Exit(subprocess.call([found, *context.args], cwd=CHECKOUT, env=environment))


@app.command()
def api(
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on (default 127.0.0.1).")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on (default 8888).", min=0, max=65535)] = None,
    verbose: Verbose = False,
    config: Config = None,
) -> None:
    """Run one api process against the services that REDIS_URL, DATABASE_URL and MINIO_* name.

    Example: smartsip api --host 0.0.0.0 --port 8888
    """
    from compose.api_main import serve
    from compose.listener import listen
    from shared.settings import load_settings

    use_config(config)
    be_verbose(wanted=verbose)
    settings = load_settings()
    serve(settings, listen(host or settings.host, settings.port if port is None else port))


@app.command()
def worker(
    *,
    queues: Annotated[str, typer.Option(help="Queues to serve, separated by commas.")] = "device,chat,batch,media",
    concurrency: Annotated[
        int | None, typer.Option(help="Jobs to run at a time (default 200).", min=1, max=10_000)
    ] = None,
    verbose: Verbose = False,
    config: Config = None,
) -> None:
    """Run one worker process against the services that REDIS_URL, DATABASE_URL and MINIO_* name.

    Example: smartsip worker --queues chat,batch --concurrency 500
    """
    from compose.worker_main import work

    use_config(config)
    be_verbose(wanted=verbose)
    raise typer.Exit(work(queues, slots=concurrency))


@app.command()
def migrate(*, config: Config = None) -> None:
    """Bring the database that DATABASE_URL names to the newest schema, and make the bucket. Safe to repeat.

    Example: DATABASE_URL=postgresql://app:secret@db/smartsip smartsip migrate
    """
    from compose.migrate import run_migrate

    use_config(config)
    run_migrate()


@app.command()
def doctor(*, data: Data = None, config: Config = None) -> None:
    """Check everything the system needs, a line each; exit code 1 if anything is wrong.

    Examines what REDIS_URL, DATABASE_URL and MINIO_* name, or else the running local stack.
    """
    from compose.doctor import run_doctor

    use_config(config)
    raise typer.Exit(run_doctor(data))


def use_config(file: Path | None) -> None:
    """Make a file the configuration of this process and its children."""
    if file is None:
        return
    if not file.is_file():
        raise CannotStart(f"The configuration file {file} does not exist.")
    os.environ["SMARTSIP_CONFIG"] = str(file.resolve())


def be_verbose(*, wanted: bool) -> None:
    """Let this process and its children log everything."""
    if wanted:
        os.environ["SMARTSIP_LOG_LEVEL"] = "debug"


def main() -> None:
    """Run the command line; a failure is one clear sentence and exit code 1."""
    if sys.version_info < OLDEST_PYTHON:
        _fail(f"SmartSip needs Python 3.11 or later; this is {sys.version.split()[0]}.")
    try:
        app(prog_name="smartsip")
    except CannotStart as error:
        _fail(str(error))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _fail(f"The disk is full{f' ({error.filename})' if error.filename else ''}: make room, then start again.")
    except Exception as error:
        if not _is_settings_error(error):
            raise
        _fail(str(error))


def _is_settings_error(error: Exception) -> bool:
    settings = sys.modules.get("shared.settings")  # not imported just to ask
    return settings is not None and isinstance(error, settings.SettingsError)


def _fail(sentence: str) -> None:
    print(sentence, file=sys.stderr)
    raise SystemExit(1)


if __name__ == "__main__":
    main()
