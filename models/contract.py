"""The contract of a model: everything that serving must know about a problem.

Plain data that is stored as JSON beside the trees: the problem, the features in order, the
columns they read, what is usual, how scores are spread. An auditor looks here and nowhere
else. Knows nothing about LightGBM or MLflow.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from features.config import Actionable, Problem
from features.feature import Feature, feature_from_json, feature_names
from models.familiarity import Familiarity, familiarity_from_json
from models.meaning import Group, by_topic, named_groups
from models.peers import Peers, peers_from_json
from models.persona import Personas, personas_from_json
from models.sealed import read_json
from models.seen import Seen, seen_from_json
from models.spoken import Words

FORMAT = 3
"""Raised when the files change in a way that older code can't read."""

BANDS = ((95.0, "very high"), (80.0, "high"), (50.0, "medium"), (0.0, "low"))
"""Each band begins at a percentile among the customers the model was judged on."""


@dataclass(frozen=True)
class Contract:
    """What a model promises and expects."""

    business: str
    problem_name: str
    problem: Problem
    features: tuple[Feature, ...]
    """In the order of the model's columns."""
    event_kinds: Mapping[str, str]
    """Kind of each event property: number, category or time."""
    attribute_kinds: Mapping[str, str]
    event_names: tuple[str, ...]
    """Events of the history that the model was trained from."""
    usual: tuple[float | None, ...]
    """Median of each feature among the training rows, the commonest level of a category; None
    where most rows lack it."""
    score_quantiles: tuple[float, ...]
    """Calibrated probabilities at the percentiles 0, 1, … 100 of the validation and test rows."""
    base_rate: float
    """Share of positive labels among the training rows."""
    trained: Mapping[str, Any]
    """Cutoffs, counts and digest of the data: see `training.run`."""
    personas: Personas | None = None
    """The segments that customers fall into, if they do."""
    groups: tuple[Group, ...] = ()
    """Features that say the same speak once; each is in one group. See `training.alike`."""
    peers: Peers = field(default_factory=Peers)
    """What is usual among a customer's own kind."""
    actionable: Actionable = field(default_factory=Actionable)
    """What the business says it can influence."""
    words: Words = field(default_factory=Words)
    """What the business calls events and units."""
    seen: Seen = field(default_factory=Seen)
    """The events and values that the histories held."""
    familiarity: Familiarity = field(default_factory=Familiarity)
    """Who is too far from the training rows to get a score."""

    def __post_init__(self) -> None:
        if not self.groups:
            found = named_groups(self.features, by_topic(self.features), self.words, self.seen)
            object.__setattr__(self, "groups", found)
        if sorted(c for group in self.groups for c in group.columns) != [
            *range(len(self.features))
        ]:
            raise ValueError("each feature of a contract belongs to exactly one group")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The features' names, in the order of the model's columns."""
        return feature_names(self.features)

    @cached_property
    def schema_hash(self) -> str:
        """SHA-256 of what the vector means: a model and code that differ never meet."""
        return hashlib.sha256(_canonical([f.to_json() for f in self.features])).hexdigest()

    def to_json(self) -> bytes:
        """Canonical JSON: the same contract gives the same bytes."""
        return _canonical(
            {
                "format": FORMAT,
                "business": self.business,
                "problem_name": self.problem_name,
                "problem": self.problem.model_dump(mode="json", by_alias=True, exclude_none=True),
                "features": [
                    {
                        "name": name,
                        "definition": feature.to_json(),
                        "description": feature.description,
                        "unit": feature.unit,
                        "missing": feature.missing,
                        "usual": usual,
                    }
                    for name, feature, usual in zip(
                        self.names, self.features, self.usual, strict=True
                    )
                ],
                "event_kinds": dict(self.event_kinds),
                "attribute_kinds": dict(self.attribute_kinds),
                "event_names": list(self.event_names),
                "score_quantiles": list(self.score_quantiles),
                "base_rate": self.base_rate,
                "trained": dict(self.trained),
                "groups": [group.to_json(self.names) for group in self.groups],
                "peers": self.peers.to_json(self.names),
                "actionable": self.actionable.model_dump(mode="json", exclude_none=True),
                "words": {"events": dict(self.words.events), "units": dict(self.words.units)},
                "seen": self.seen.to_json(),
                "familiarity": self.familiarity.to_json(self.names),
                "personas": None if self.personas is None else self.personas.to_json(self.names),
                "schema_hash": self.schema_hash,
            }
        )


def contract_from_json(text: bytes) -> Contract:
    """Read a contract.

    Raises
    ------
    ValueError
        When the text is no contract of this format, or its schema hash does not match.
    """
    data = read_json(text)
    if data.get("format") != FORMAT:
        raise ValueError(
            f"found contract format {data.get('format')!r}, expected {FORMAT}; train it again with "
            "this version, or serve it with the one that trained it"
        )
    features = tuple(feature_from_json(item["definition"]) for item in data["features"])
    names = feature_names(features)
    place = {name: column for column, name in enumerate(names)}
    segments = data.get("personas")
    contract = Contract(
        business=data["business"],
        problem_name=data["problem_name"],
        problem=Problem(**data["problem"]),
        features=features,
        event_kinds=data["event_kinds"],
        attribute_kinds=data["attribute_kinds"],
        event_names=tuple(data["event_names"]),
        usual=tuple(item["usual"] for item in data["features"]),
        score_quantiles=tuple(data["score_quantiles"]),
        base_rate=data["base_rate"],
        trained=data["trained"],
        personas=segments and personas_from_json(segments, names),
        groups=tuple(
            Group(item["name"], tuple(place[name] for name in item["columns"]))
            for item in data["groups"]
        ),
        peers=peers_from_json(data["peers"], names),
        actionable=Actionable(**data["actionable"]),
        words=Words(**data["words"]),
        seen=seen_from_json(data["seen"]),
        familiarity=familiarity_from_json(data["familiarity"], names),
    )
    if contract.schema_hash != data["schema_hash"]:
        raise ValueError("the contract's schema hash does not match its features")
    return contract


def _canonical(data: object) -> bytes:
    return json.dumps(data, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False).encode()
