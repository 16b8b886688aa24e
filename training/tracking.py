"""What a training run leaves in MLflow: parameters, metrics, data, plots and the model.

Takes a finished run; logs it, registers the model and points the aliases. Knows nothing
about how the numbers came about.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from features.errors import RegistryError
from models.files import BESIDE
from models.fitted import FittedModel
from models.registry import connect, model_name, point_aliases, register, tracking_uri

REQUIREMENTS = ("lightgbm", "numpy", "pandas", "scikit-learn")
"""What MLflow needs to load the trees again, pinned to the versions of the run."""


@dataclass(frozen=True)
class Logged:
    """Where a run can be found."""

    run_id: str
    version: str
    aliases: list[str]


def log_run(
    workspace: Path,
    model: FittedModel,
    folder: Path,
    digest: str,
    parameters: Mapping[str, Any],
    metrics: Mapping[str, float],
    manifest: Mapping[str, Any],
) -> Logged:
    """Log a run and register its model.

    Parameters
    ----------
    folder
        Holds `model/` as `models.files.save` wrote it, and `plots/`.
    manifest
        Where the rows came from; logged as `data.json`, its digest as a tag.

    Raises
    ------
    RegistryError
        When the tracking store refuses; the model's files stay in `folder`.
    """
    client = connect(workspace)
    import mlflow
    from mlflow.exceptions import MlflowException

    name = model_name(model.contract.business, model.contract.problem_name)
    (folder / "data.json").write_text(json.dumps(manifest, indent=1, sort_keys=True))
    try:
        _open_experiment(workspace, name)
        title = f"{model.contract.problem_name}, history to {manifest['history_end'][:10]}"
        with mlflow.start_run(run_name=title) as run:
            mlflow.log_params(dict(parameters))
            mlflow.log_metrics(dict(metrics))
            mlflow.set_tags({"milepost.problem": model.contract.problem_name,
                             "milepost.data_digest": str(manifest["digest"])})  # fmt: skip
            mlflow.log_artifact(str(folder / "data.json"))
            mlflow.log_artifacts(str(folder / "plots"), "plots")
            uri = _log_model(model, folder / "model")
        number = register(client, name, uri, run.info.run_id, digest)
        return Logged(run.info.run_id, number, point_aliases(client, name, number))
    except (MlflowException, OSError) as error:
        raise RegistryError(
            f"The run could not be logged to {tracking_uri(workspace)}: {error}. "
            f"The model itself is kept in {folder / 'model'}."
        ) from error


def _open_experiment(workspace: Path, name: str) -> None:
    """Make the experiment current; its files lie in the workspace when its database does."""
    import mlflow

    if mlflow.get_experiment_by_name(name) is None:
        local = tracking_uri(workspace).startswith("sqlite:")
        place = (workspace.resolve() / "artifacts" / name).as_uri() if local else None
        # The kind makes MLflow open on metrics and models instead of on traces of agents.
        kind = {"mlflow.experimentKind": "custom_model_development"}
        mlflow.create_experiment(name, artifact_location=place, tags=kind)
    mlflow.set_experiment(name)


def _log_model(model: FittedModel, folder: Path) -> str:
    """Log the trees as LightGBM text with the contract beside them; give the model's URI."""
    import mlflow
    import mlflow.lightgbm
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    signature = ModelSignature(
        inputs=Schema([ColSpec(DataType.double, name) for name in model.contract.names]),
        outputs=Schema([ColSpec(DataType.double)]),
    )
    info = mlflow.lightgbm.log_model(
        model.booster,
        name="model",
        signature=signature,
        pip_requirements=[f"{name}=={version(name)}" for name in REQUIREMENTS],
        extra_files=[str(folder / file) for file in BESIDE],
    )
    if info.signature is None:
        raise RegistryError(
            "MLflow stored the model without its signature; nothing was registered."
        )
    return str(info.model_uri)
