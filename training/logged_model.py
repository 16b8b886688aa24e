"""A fitted model as an MLflow model: our plain files, the code that reads them, a signature.

Takes the folder that `models.files.save` wrote; gives a folder that `mlflow.pyfunc` and
`mlflow.lightgbm` load without a pickle. Knows nothing about runs, versions or aliases.
"""

import ast
import shutil
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from models.contract import Contract, contract_from_json
from models.files import CONTRACT, TREES
from models.judgement import JUDGEMENT

LOADER = "models.plain"
OWN = ("features", "models")
REQUIREMENTS = ("lightgbm", "numba", "numpy", "pandas", "pyarrow", "pydantic")
"""What the code beside a model imports, and LightGBM for those who load the trees alone; pinned to
the versions of the run."""

MODEL, CODE, ARTEFACTS = "model", "code", "artefacts"
CARD = "MODEL_CARD.md"
"""The model card, which is shown with the run and stands beside the model in its version."""


def pinned() -> list[str]:
    """The requirements at the versions that are installed."""
    return [f"{name}=={version(name)}" for name in REQUIREMENTS]


def copy_code(folder: Path) -> None:
    """Copy the modules that load a model into `folder/code`, and nothing else."""
    for name, path in sorted(modules_of(LOADER).items()):
        target = folder / CODE / Path(*name.split("."))
        target = target / "__init__.py" if path.name == "__init__.py" else target.with_suffix(".py")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def modules_of(name: str) -> dict[str, Path]:
    """A module and every own module that it imports, directly or not, with their files."""
    found: dict[str, Path] = {}
    waiting = [name]
    while waiting:
        name = waiting.pop()
        spec = None if name in found or name.partition(".")[0] not in OWN else _spec(name)
        if spec is None or spec.origin is None:
            continue
        found[name] = Path(spec.origin)
        waiting.append(name.rpartition(".")[0])
        waiting += imported(found[name])
    return found


def imported(path: Path) -> list[str]:
    """The modules that a file names in its imports; `from a import b` may mean `a.b`."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def _spec(name: str) -> Any:
    try:
        return find_spec(name)
    except ModuleNotFoundError:  # a name in a module, not a module
        return None


def example(contract: Contract) -> pd.DataFrame:
    """One invented row: what is usual in each column. No customer's values leave the data."""
    usual = [np.nan if value is None else value for value in contract.usual]
    return pd.DataFrame([usual], columns=list(contract.names), dtype=np.float64)


def save_model(
    path: str, mlflow_model: Any, folder: Path, requirements: list[str], **_: object
) -> None:
    """Write the MLflow model of a kept run to `path`; called by `mlflow.models.Model.log`."""
    import lightgbm as lgb
    import mlflow.pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    contract = contract_from_json((folder / MODEL / CONTRACT).read_bytes())
    mlflow_model.add_flavor(
        "lightgbm",
        lgb_version=lgb.__version__,
        data=f"data/{MODEL}/{TREES}",
        model_class="lightgbm.basic.Booster",
    )
    mlflow.pyfunc.save_model(
        path=path,
        mlflow_model=mlflow_model,
        loader_module=LOADER,
        data_path=str(folder / MODEL),
        code_paths=[str(folder / CODE / name) for name in OWN],
        signature=ModelSignature(
            inputs=Schema([ColSpec(DataType.double, n) for n in contract.names]),
            outputs=Schema([ColSpec(DataType.double)]),
        ),
        input_example=example(contract),
        pip_requirements=requirements,
    )
    for name in (CARD, JUDGEMENT):
        told = folder / ARTEFACTS / name
        if told.exists():  # beside MLflow's own files: the digest of ours is not touched
            shutil.copyfile(told, Path(path) / name)
