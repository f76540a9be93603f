"""What `smartsip up` prints: a progress line while it starts, then one screen. Plain lines when it is no terminal."""

from pathlib import Path
from typing import Final, TextIO

from shared.settings import Settings

CLEAR_LINE: Final = "\r\x1b[2K"
FIRST_PHOTO: Final = "First photo"


class Screen:
    """One terminal, or one pipe."""

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._is_terminal = output.isatty()

    def progress(self, what: str) -> None:
        """Say what is being done; on a terminal each line takes the place of the one before."""
        self._write(f"{CLEAR_LINE}{what} …" if self._is_terminal else f"{what} …\n")

    def say(self, sentence: str) -> None:
        """Print a sentence."""
        self._write(f"{CLEAR_LINE if self._is_terminal else ''}{sentence}\n")

    def show(self, settings: Settings, *, data: Path, port: int, seconds: float) -> None:
        """Print where everything is and how to send a first photo."""
        rows = rows_of(settings, data=data, port=port, with_token=self._is_terminal)
        if not self._is_terminal:
            self._write("".join(f"{name}: {text}\n" for name, text in rows))
            self._write(f"SmartSip is ready ({seconds:.1f} s). Ctrl-C stops everything.\n")
            return
        from rich.console import Console  # only where there is someone to see it
        from rich.panel import Panel
        from rich.table import Table
        from rich.text import Text

        self._write(CLEAR_LINE)
        table = Table.grid(padding=(0, 2))
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for name, text in rows:
            if name != FIRST_PHOTO:
                table.add_row(name, Text(text))
        console = Console(file=self._output, highlight=False)
        title = f"SmartSip is ready ({seconds:.1f} s)"
        console.print(Panel(table, title=title, subtitle="Ctrl-C stops everything", expand=False))
        console.print(Text("Send a first photo:", style="bold"))
        self._write(f"  {dict(rows)[FIRST_PHOTO]}\n")  # outside the frame and unwrapped, to be copied

    def _write(self, text: str) -> None:
        self._output.write(text)
        self._output.flush()


def rows_of(settings: Settings, *, data: Path, port: int, with_token: bool) -> list[tuple[str, str]]:
    """Return what there is to say, name and text; the token itself only where asked for."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)  # noqa: S104 - shown, not bound
    url = f"http://{host}:{port}"
    token_file = data / "admin.token"
    firmware = {
        "open": f"set MINIO_URL and SERVICE_ADDRESS to {url} (this machine only, no token)",
        "token": f"set MINIO_URL and SERVICE_ADDRESS to {url}/d/<device token>",
        "off": "off (SMARTSIP_FIRMWARE_ACCESS)",
    }[settings.firmware_access]
    if token_file.exists():
        source, shown = f"$(cat {token_file})", str(token_file)
        if with_token:
            shown += f" ({settings.admin_token.get_secret_value()})"
    else:
        source, shown = "$SMARTSIP_ADMIN_TOKEN", "as SMARTSIP_ADMIN_TOKEN says"
    return [
        ("URL", url),
        ("Docs", f"{url}/docs"),
        ("Firmware", firmware),
        ("Providers", ", ".join(settings.configured_providers) + f" (default model {settings.default_model})"),
        ("Administrator's token", shown),
        ("Data", str(data)),
        (
            FIRST_PHOTO,
            f'curl -H "Authorization: Bearer {source}" -H "Prefer: wait=20"'
            f' --data-binary @photo.jpg "{url}/v2/jobs?kind=vision"',
        ),
    ]
