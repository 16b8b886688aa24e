"""The usual recipe behind FastAPI: `python recipe.py PORT TREES`."""

import sys

import uvicorn
from answering import Recipe
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
recipe = Recipe(sys.argv[2])


class Asked(BaseModel):
    """A feature vector by name."""

    features: dict[str, float | None]


class Reason(BaseModel):
    """A feature and what it added."""

    feature: str
    value: float | None
    contribution: float


class Answer(BaseModel):
    """A score and its reasons."""

    probability: float
    reasons: list[Reason]


@app.post("/score")
def score(asked: Asked) -> Answer:
    (answer,) = recipe.answers(recipe.frame(asked.features))
    return Answer(**answer)


@app.get("/")
def ready() -> dict[str, str]:
    return {}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)
