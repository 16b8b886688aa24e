"""The ledger: every score that was given, so that it can be explained and replayed later.

Takes scores as they are answered; a thread of its own writes them, all that have come together
within a tenth of a second in one commit, so no answer waits. Gives one score again, and a
customer's history of them. Knows nothing about HTTP or how scores are made.
"""

import hashlib
import logging
import re
import secrets
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, select

from features.durations import SECOND
from features.errors import MilepostError
from serving.database import Database
from serving.inserting import add_rows, insert_rows
from serving.tables import SCORES

LOG = logging.getLogger("milepost.serving")

GATHERED = 0.08
"""Seconds in which scores are gathered into one commit; a kill -9 loses at most these."""

WRITTEN = 0.3
"""Seconds after which a score that was given is written, unless the store is slow."""

MOST_WAITING = 50_000
"""Scores that may wait for a store that is away; the oldest are dropped then, and counted."""

LZ4 = pa.Codec("lz4")
"""An answer shrinks to half in 5 µs; zlib makes it a third, in 37. Vectors would hardly shrink."""

SIZE = 4
"""Bytes before a compressed answer that say how long it was."""


class Given(NamedTuple):
    """A score as it was answered."""

    workspace: int
    score_id: str
    customer: str | None
    problem: str
    as_of: int
    known_time: int
    model: str
    version: str
    digest: str
    probability: float | None
    percentile: float | None
    band: str | None
    no_score: str | None
    vector: NDArray[np.float32] | None
    contributions: NDArray[np.float64] | None
    replayable: bool
    """Whether the store can give the journey again."""
    answer: bytes


@dataclass(frozen=True)
class Recorded:
    """A score as the ledger tells of it."""

    score_id: str
    customer: str | None
    problem: str
    as_of: int
    known_time: int
    model: str
    version: str
    digest: str
    probability: float | None
    percentile: float | None
    band: str | None
    no_score: str | None
    vector_hash: str | None
    contributions_hash: str | None


FIELDS = tuple(Recorded.__dataclass_fields__)
N_PLAIN = Given._fields.index("vector")
"""So many fields are kept as they are."""


