"""`python -m serving replay CONFIG`: compute recorded scores again, and compare every bit.

Takes the ledger, the store and the models as they were registered; gives counts of identical
and different scores, and why. A vector that came in a request is read from the ledger.
"""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from features.config import read_config
from features.cutoffs import AsOf
from features.errors import MilepostError
from models.fitted import FittedModel
from models.shelf import FOLDER, KEPT, Shelf, Standing
from serving.database import Database
from serving.event_store import TenantStore, store_of
from serving.ledger import Ledger, Recorded, digest_of
from serving.migrations import upgrade
from serving.scoring import Scorer
from serving.settings import declare_place, read_settings

PAGE = 500
SHOWN = 20


def declare(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    declare_place(parser, configs=1)
    parser.add_argument("--most", type=int, help="at most so many scores, the oldest first")


def run(chosen: argparse.Namespace) -> int:
    """Replay; 1 where a score came out differently."""
    settings = read_settings(os.environ, workspace=chosen.workspace, database=chosen.database)
    business = read_config(chosen.config[0])
    database = Database(settings.database_url)
    upgrade(database)
    store = store_of(database, business)
    replay = Replay(store, settings.workspace)
    found: Counter[str] = Counter()
    for count, (recorded, why) in enumerate(replay.every(Ledger(database)), start=1):
        found[why or "identical"] += 1
        if why is not None and found.total() - found["identical"] <= SHOWN:
            print(f"{recorded.score_id} {recorded.problem}: {why}", file=sys.stderr)
        if chosen.most is not None and count >= chosen.most:
            break
    different = found.total() - found["identical"]
    print(f"{found.total():,} scores: {found['identical']:,} identical, {different:,} different")
    for why, count in found.most_common():
        if why != "identical":
            print(f"  {count:,} × {why}")
    return 1 if different else 0


class Replay:
    """Computes recorded scores of one workspace again."""

    def __init__(self, store: TenantStore, workspace: Path) -> None:
        self._store, self._workspace = store, workspace
        self._scorers: dict[tuple[str, str], Scorer | None] = {}

    def every(self, ledger: Ledger) -> Iterator[tuple[Recorded, str | None]]:
        """Each recorded score, and how it differs; None where no bit does."""
        after = ""
        while page := ledger.every(self._store.workspace, after, PAGE):
            for recorded, vector in page:
                yield recorded, self.difference(recorded, vector)
            after = page[-1][0].score_id

    def difference(self, recorded: Recorded, kept: bytes | None) -> str | None:
        """How a score comes out differently, in words; None where it is identical."""
        if recorded.vector_hash is None:
            return None if recorded.no_score else "the record has no vector"
        scorer = self._scorer(recorded)
        if scorer is None:
            return (
                f"version {recorded.version} is gone: the shelf keeps the newest {KEPT}; put its "
                f"files back from the registry or a backup, as {FOLDER}/{recorded.model}/"
                f"{Standing(recorded.version, recorded.digest).folder}"
            )
        if kept is not None:
            vector = np.frombuffer(kept, np.float32)[None, :]
        else:
            contract = scorer.model.contract
            journey = self._store.journeys.of(recorded.customer or "", contract)
            if journey is None:
                return "nothing is stored of the customer any more"
            as_of = AsOf(recorded.as_of, recorded.known_time)
            vector = scorer.ask(journey.log, journey.attributes, as_of).vectors
        if digest_of(vector[0]) != recorded.vector_hash:
            return "the vector differs: events came late, or were recorded again"
        return _numbers(scorer.model, vector, recorded)

    def _scorer(self, recorded: Recorded) -> Scorer | None:
        key = (recorded.model, recorded.digest)
        if key not in self._scorers:
            try:
                shelf = Shelf(self._workspace, recorded.model)
                model = shelf.load(Standing(recorded.version, recorded.digest))
                self._scorers[key] = Scorer(model)
            except MilepostError:
                self._scorers[key] = None
        return self._scorers[key]


def _numbers(model: FittedModel, vector: np.ndarray, recorded: Recorded) -> str | None:
    if recorded.probability is None:
        return None
    if float(model.probabilities(vector)[0]) != recorded.probability:
        return "the probability differs"
    hashed = recorded.contributions_hash  # what a book gave has none
    if hashed is not None and digest_of(model.contributions(vector)[0][0]) != hashed:
        return "the contributions differ"
    return None
