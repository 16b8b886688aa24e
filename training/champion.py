"""Today's champion beside a challenger, on rows that neither has learnt from.

Takes a workspace and prepared rows; gives the champion's scores of the test part, or why it has
none. Knows nothing about who is better.
"""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from features.durations import parse_moment
from features.engine import Matrix
from features.errors import MilepostError, ModelFilesError
from models.files import load
from models.fitted import FittedModel
from models.registry import (
    CHAMPION,
    connect,
    first_line,
    load_version,
    refusals,
    version_at,
)
from training.prepare import Prepared
from training.splits import BY_CUSTOMER
from training.weighted import Floats

JUDGED = "judged"
"""The folder of the model that the metrics belong to, beside the one that is registered."""


UNASKED = "?"
"""What the champion's version is called where the registry was out of reach: perhaps none."""


@dataclass(frozen=True)
class Champion:
    """The version that is served, and how it scores the test part."""

    version: str
    score: Floats | None
    """Probabilities of the test part's rows; None where they can't be compared."""
    says: str
    """Which of its models is compared, or why none is."""


def champion_of(workspace: Path, name: str, ready: Prepared) -> Champion | None:
    """The champion's scores of the test part; None where there is no champion.

    The version that is served is compared where all that it learnt was known before the test's
    first cutoff; else the model that it was judged by, which had seen less.

    Parameters
    ----------
    name
        Of the registered model.
    ready
        Rows with every column, before any were left out.
    """
    version = None
    try:
        client = connect(workspace)
        version = version_at(client, name, CHAMPION)
        if version is None:
            return None
        served = load_version(client, name, version).model
        run = client.get_model_version(name, version).run_id
        with TemporaryDirectory() as folder:
            judged = _load_judged(Path(client.download_artifacts(run, JUDGED, folder)))
    except MilepostError as error:
        return Champion(version or UNASKED, None, f"it can't be had: {_said(error)}")
    except refusals() as error:
        return Champion(version or UNASKED, None, f"it can't be fetched: {_said(error)}")
    for model, called in ((served, "the version that is served"), (judged, "its judged model")):
        if _knew_by(model) <= _first_cutoff(ready) or _of_other_customers(model, ready):
            matrix = _vectors(model, ready)
            if matrix is None:
                return Champion(version, None, "its features can't be computed of these rows")
            return Champion(version, model.probabilities(matrix), called)
    return Champion(version, None, "it has learnt from rows that are later than the test's first")


def _load_judged(fetched: Path) -> FittedModel:
    """A model out of a folder that is gone when somebody reads what was wrong with it."""
    try:
        return load(fetched)
    except ModelFilesError as error:
        raise ModelFilesError(str(error).replace(f" in {fetched}", "")) from error


def _said(error: Exception) -> str:
    return first_line(error).rstrip(".")


def _first_cutoff(ready: Prepared) -> int:
    return int(ready.labelled.moments.rows.cutoff_time[ready.split.test].min())


def _knew_by(model: FittedModel) -> int:
    """When the last outcome was known that a model learnt from, microseconds UTC."""
    trained = model.contract.trained
    return parse_moment(trained["fitted"][trained["this_model"]]["known_by"])


def _of_other_customers(model: FittedModel, ready: Prepared) -> bool:
    """Whether no customer of the test part taught a model: both were split by the customers' ids
    alone, and it is the judged one."""
    trained = model.contract.trained
    alike = BY_CUSTOMER == ready.split.how == trained["split"]
    return bool(alike and trained["this_model"] == "judged")


def _vectors(model: FittedModel, ready: Prepared) -> Matrix | None:
    """The test part's vectors in the order of a model's own features."""
    wanted = model.contract.features
    place = {feature: column for column, feature in enumerate(ready.features)}
    if all(feature in place for feature in wanted):
        return np.ascontiguousarray(ready.parts["test"][0][:, [place[f] for f in wanted]])
    return None if ready.test_vectors is None else ready.test_vectors(wanted)
