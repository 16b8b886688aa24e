"""Stores that tests share: SQLite, and a real PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tracking_server import postgres, postgres_programs

from serving.book_store import BookStore
from serving.database import Database
from serving.event_store import EventStore
from serving.migrations import upgrade
from serving.tables import METADATA


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The address of a real PostgreSQL server, one for all tests of a process."""
    if postgres_programs() is None:
        pytest.skip("PostgreSQL is not installed; on Debian: make system")
    with postgres() as uri:
        yield uri


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty store with its tables."""
    url = f"sqlite:///{tmp_path}/milepost.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql")
    made = Database(url)
    upgrade(made)
    if request.param == "postgresql":
        with made.writing() as connection:
            for table in reversed(METADATA.sorted_tables):
                connection.execute(table.delete())
    yield made
    made.close()


@pytest.fixture
def book(database: Database) -> BookStore:
    """A workspace's empty book."""
    return BookStore(database, EventStore(database).workspace("shop").workspace)
