"""The benchmark of what a token costs: does it run, and does it say what it found?"""

import pytest

from benchmarks.token_cost import BYTES, READERS, SDK, main, table

WAY = "one token a read"


def test_every_way_of_reading_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["--rounds", "1", "--scale", "0.02"])
    head, *lines = capsys.readouterr().out.splitlines()

    assert (code, head.split("  ")[0]) == (0, "CPU per token in µs")
    assert [line[:19].strip() for line in lines] == list(READERS)


def test_medians_are_compared_with_the_sdk_and_the_goal() -> None:
    found = {SDK: [100.0, 90.0, 300.0], BYTES: [9.0], "openai": [31.0], "ollama": [60.0], "gemini": [20.0, 40.0]}
    head, *lines = table({(WAY, reader): costs for reader, costs in found.items()})

    assert [" ".join(line.split()) for line in (head, *lines)] == [
        "CPU per token in µs one token a read",
        "OpenAI's SDK 100.0 (90.0–300.0)",
        "bytes alone 9.0 (9.0–9.0)",
        "openai 31.0 (31.0–31.0) × 0.31 misses 30",
        "ollama 60.0 (60.0–60.0) × 0.60 meets 60",
        "gemini 30.0 (20.0–40.0) × 0.30 meets 60",
    ]
