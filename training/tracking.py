"""What a training run leaves in MLflow: parameters, metrics, data, plots and the model.

Takes a finished run that the workspace keeps; logs it, and registers its model once all of
it has arrived. Knows nothing about how the numbers came about.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.config import slug
from features.errors import RegistryError
from models.contract import Contract, contract_from_json
from models.files import CONTRACT
from models.registry import (
    DIGEST_TAG,
    GATE_TAG,
    JUDGEMENT_TAG,
    REASONS_TAG,
    connect,
    first_line,
    model_name,
    refusals,
    shown_uri,
    tracking_uri,
)
from training import logged_model
from training.logged_model import ARTEFACTS, CARD
from training.outbox import Entry, discard, keep
from training.record import Child, Record, is_alive
from training.summary import describe_run
from training.versions import (
    BESIDE_TAG,
    ENTRY_TAG,
    FINISHED_TAG,
    point_aliases,
    version_of,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

MOST_METRICS, MOST_PARAMETERS = 1_000, 100
"""What MLflow takes in one call."""

PROCESS_TAG = "milepost.process"
SHARED_TAGS = (
    "split", "base_rate", "judged_model", "registered_model", GATE_TAG, REASONS_TAG, BESIDE_TAG,
    JUDGEMENT_TAG,
)  # fmt: skip
"""Tags of a run that its version carries too."""


@dataclass(frozen=True)
class Logged:
    """Where a run can be found."""

    run_id: str | None
    version: str | None
    aliases: list[str]
    kept: Path | None = None
    """Where the finished model waits when the tracker could not take it."""
    why: str = ""


def log_run(workspace: Path, record: Record, folder: Path) -> Logged:
    """Keep a finished run, log it and register its model.

    A run that can't be logged stays in the workspace; the answer then says where and why, and
    `python -m training register` logs it later.

    Parameters
    ----------
    folder
        Holds `model/` and `judged/` as `models.files.save` wrote them, and `plots/`.
    """
    entry = keep(folder, record)
    try:
        return log_entry(workspace, entry)
    except RegistryError as error:
        return Logged(None, None, [], entry.folder, str(error))


def log_entry(workspace: Path, entry: Entry) -> Logged:
    """Log a finished run that the workspace keeps, then forget it there.

    A version is made after everything that belongs to it was uploaded, and an alias after
    that; an entry whose version exists already only gets its aliases.

    Raises
    ------
    RegistryError
        When the tracking store refuses; the entry stays.
    """
    client = connect(workspace)
    record = entry.record
    contract = contract_from_json((entry.model / CONTRACT).read_bytes())
    name = model_name(record.business, record.problem)
    with told_refusals(workspace):
        found = version_of(client, name, ENTRY_TAG, record.id)
        if found is None:
            experiment = experiment_of(client, workspace, record.business, record.problem)
            _close_leftovers(client, experiment)
            run_id, model_id = _log(client, experiment, entry, contract)
            version = _register(client, name, entry, contract, run_id, model_id)
        else:
            run_id, version = str(found.run_id), str(found.version)
        aliases = point_aliases(client, name, version)
    discard(entry)
    return Logged(run_id, version, aliases)


@contextmanager
def told_refusals(workspace: Path) -> Iterator[None]:
    """What MLflow, the network or the disk refuses, as one error of ours."""
    try:
        yield
    except refusals() as error:
        raise RegistryError(
            f"The run could not be logged to {shown_uri(tracking_uri(workspace))}: "
            f"{first_line(error)}."
        ) from error


def experiment_of(client: "MlflowClient", workspace: Path, business: str, problem: str) -> str:
    """The problem's experiment; its files lie in the workspace unless a server keeps them."""
    name = model_name(business, problem)
    found = client.get_experiment_by_name(name)
    if found is not None:
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)
    kept_by_server = tracking_uri(workspace).partition(":")[0] in ("http", "https", "databricks")
    place = None if kept_by_server else (workspace.resolve() / "artifacts" / name).as_uri()
    # The kind makes MLflow open on metrics and models instead of on traces of agents.
    tags = {
        "mlflow.experimentKind": "custom_model_development",
        "mlflow.note.content": f"Training runs of the problem *{problem}* of "
        f"*{business}*. The registered model is `{name}`.",
    }
    return str(client.create_experiment(name, artifact_location=place, tags=tags))


def _close_leftovers(client: "MlflowClient", experiment: str) -> None:
    """End runs whose process died while it logged, and drop their half-logged models."""
    from mlflow.entities import RunStatus

    running = client.search_runs([experiment], "attributes.status = 'RUNNING'")
    for run in running:
        process = run.data.tags.get(PROCESS_TAG)
        if process is None or is_alive(process):
            continue
        for output in run.outputs.model_outputs if run.outputs else ():
            client.delete_logged_model(output.model_id)
        client.set_tag(run.info.run_id, "mlflow.note.content", "This run ended while it logged.")
        client.set_terminated(run.info.run_id, RunStatus.to_string(RunStatus.KILLED))


def _log(
    client: "MlflowClient", experiment: str, entry: Entry, contract: Contract
) -> tuple[str, str]:
    """Log a run, its children and its model; give the ids of the run and of the model."""
    record = entry.record
    run_id = _open_run(client, experiment, record, contract)
    _log_params(client, run_id, record.params)
    _log_metrics(client, run_id, _metrics(record))
    _log_parts(client, run_id, record, contract)
    client.log_artifacts(run_id, str(entry.folder / ARTEFACTS))
    for child in record.children:
        log_child(client, experiment, run_id, child, record.process)
    model_id = _log_model(client, experiment, entry, run_id)
    client.set_terminated(run_id, end_time=record.finished)
    return run_id, model_id


