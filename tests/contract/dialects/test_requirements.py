"""Every feature of an older system is shown by a test, and every test that says it shows one means one that is known.

Read from the tests' source rather than from what was collected, so that it holds in every way of running them.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.dialects.api_server.requirements import API_SERVER
from tests.contract.dialects.lite_llm_chat.requirements import LITE_LLM_CHAT
from tests.contract.dialects.llm_backend_api.requirements import LLM_BACKEND_API
from tests.contract.dialects.llm_service_api.requirements import LLM_SERVICE_API
from tests.contract.dialects.requirement import Requirement
from tests.contract.dialects.smartsip.requirements import SMARTSIP

TESTS = Path(__file__).parents[2]
SYSTEMS: dict[str, dict[str, Requirement]] = {
    "F000": SMARTSIP,
    "F001": API_SERVER,
    "F002": LLM_BACKEND_API,
    "F003": LITE_LLM_CHAT,
    "F004": LLM_SERVICE_API,
}
LINES = {"F000": 25, "F001": 21, "F002": 37, "F003": 62, "F004": 22}
"""How many features each system's checklist has."""


def covered() -> dict[str, list[str]]:
    """Return which tests show each feature."""
    shown: dict[str, list[str]] = defaultdict(list)
    for file in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for feature in features_of(node):
                    shown[feature].append(f"{file.relative_to(TESTS)}::{node.name}")
    return shown


def features_of(test: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    for decorator in test.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.covers":
            assert test.name.startswith("test_"), f"{test.name} is no test"
            for argument in decorator.args:
                yield str(ast.literal_eval(argument))


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_feature_is_shown_by_a_test(system: str) -> None:
    shown = covered()
    missing = {name: row.feature for name, row in SYSTEMS[system].items() if not shown[name] and not row.decision}
    assert missing == {}


def test_no_test_shows_a_feature_nobody_knows() -> None:
    known = {name for requirements in SYSTEMS.values() for name in requirements}
    assert {name: tests for name, tests in covered().items() if name not in known} == {}


@pytest.mark.parametrize("system", SYSTEMS)
def test_each_manifest_is_whole(system: str) -> None:
    assert list(SYSTEMS[system]) == [f"{system}-{number:02}" for number in range(1, LINES[system] + 1)]


def test_what_is_decided_otherwise_is_shown_by_no_test() -> None:
    decided = {name for requirements in SYSTEMS.values() for name, row in requirements.items() if row.decision}
    assert {name: tests for name, tests in covered().items() if name in decided and tests} == {}
