"""What every peer answers with: a DataFrame, `predict_proba`, `shap.TreeExplainer`, five reasons.

Takes features by name; gives the trees' probability and the five features that moved it most.
The usual recipe, without an interval, words or peers. Runs in environments without this project.
"""

from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
import shap

REASONS = 5


class Recipe:
    """A classifier and its explainer, loaded once."""

    def __init__(self, trees: str) -> None:
        booster = lgb.Booster(model_file=trees)
        self.names = booster.feature_name()
        self.classifier = classifier(booster)
        self.explainer = shap.TreeExplainer(booster)

    def frame(self, features: dict[str, Any]) -> pd.DataFrame:
        """One row."""
        return pd.DataFrame([features], columns=self.names, dtype=float)

    def answers(self, frame: pd.DataFrame) -> list[dict[str, Any]]:
        """Score and reasons of each row."""
        scores = self.classifier.predict_proba(frame)[:, 1]
        moved = np.asarray(self.explainer.shap_values(frame))
        strongest = np.argsort(-np.abs(moved), axis=1)[:, :REASONS]
        values = frame.to_numpy()
        return [
            {
                "probability": float(score),
                "reasons": [
                    {
                        "feature": self.names[j],
                        "value": None if np.isnan(row[j]) else float(row[j]),
                        "contribution": float(part[j]),
                    }
                    for j in order
                ],
            }
            for score, part, order, row in zip(scores, moved, strongest, values, strict=True)
        ]


def classifier(booster: lgb.Booster) -> lgb.LGBMClassifier:
    """LightGBM's scikit-learn wrapper around trees that were fitted before."""
    rng = np.random.default_rng(0)
    names = booster.feature_name()
    rows = pd.DataFrame(rng.normal(size=(100, len(names))), columns=names)
    made = lgb.LGBMClassifier(n_estimators=1, n_jobs=1, verbosity=-1).fit(rows, rows.iloc[:, 0] > 0)
    made._Booster = booster
    return made