def _open_run(client: "MlflowClient", experiment: str, record: Record, contract: Contract) -> str:
    title = f"{record.problem}, history to {record.manifest['history_end'][:10]}"
    tags = {
        **record.tags,
        ENTRY_TAG: record.id,
        PROCESS_TAG: record.process,
        "mlflow.note.content": describe_run(record, contract),
        "mlflow.source.name": "python -m training",
        "mlflow.source.type": "LOCAL",
    }
    run = client.create_run(experiment, record.started, tags, title)
    return str(run.info.run_id)


def log_child(
    client: "MlflowClient", experiment: str, parent: str, child: Child, process: str
) -> None:
    """Log a run inside another one."""
    from mlflow.entities import Metric

    tags = {
        "mlflow.parentRunId": parent,
        "milepost.kind": child.kind,
        PROCESS_TAG: process,
    }
    run = client.create_run(experiment, child.started, tags, child.title)
    run_id = str(run.info.run_id)
    _log_params(client, run_id, child.params)
    values = [Metric(key, value, child.finished, 0) for key, value in child.metrics.items()]
    _log_metrics(client, run_id, values)
    client.set_terminated(run_id, "FAILED" if child.failed else "FINISHED", child.finished)


def _metrics(record: Record) -> list[Any]:
    from mlflow.entities import Metric

    single = [Metric(key, value, record.finished, 0) for key, value in record.metrics.items()]
    return single + [Metric(p.key, p.value, p.timestamp, p.step) for p in record.points]


def _log_params(client: "MlflowClient", run_id: str, params: dict[str, str]) -> None:
    from mlflow.entities import Param

    for some in _blocks([Param(key, value) for key, value in params.items()], MOST_PARAMETERS):
        client.log_batch(run_id, params=some)


def _log_metrics(client: "MlflowClient", run_id: str, metrics: Sequence[Any]) -> None:
    for some in _blocks(metrics, MOST_METRICS):
        client.log_batch(run_id, metrics=some)


def _blocks(items: Sequence[Any], most: int) -> Iterable[Sequence[Any]]:
    return (items[begin : begin + most] for begin in range(0, len(items), most))


def _log_parts(client: "MlflowClient", run_id: str, record: Record, contract: Contract) -> None:
    """Name the rows of each part by their digest; the rows themselves stay where they are."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    columns = [{"type": "double", "name": name, "required": True} for name in contract.names]
    source = {"tags": {"business": record.business, "history": record.manifest["digest"]}}
    inputs = [
        DatasetInput(
            Dataset(
                name=f"{slug(record.business)}-{slug(record.problem)}-{part.context}",
                digest=part.digest,
                source_type="code",
                source=json.dumps(source),
                schema=json.dumps({"mlflow_colspec": columns}),
                profile=json.dumps({"num_rows": part.n_rows, "num_positive": part.n_positive}),
            ),
            [InputTag("mlflow.data.context", part.context)],
        )
        for part in record.parts
    ]
    if inputs:
        client.log_inputs(run_id, inputs)


def _log_model(client: "MlflowClient", experiment: str, entry: Entry, run_id: str) -> str:
    """Upload the model; give its id."""
    from mlflow.models import Model

    record = entry.record
    model = client.create_logged_model(
        experiment, "model", run_id, params=record.params, model_type="lightgbm"
    )
    info = Model.log(
        artifact_path=None,
        flavor=logged_model,
        model_id=model.model_id,
        run_id=run_id,
        validate_serving_input=False,  # it would load the model's code over our own
        folder=entry.folder,
        requirements=record.requirements,
    )
    if info.signature is None:
        raise RegistryError(
            "MLflow stored the model without its signature; nothing was registered."
        )
    client.finalize_logged_model(model.model_id, "READY")
    return str(model.model_id)


def _register(
    client: "MlflowClient", name: str, entry: Entry, contract: Contract, run_id: str, model_id: str
) -> str:
    """Make a logged model the next version of `name`, in one call that says all of it."""
    from mlflow.exceptions import MlflowException

    record = entry.record
    try:
        client.create_registered_model(
            name, description=f"*{contract.problem_name}* of *{contract.business}*: the "
            "probability of the outcome within the horizon, calibrated."
        )  # fmt: skip
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    tags = {key: value for key, value in record.tags.items() if key in SHARED_TAGS}
    version = client.create_model_version(
        name,
        client.get_logged_model(model_id).artifact_location,
        run_id,
        tags={**tags, DIGEST_TAG: record.digest, ENTRY_TAG: record.id,
              FINISHED_TAG: str(record.finished)},
        description=_description(entry, contract),
        model_id=model_id,
    )  # fmt: skip
    return str(version.version)


def _description(entry: Entry, contract: Contract) -> str:
    """The run in a few lines, and where the card is: it is longer than MLflow stores here."""
    begin = describe_run(entry.record, contract)
    if not (entry.folder / ARTEFACTS / CARD).exists():
        return begin
    return f"{begin}\n\nThe model card is {CARD}, beside the model and among the run's files."
