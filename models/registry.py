"""The registry: MLflow, by default on SQLite inside the workspace.

Takes a workspace; connects to the tracking store and loads models by alias. Knows nothing
about how versions come about; MLflow is not imported before it is needed.
"""

import logging
import os
import re
import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from features.config import Business, slug
from features.errors import ConfigError, RegistryError
from models.files import load
from models.fitted import FittedModel

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION, CHALLENGER = "champion", "challenger"
DATABASE = "mlflow.db"
TRACKING_URI = "MLFLOW_TRACKING_URI"
DIGEST_TAG = "milepost.digest"
JUDGEMENT_TAG = "milepost.judgement"
"""SHA-256 of the version's `judgement.json`."""
GATE_TAG, REASONS_TAG = "milepost.gate", "milepost.gate_reasons"
"""What the gate said of a version, and why."""
FORCED_TAG = "milepost.promoted_because"
"""Why a person promoted a version that the gate refuses."""

SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_UV_AUTO_DETECT": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
"""Set before MLflow is imported, unless the environment says otherwise: no telemetry, no
pickle, no lock file of the folder that a command happens to be started in, nothing of MLflow's on
standard output, and a tracking server that is down is an error in seconds instead of minutes."""

DATABASE_TRIES = 4
"""MLflow asks a database that is down ten times, for 102 seconds in all; so often it is 1.1."""


@dataclass(frozen=True)
class Registered:
    """A loaded model and the version it is registered as."""

    model: FittedModel
    name: str
    version: str


def tracking_uri(workspace: Path) -> str:
    """`MLFLOW_TRACKING_URI`, or SQLite in the workspace."""
    given = os.environ.get(TRACKING_URI)
    return given or f"sqlite:///{workspace.resolve() / DATABASE}"


def shown_uri(uri: str) -> str:
    """A tracking URI as it may be printed: without its password."""
    return re.sub(r"(://[^:/@]*):[^@/]*@", r"\1:***@", uri)


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
    from mlflow.store.db import utils as database_utilities

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.ERROR)  # each try in four lines
    uri = tracking_uri(workspace)
    given = os.environ.get(TRACKING_URI)
    if given is None:
        _make_database(workspace.resolve())
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    if given is None:
        # MLflow writes the URI into the environment, where the next workspace would find it.
        os.environ.pop(TRACKING_URI, None)
    try:
        if not uri.startswith(("http", "sqlite")):
            database_utilities.MAX_RETRY_COUNT = DATABASE_TRIES
        client = mlflow.MlflowClient(uri, uri)
        client.search_registered_models(max_results=1)
    except refusals() as error:
        raise RegistryError(
            f"The tracking store {shown_uri(uri)} can't be opened: {first_line(error)}. Start it, "
            "or leave MLFLOW_TRACKING_URI unset to use the workspace's own."
        ) from error
    return client


def _make_database(workspace: Path) -> None:
    """Make the workspace's own database under another name, and name it when it is whole.

    MLflow needs seconds for a new one, and could not use one that was left half-made.
    """
    database = workspace / DATABASE
    if database.exists():
        return
    from mlflow import MlflowClient

    with tempfile.TemporaryDirectory(dir=workspace, prefix=".mlflow-") as folder:
        made, whole = Path(folder, "made.db"), Path(folder, "whole.db")
        MlflowClient(f"sqlite:///{made}", f"sqlite:///{made}").search_experiments(max_results=1)
        with closing(sqlite3.connect(made)) as connection:
            connection.execute("vacuum into ?", (str(whole),))
        if not database.exists():
            whole.replace(database)


def model_name(business: str, problem: str) -> str:
    """The registered model of a problem: `grocery-churn`."""
    return f"{slug(business)}-{slug(problem)}"


def models_of(businesses: Sequence[Business]) -> dict[str, tuple[str, str]]:
    """The business and problem of every registered model's name.

    Raises
    ------
    ConfigError
        When two of them would share a workspace or a name, and so each other's models.
    """
    found: dict[str, tuple[str, str]] = {}
    folders: dict[str, str] = {}
    for business in businesses:
        folder = slug(business.name).casefold()
        if folder in folders:
            raise ConfigError(
                f"The businesses {folders[folder]!r} and {business.name!r} would share the "
                f"workspace {folder!r}. Rename one of them."
            )
        folders[folder] = business.name
        for problem in business.problems:
            name = model_name(business.name, problem)
            if name.casefold() in {known.casefold() for known in found}:
                raise ConfigError(
                    f"{business.name}'s problem {problem!r} would share the registered model "
                    f"{name!r} with another problem. Rename one of them."
                )
            found[name] = (business.name, problem)
    return found


def version_at(client: "MlflowClient", name: str, alias: str) -> str | None:
    """The version that an alias points to, None when there is none."""
    from mlflow.exceptions import MlflowException

    try:
        return str(client.get_model_version_by_alias(name, alias).version)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise RegistryError(f"The registry gives no answer: {first_line(error)}.") from error


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
    return load_version(client, name, version)


def load_version(client: "MlflowClient", name: str, version: str) -> Registered:
    """Load a version and check its files; errors as `load_alias`."""
    import mlflow

    try:
        digest = client.get_model_version(name, version).tags.get(DIGEST_TAG)
        if not digest:
            raise RegistryError(
                f"{name} version {version} has no tag {DIGEST_TAG}, so its files can't be checked. "
                "Register it again: python -m training register"
            )
        with tempfile.TemporaryDirectory() as folder:
            path = mlflow.artifacts.download_artifacts(
                artifact_uri=f"models:/{name}/{version}", dst_path=folder
            )
            return Registered(load(Path(path), digest), name, version)
    except refusals() as error:
        raise RegistryError(
            f"{name} version {version} can't be fetched: {first_line(error)}."
        ) from error


def refusals() -> tuple[type[Exception], ...]:
    """What a tracking store, its database, its driver or the network may raise."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return MlflowException, SQLAlchemyError, OSError, ImportError


def first_line(error: Exception) -> str:
    """What an error says, short enough for a paragraph."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
