"""Where this checkout is, and what it needs to run at all."""

from pathlib import Path
from typing import Final

CHECKOUT: Final = Path(__file__).resolve().parent.parent
OLDEST_PYTHON: Final = (3, 11)
