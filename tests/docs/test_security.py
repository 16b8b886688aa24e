"""What docs/security.md promises is held by tests that exist."""

import ast
import re

import pytest
from conftest import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text()
ITEMS = {
    match[1]: match[2] for match in re.finditer(r"^\| (API\d+) [^|]+\|(.*)\|$", PAGE, re.MULTILINE)
}


def functions(path: str) -> set[str]:
    """The names of a test file's functions; none where there is no such file."""
    file = ROOT / "tests" / path
    if not file.exists():
        return set()
    return {n.name for n in ast.parse(file.read_text()).body if isinstance(n, ast.FunctionDef)}


def test_the_ten_items_are_gone_through() -> None:
    """OWASP's API Security Top 10 of 2023, each once."""
    assert [f"API{number}" for number in range(1, 11)] == list(ITEMS)


@pytest.mark.parametrize("item", ITEMS)
def test_each_item_has_a_test_or_a_reason(item: str) -> None:
    """The tests that a row names exist; a row that names none says why the item does not apply."""
    says, tests = ITEMS[item].rsplit("|", 1)
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", tests)
    assert tests.count("`") == 2 * len(named)
    assert named or "Does not apply:" in says
    assert [] == [f"{path}::{name}" for path, name in named if name not in functions(path)]


def test_every_test_that_the_page_names_exists() -> None:
    """Files named anywhere on the page are there."""
    named = set(re.findall(r"`tests/([\w/]+\.py)`", PAGE))
    assert named
    assert set() == {path for path in named if not functions(path)}
