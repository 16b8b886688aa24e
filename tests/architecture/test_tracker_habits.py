"""What this project never does with its tracker: telemetry, autologging, pickles."""

import ast
import subprocess
import sys
from pathlib import Path

from conftest import ROOT

FORBIDDEN = {"pickle", "cloudpickle", "joblib", "dill", "skops"}
MODULES = [p for floor in ("features", "models", "training", "serving") for p in
           sorted((ROOT / floor).rglob("*.py"))]  # fmt: skip


def test_no_module_pickles_or_logs_by_itself() -> None:
    """No module imports a pickling library or calls `autolog`."""
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert not {a.name.partition(".")[0] for a in node.names} & FORBIDDEN, path
            elif isinstance(node, ast.ImportFrom):
                assert (node.module or "").partition(".")[0] not in FORBIDDEN, path
            elif isinstance(node, ast.Attribute):
                assert "autolog" != node.attr, path


def test_connecting_turns_telemetry_and_unpickling_off(tmp_path: Path) -> None:
    """Before MLflow is imported, its telemetry and its unpickling are switched off."""
    code = """
import sys
from pathlib import Path
from models.registry import connect
assert "mlflow" not in sys.modules
connect(Path(sys.argv[1]))
from mlflow.environment_variables import MLFLOW_ALLOW_PICKLE_DESERIALIZATION
from mlflow.telemetry.utils import is_telemetry_disabled
print(is_telemetry_disabled(), MLFLOW_ALLOW_PICKLE_DESERIALIZATION.get())
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True,
        env={"PATH": "", "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}, check=False,
    )  # fmt: skip
    assert "True False\n" == done.stdout, done.stderr
