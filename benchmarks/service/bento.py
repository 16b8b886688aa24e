"""The usual recipe behind BentoML: `bentoml serve bento:Score`, TREES names the trees' file."""

import os
from typing import Any

import bentoml
from answering import Recipe


@bentoml.service(workers=1)
class Score:
    """One route, one worker."""

    def __init__(self) -> None:
        self.recipe = Recipe(os.environ["TREES"])

    @bentoml.api
    def score(self, features: dict[str, Any]) -> dict[str, Any]:
        (answer,) = self.recipe.answers(self.recipe.frame(features))
        return answer
