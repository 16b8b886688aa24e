"""Looks into the store for strangers: shared, few, and never on the event loop."""

import asyncio
import threading
from pathlib import Path

import pytest

from features.errors import MilepostError
from serving import looks
from serving.database import Database, StoreUnavailableError
from serving.keys import Keys, Ring
from serving.looks import Look, Looks
from serving.migrations import upgrade
from serving.people import MANAGER, Roster, Users
from serving.sessions import Sessions


@pytest.fixture
def database(tmp_path: Path) -> Database:
    made = Database(f"sqlite:///{tmp_path}/store.db")
    upgrade(made)
    return made


def found_in(database: Database) -> Looks:
    """Looks of a worker that has read nothing yet."""
    ring, roster = Ring(Keys(database)), Roster(Users(database))
    return Looks(ring, roster, Sessions("secret", ring, roster), 32)


def test_who_came_a_moment_ago_is_found(database: Database) -> None:
    """A new key, a session of it and a session of a new person count in a worker that knows
    none of them; whoever there is not stays nobody."""
    made = Keys(database).create("shop", "crm", ("score",), None)
    other = found_in(database)
    other.ring.refresh()
    person = Users(database).add("shop", "jane", MANAGER, "hash")
    key = other.ring.check(made)
    assert key is not None
    of_key, of_person = other.sessions.begin(key), other.sessions.begin(person)

    async def ask() -> None:
        assert await found_in(database).key(made) == key
        for text, called in ((of_key, key.id), (of_person, "user:jane")):
            caller = await found_in(database).session(text)
            assert caller is not None and called == caller.id
        assert await found_in(database).key(made + "x") is None
        assert await found_in(database).session(of_person + "x") is None

    asyncio.run(ask())


def test_a_look_that_hangs_is_shared_by_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """One reading at a time, two who wait for it, the third refused at once; when it has lasted
    too long nobody waits any more, and afterwards it is done again."""
    monkeypatch.setattr(looks, "PATIENCE", 0.5)
    monkeypatch.setattr(looks, "AGAIN_SECONDS", 0.0)
    go_on, begun = threading.Event(), []

    def read() -> None:
        begun.append(threading.current_thread())
        assert go_on.wait(60)

    async def refused(look: Look) -> str:
        try:
            await look.again()
        except MilepostError as error:
            return error.code
        return "read"

    async def ask() -> None:
        look = Look(read, 2)
        together = await asyncio.gather(*(refused(look) for _ in range(3)))
        assert ["store_unavailable", "store_unavailable", "overloaded"] == together
        assert "store_unavailable" == await refused(look)
        assert 1 == len(begun) and begun[0] is not threading.current_thread()
        go_on.set()
        while "read" != await refused(look):
            await asyncio.sleep(0.01)
        assert "read" == await refused(look)
        assert 1 < len(begun)

    asyncio.run(ask())


def test_a_store_that_is_away_is_not_taken_for_nobody(database: Database, tmp_path: Path) -> None:
    """Who can't be looked up is told so, the second time too; then a key that is known by now."""
    made = Keys(database).create("shop", "crm", ("score",), None)
    database.close()
    (tmp_path / "store.db").rename(tmp_path / "away.db")

    async def ask() -> None:
        mine = found_in(database)
        for _ in range(2):
            with pytest.raises(StoreUnavailableError):
                await mine.key(made)
        (tmp_path / "away.db").rename(tmp_path / "store.db")
        await asyncio.sleep(1.5 * looks.AGAIN_SECONDS)
        assert await mine.key(made) is not None

    asyncio.run(ask())
