"""The floors: what imports what, and what every module says of itself."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

FLOORS = ("features", "models", "training", "serving")
MODULES = sorted(path for floor in FLOORS for path in (ROOT / floor).rglob("*.py"))


def loaded_by(module: str) -> set[str]:
    """Top-level packages that are loaded after an import, in a fresh process."""
    code = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_the_feature_engine_is_light() -> None:
    """The floor of features loads no learning, tracking, explaining or web library."""
    heavy = {"sklearn", "lightgbm", "mlflow", "shap", "fastapi", "pandas", "matplotlib"}
    assert set() == loaded_by("features.engine, features.catalogue, features.cutoffs") & heavy


def test_serving_starts_without_the_heavy_libraries() -> None:
    """Importing the service loads nothing that fits, tracks, explains or draws, and no pandas."""
    heavy = {"sklearn", "lightgbm", "mlflow", "shap", "pandas", "matplotlib"}
    assert set() == loaded_by("serving.app") & heavy


def test_importing_changes_nothing(tmp_path: Path) -> None:
    """No module makes a file or folder when it is imported."""
    # Migrations are scripts that Alembic runs, over a connection that it is handed.
    modules = [path for path in MODULES if "migrations" not in path.parts[:-1]]
    names = [".".join(p.relative_to(ROOT).with_suffix("").parts) for p in modules]
    code = "; ".join(f"import {n}" for n in names if not n.endswith(("__main__", "__init__")))
    subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(tmp_path / "home")},
        check=True,
    )  # fmt: skip
    assert [] == [path.name for path in tmp_path.iterdir() if path.name != "home"]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_says_what_it_is(path: Path) -> None:
    """Every module that holds code begins with a docstring."""
    tree = ast.parse(path.read_text())
    assert not tree.body or ast.get_docstring(tree), f"{path} has no docstring"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_functions_are_small(path: Path) -> None:
    """No function is longer than 80 lines, its docstring included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= 80, f"{path.name}: {node.name} has {length} lines"