class Ledger:
    """Scores that are not written yet, and those that are."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.dropped = 0
        """Scores that could not be kept."""
        self._waiting: deque[Given] = deque()
        self._some = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def note(self, given: Given) -> None:
        """Have a score written soon."""
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(given)
        if not self._some.is_set():
            self._some.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Write what waits, and write no more."""
        self._stop.set()
        self._some.set()
        if self._thread is not None:
            self._thread.join()
        self.flush()

    def flush(self) -> None:
        """Write all that waits; what the store refuses waits for the next time."""
        taken = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if not taken:
            return
        try:
            with self.database.writing() as connection:
                add_rows(connection, SCORES, [_row(given) for given in taken])
        except MilepostError as error:
            LOG.warning("%d scores wait to be recorded: %s", len(taken), error)
            self._waiting.extendleft(reversed(taken))
            self._some.set()

    def find(self, workspace: int, score_id: str) -> tuple[Recorded, bytes] | None:
        """A score and its answer; None where the workspace has none of that name."""
        mine = (SCORES.c.workspace == workspace, SCORES.c.score_id == score_id)
        with self.database.reading() as connection:
            row = connection.execute(select(*_COLUMNS, SCORES.c.answer).where(*mine)).first()
        return None if row is None else (_recorded(tuple(row)), _unpacked(row[-1]))

    def wait_for(self, workspace: int, score_id: str) -> tuple[Recorded, bytes] | None:
        """The same, but a score that some worker gave a moment ago is waited for."""
        found = self.find(workspace, score_id)
        wait = WRITTEN - _age(score_id)
        if found is None and 0 < wait <= WRITTEN:
            time.sleep(wait)
            found = self.find(workspace, score_id)
        return found

    def of_customer(
        self,
        workspace: int,
        customer: str,
        problem: str | None = None,
        before: str | None = None,
        limit: int = 20,
    ) -> list[Recorded]:
        """A customer's scores, the newest first; those before an id where one is given."""
        mine: list[ColumnElement[bool]] = [
            SCORES.c.workspace == workspace,
            SCORES.c.customer == customer,
        ]
        if problem is not None:
            mine.append(SCORES.c.problem == problem)
        if before is not None:
            mine.append(SCORES.c.score_id < before)
        asked = select(*_COLUMNS).where(*mine).order_by(SCORES.c.score_id.desc()).limit(limit)
        with self.database.reading() as connection:
            return [_recorded(tuple(row)) for row in connection.execute(asked)]

    def newest(
        self, workspace: int, customer: str, limit: int, before: str | None = None
    ) -> list[Recorded]:
        """A customer's scores of whatever problem, the newest first: a range of the index each."""
        found: list[Recorded] = []
        problem = self._problem_after(workspace, customer, "")
        while problem is not None:
            found += self.of_customer(workspace, customer, problem, before, limit)
            problem = self._problem_after(workspace, customer, problem)
        return sorted(found, key=lambda each: each.score_id, reverse=True)[:limit]

    def _problem_after(self, workspace: int, customer: str, problem: str) -> str | None:
        """The next problem of which a customer has scores, in the order of their names."""
        mine = (
            SCORES.c.workspace == workspace, SCORES.c.customer == customer,
            SCORES.c.problem > problem,
        )  # fmt: skip
        asked = select(SCORES.c.problem).where(*mine).order_by(SCORES.c.problem).limit(1)
        with self.database.reading() as connection:
            return connection.execute(asked).scalar()

    def every(self, workspace: int, after: str, limit: int) -> list[tuple[Recorded, bytes | None]]:
        """Scores in the order of their ids, after one of them, and the vectors that were kept."""
        mine = (SCORES.c.workspace == workspace, SCORES.c.score_id > after)
        asked = select(*_COLUMNS, SCORES.c.vector).where(*mine)
        with self.database.reading() as connection:
            rows = connection.execute(asked.order_by(SCORES.c.score_id).limit(limit)).all()
        return [(_recorded(tuple(row)), row[-1]) for row in rows]

    def _run(self) -> None:
        while not self._stop.is_set():
            self._some.wait()
            self._some.clear()
            self._stop.wait(GATHERED)
            try:
                self.flush()
            except Exception:  # a thread that ends would record nothing for ever
                LOG.exception("scores could not be recorded")


def keep(connection: Connection, workspace: int, scores: Sequence[tuple[Recorded, bytes]]) -> None:
    """Record scores that can be computed again from the store, with their answers, inside a
    transaction of the caller's; one that is recorded already stays as it is."""
    rows = [
        (workspace, *vars(recorded).values(), None, _packed(answer)) for recorded, answer in scores
    ]
    insert_rows(connection, SCORES, rows)


def new_id(moment: int) -> str:
    """The name of a score that is given now (microseconds UTC): names sort by time."""
    return f"{moment:014x}{secrets.token_hex(8)}"


def _age(score_id: str) -> float:
    """Seconds since a score was given, by its name; endless of what is no name."""
    given = re.fullmatch(r"([0-9a-f]{14})[0-9a-f]{16}", score_id)
    return inf if given is None else time.time() - int(given[1], 16) / SECOND


def digest_of(numbers: NDArray[Any] | None) -> str | None:
    """SHA-256 of numbers as they lie in memory."""
    return None if numbers is None else hashlib.sha256(numbers.tobytes()).hexdigest()


def _row(given: Given) -> tuple[Any, ...]:
    """The table's columns in order."""
    vector = given.vector
    kept = None if vector is None or given.replayable else vector.tobytes()
    hashes = digest_of(vector), digest_of(given.contributions)
    return (*given[:N_PLAIN], *hashes, kept, _packed(given.answer))


def _packed(answer: bytes) -> bytes:
    short: bytes = LZ4.compress(answer, asbytes=True)
    return len(answer).to_bytes(SIZE, "little") + short


def _unpacked(packed: bytes) -> bytes:
    size = int.from_bytes(packed[:SIZE], "little")
    answer: bytes = LZ4.decompress(packed[SIZE:], size, asbytes=True)
    return answer


def _recorded(row: Sequence[Any]) -> Recorded:
    return Recorded(*row[: len(FIELDS)])


_COLUMNS: Sequence[Any] = [SCORES.c[name] for name in FIELDS]
