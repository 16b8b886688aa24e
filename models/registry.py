"""The registry: MLflow, by default on SQLite inside the workspace.

Takes a workspace; registers, promotes and loads models by alias. The only module besides
`training.tracking` that knows MLflow, and neither imports it before it is needed.
"""

import logging
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from features.config import slug
from features.errors import RegistryError
from models.files import load
from models.fitted import FittedModel

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION, CHALLENGER = "champion", "challenger"
TRACKING_URI = "MLFLOW_TRACKING_URI"
DIGEST_TAG = "milepost.digest"

SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
"""Set before MLflow is imported, unless the environment says otherwise: no telemetry, no
pickle, and a tracking server that is down is an error in seconds instead of minutes."""


@dataclass(frozen=True)
class Registered:
    """A loaded model and the version it is registered as."""

    model: FittedModel
    name: str
    version: str


def tracking_uri(workspace: Path) -> str:
    """`MLFLOW_TRACKING_URI`, or SQLite in the workspace."""
    given = os.environ.get(TRACKING_URI)
    return given or f"sqlite:///{workspace.resolve() / 'mlflow.db'}"


def connect(workspace: Path) -> "MlflowClient":
    """An MLflow client for the workspace.

    Raises
    ------
    RegistryError
        When the tracking store can't be opened.
    """
    for key, value in SETTINGS.items():
        os.environ.setdefault(key, value)
    try:
        workspace.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RegistryError(f"The workspace {workspace} can't be used ({error}).") from error
    import mlflow
    from mlflow.exceptions import MlflowException

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    uri = tracking_uri(workspace)
    given = os.environ.get(TRACKING_URI)
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    if given is None:
        # MLflow writes the URI into the environment, where the next workspace would find it.
        os.environ.pop(TRACKING_URI, None)
    try:
        client = mlflow.MlflowClient(uri, uri)
        client.search_registered_models(max_results=1)
    except (MlflowException, OSError) as error:
        raise RegistryError(
            f"The tracking store {uri} can't be opened: {_first_line(error)}. Start it, or leave "
            "MLFLOW_TRACKING_URI unset to use the workspace's own."
        ) from error
    return client


def model_name(business: str, problem: str) -> str:
    """The registered model of a problem: `grocery-churn`."""
    return f"{slug(business)}-{slug(problem)}"


def version_at(client: "MlflowClient", name: str, alias: str) -> str | None:
    """The version that an alias points to, None when there is none."""
    from mlflow.exceptions import MlflowException

    try:
        return str(client.get_model_version_by_alias(name, alias).version)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise RegistryError(f"The registry gives no answer: {_first_line(error)}.") from error


def register(client: "MlflowClient", name: str, uri: str, run_id: str, digest: str) -> str:
    """Register a logged model as the next version of `name`; give the version."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    model_id = uri.removeprefix("models:/")
    source = client.get_logged_model(model_id).artifact_location
    version = client.create_model_version(
        name, source, run_id, tags={DIGEST_TAG: digest}, model_id=model_id
    )
    return str(version.version)


def point_aliases(client: "MlflowClient", name: str, version: str) -> list[str]:
    """Make a new version the challenger, and the champion where there is none."""
    aliases = [CHALLENGER]
    if version_at(client, name, CHAMPION) is None:
        aliases.append(CHAMPION)
    for alias in aliases:
        client.set_registered_model_alias(name, alias, version)
    return aliases


def promote(client: "MlflowClient", name: str, version: str | None = None) -> str:
    """Make a version (the challenger unless told) the champion; give its number."""
    from mlflow.exceptions import MlflowException

    chosen = version or version_at(client, name, CHALLENGER)
    if chosen is None:
        raise RegistryError(f"{name} has no challenger to promote. Train one first.")
    try:
        client.set_registered_model_alias(name, CHAMPION, chosen)
    except MlflowException as error:
        raise RegistryError(f"{name} has no version {chosen}: {_first_line(error)}.") from error
    return chosen


def load_alias(client: "MlflowClient", name: str, alias: str = CHAMPION) -> Registered:
    """Resolve an alias once, then load that version and check its files.

    Raises
    ------
    RegistryError
        When the alias points nowhere or the files can't be fetched.
    ModelFilesError
        When the files are not those that were registered.
    """
    version = version_at(client, name, alias)
    if version is None:
        raise RegistryError(
            f"{name} has no {alias}. Train it with: python -m training train CONFIG"
        )
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        digest = client.get_model_version(name, version).tags.get(DIGEST_TAG)
        with tempfile.TemporaryDirectory() as folder:
            path = mlflow.artifacts.download_artifacts(
                artifact_uri=f"models:/{name}/{version}", dst_path=folder
            )
            return Registered(load(Path(path), digest), name, version)
    except (MlflowException, OSError) as error:
        raise RegistryError(
            f"{name} version {version} can't be fetched: {_first_line(error)}."
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
