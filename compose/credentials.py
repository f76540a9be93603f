"""Which token a command of ours shows to the server."""

import os
from pathlib import Path

from compose.data_directory import default_path
from compose.errors import CannotStart


def find_token(token_file: Path | None, data: Path | None) -> str:
    """Return a token: the named file's, else the environment's, else the local stack's own."""
    if token_file is None and data is None:
        for name in ("SMARTSIP_TOKEN", "SMARTSIP_ADMIN_TOKEN"):
            if token := os.environ.get(name, "").strip():
                return token
    file = token_file or (data or default_path(environment=dict(os.environ))) / "admin.token"
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise CannotStart(
            f"No token: {file} cannot be read ({reason}). Start the local stack with ./smartsip up, name a file with"
            " --token-file, or set SMARTSIP_TOKEN."
        ) from error
    if not token or not token.isascii() or not token.isprintable():
        raise CannotStart(f"No token: {file} does not hold one.")
    return token
