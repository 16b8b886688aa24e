"""A registered model as any MLflow tool sees it: a table of feature columns in, probabilities out.

MLflow loads this module by its name from the code that lies beside the model's files, so
`mlflow.pyfunc.load_model` and `mlflow models serve` need neither this project nor a pickle.
Knows nothing about MLflow itself.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import ModelFilesError
from models.files import load
from models.fitted import FittedModel


class PlainModel:
    """Calibrated probabilities of rows whose features are given."""

    def __init__(self, model: FittedModel) -> None:
        self.model = model

    def predict(
        self,
        data: pd.DataFrame,
        params: dict[str, Any] | None = None,  # noqa: ARG002 - MLflow passes it to every model
    ) -> NDArray[np.float64]:
        """Probabilities, shape `(n_rows,)`.

        Parameters
        ----------
        data
            A column a feature, in any order; missing is NaN. Other columns are ignored.

        Raises
        ------
        ModelFilesError
            When a column of the contract is missing.
        """
        names = list(self.model.contract.names)
        if absent := [name for name in names if name not in data.columns]:
            raise ModelFilesError(
                f"The model expects {len(names)} columns; {len(absent)} are missing, such as "
                f"{absent[0]!r}. Send every column of its signature, null where a value is missing."
            )
        # As wide as the engine's own vectors, so that the same row gives the same bits.
        return self.model.probabilities(data[names].to_numpy(np.float32))


def _load_pyfunc(path: str) -> PlainModel:
    """What MLflow calls with the folder of the model's files."""
    return PlainModel(load(Path(path)))
