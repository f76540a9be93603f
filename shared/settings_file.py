"""Where in a configuration file something stands: for people who must correct it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml


def place_in(file: Path, path: Sequence[str | int]) -> str | None:
    """Return the line that names a setting, as in `line 5 of config.yaml`; None if the file does not."""
    try:
        node: Any = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)  # nodes are untyped
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None
    line = None
    for name in path:
        keys: list[tuple[Any, Any]] = node.value if isinstance(node, yaml.MappingNode) else []
        found = next(((key, value) for key, value in keys if key.value == str(name)), None)
        if found is None:
            return None
        key, node = found
        line = key.start_mark.line + 1
    return None if line is None else f"line {line} of {file}"
