"""What the README says is so."""

import ast
import json
import re
import subprocess
import tomllib

import httpx
import pytest
from conftest import ROOT, Service

from features.config import Business

README = (ROOT / "README.md").read_text()
FLOORS = ("features", "models", "training", "serving")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", README, re.DOTALL)


def test_the_readme_is_readable_in_one_sitting() -> None:
    """It has between 100 and 180 lines."""
    assert 100 <= len(README.splitlines()) <= 180


def test_the_tree_is_the_tree() -> None:
    """Every module of every floor stands in the README's tree, and nothing else does."""
    tree = next(block for block in blocks("text") if "features/" in block)
    floor, listed = "", set()
    for line in tree.splitlines():
        if not line.startswith(" "):
            floor = line.split()[0]
        for name in line.split() if line.startswith(" ") else ():
            if name.endswith(".py"):
                found = {str(path.relative_to(ROOT)) for path in (ROOT / floor).glob(name)}
                assert found, f"{floor}{name} stands in the tree, but there is no such module"
                listed |= found
    own = {
        str(path.relative_to(ROOT))
        for name in FLOORS
        for path in (ROOT / name).glob("*.py")
        if not path.name.startswith("__")
    }
    assert own == listed


def test_every_make_target_that_is_named_exists() -> None:
    """`make X` in the README is a target, and `make` alone explains every target it lists."""
    shown = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = set(re.findall(r"make ([a-z-]+)", shown))
    assert set(re.findall(r"make ([a-z]+[a-z-]*)\b", "\n".join(blocks("console")))) <= targets
    assert {"demo", "test", "train", "serve", "check"} <= targets


def test_the_journey_toml_of_the_readme_is_valid() -> None:
    """The example that people copy is accepted as it stands."""
    business = Business(**tomllib.loads(blocks("toml")[0]))
    assert ["churn", "mine"] == list(business.problems)
    for alternative in (
        '{ event = "cancelled" }',
        '{ not = "renewed", by = "renews_at" }',
        'before = { property = "renews_at", lead = ["90d", "30d"] }',
        'at = { event = "campaign_received" }',
    ):
        assert alternative in README


def test_the_score_of_the_readme_is_the_score(grocery_service: Service) -> None:
    """The `curl` line of the README gets the probability and the reasons that it shows."""
    body = re.search(r"-d '(\{.*?\})'", README)
    assert body is not None
    answer = httpx.post(
        f"{grocery_service.address}/v1/scores", json=json.loads(body[1]), timeout=60,
        headers=grocery_service.headers,
    ).json()  # fmt: skip
    shown = re.search(r'"probability": ([0-9.]+)', README)
    assert shown is not None
    assert float(shown[1]) == pytest.approx(answer["probability"], abs=1e-3)
    for reason in answer["reasons"][:3]:
        assert f"{reason['points']:+6.1f}  {reason['statement']}" in README


@pytest.mark.parametrize("floor", FLOORS)
def test_public_things_are_documented(floor: str) -> None:
    """Nine in ten public functions and classes of a floor have a docstring."""
    total, silent = 0, []
    for path in (ROOT / floor).glob("*.py"):
        for node in ast.parse(path.read_text()).body:
            public = isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name[0] != "_"
            total += public
            if public and not ast.get_docstring(node):
                silent.append(f"{path.name}: {node.name}")
    assert len(silent) <= 0.1 * total, silent
