"""The usual recipe as an MLflow model, for `mlflow models serve`: `python pyfunc.py TREES FOLDER`.

With the signature that MLflow asks for.
"""

import sys
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
from answering import Recipe
from mlflow.models import infer_signature


class Score(mlflow.pyfunc.PythonModel):
    """Score and reasons of each row of a frame."""

    def load_context(self, context: Any) -> None:
        self.recipe = Recipe(context.artifacts["trees"])

    def predict(self, model_input: pd.DataFrame) -> list[dict[str, Any]]:
        return self.recipe.answers(model_input)


def main() -> None:
    trees, folder = sys.argv[1:]
    names = Recipe(trees).names
    example = pd.DataFrame(np.full((1, len(names)), np.nan), columns=names)
    mlflow.pyfunc.save_model(
        folder, python_model=Score(), artifacts={"trees": trees},
        code_paths=[str(Path(__file__).with_name("answering.py"))],
        signature=infer_signature(example), pip_requirements=[],
    )  # fmt: skip


if __name__ == "__main__":
    main()
