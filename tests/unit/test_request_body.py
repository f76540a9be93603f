"""Requests as bytes: large ones are made away from the loop."""

import json
import threading

import pytest

from workers.providers.base import Prompt, PromptImage, PromptMessage
from workers.providers.request_body import ASIDE_BYTES, quoted_base64, request_body


@pytest.mark.parametrize(("size", "is_aside"), [(ASIDE_BYTES - 1, False), (ASIDE_BYTES, True)])
async def test_a_large_request_is_made_in_a_thread(size: int, is_aside: bool) -> None:
    made_in: list[int] = []

    def to_wire() -> dict[str, object]:
        made_in.append(threading.get_ident())
        return {"image": quoted_base64(b"\x00\x01\x02", before="data:image/png;base64,")}

    prompt = Prompt("m", (PromptMessage("user", (PromptImage(bytes(size), "image/png"),)),))
    assert json.loads(await request_body(prompt, to_wire)) == {"image": "data:image/png;base64,AAEC"}
    assert (made_in != [threading.get_ident()]) is is_aside
