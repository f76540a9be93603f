"""The front starts quickly and holds little because it loads no provider's SDK and no image library."""

import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
LOAD = "import sys, compose.api_main, api.app; print(*sorted({name.partition('.')[0] for name in sys.modules}))"


def test_the_front_loads_no_provider_sdk_and_no_image_library() -> None:
    ran = subprocess.run([sys.executable, "-c", LOAD], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    loaded = set(ran.stdout.split())
    assert "fastapi" in loaded
    assert not loaded & {"openai", "ollama", "aiohttp", "httpx", "PIL", "workers"}
