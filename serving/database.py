"""The database: SQLite by default, PostgreSQL by URL, with the same code.

Gives connections that read and one that writes. On SQLite there is one writer at a time in all
processes: writing and checkpointing are done under a lock on a file beside the database, and
everybody else reads through `mode=ro`. A database that can't be reached, locked, full or
broken becomes `StoreUnavailableError`; the next call tries again. A PostgreSQL server that is
lost without a word is noticed within seconds (`LIVELY`). Knows nothing about tables.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from features.errors import MilepostError
from serving.tracing import span

if os.name == "posix":
    import fcntl

PATIENCE = 5.0
"""Seconds that a writer waits for another one before it gives up."""

WRITER = (
    "pragma journal_mode = wal",
    "pragma synchronous = full",  # acknowledged means on disk
    "pragma secure_delete = on",  # what is erased leaves no copy in the file
    "pragma cache_size = -65536",
    "pragma temp_store = memory",
)
READER = ("pragma cache_size = -16384", "pragma mmap_size = 1073741824")

LIVELY = {
    "connect_timeout": "5",
    "tcp_user_timeout": "5000",  # milliseconds; of what is sent and not confirmed
    "keepalives": "1",
    "keepalives_idle": "3",
    "keepalives_interval": "2",
    "keepalives_count": "2",
}
"""What libpq is told, so that a server that is lost without a word is noticed within seconds: its
network's silence, not the time that a statement takes. What a URL says of these goes before."""


class StoreUnavailableError(MilepostError):
    """The store can't be read or written now; what was not acknowledged may be sent again."""

    code = "store_unavailable"


class DatabaseError(MilepostError):
    """An address of a database that can't be used."""

    code = "database_invalid"


class Database:
    """One database, for reading and writing; safe to share between threads."""

    def __init__(self, url: str) -> None:
        """Name a database; nothing is opened before it is needed.

        Raises
        ------
        DatabaseError
            When the address is no SQLite file or PostgreSQL server.
        """
        self.url = url
        self._local = threading.local()
        self._turn = threading.Lock()
        try:
            made = make_url(url)
        except ArgumentError as error:
            raise DatabaseError(f"The database can't be named {url!r}: {_WANTED}") from error
        self.is_sqlite = made.get_backend_name() == "sqlite"
        self.file: Path | None = None
        if self.is_sqlite:
            if not made.database or made.database == ":memory:":
                raise DatabaseError(f"{url!r} names no file: {_WANTED}")
            self.file = Path(made.database).resolve()
            self.writer, self.readers = _sqlite(self.file, False), _sqlite(self.file, True)
        elif made.get_backend_name() == "postgresql":
            self.writer = _postgresql(url)
            self.readers = self.writer.execution_options(isolation_level="REPEATABLE READ")
        else:
            raise DatabaseError(f"{url!r} is neither SQLite nor PostgreSQL: {_WANTED}")

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is on disk when the block ends, or never was.

        Raises
        ------
        StoreUnavailableError
            When the database is locked, full, failing or out of reach.
        """
        with (
            span("store.write"), unavailable("written"), self._alone(),
            self.writer.begin() as connection,
        ):  # fmt: skip
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database and changes nothing."""
        with span("store.read"), unavailable("read"), self.readers.begin() as connection:
            yield connection

    @contextmanager
    def cursor(self) -> Iterator[Any]:
        """This thread's own cursor of the driver, for what must be read in microseconds.

        Each statement sees the newest state. Placeholders are the driver's: see `mark`.
        """
        with span("store.read"), unavailable("read"):
            kept = getattr(self._local, "cursor", None)
            if kept is None or self._local.owner != os.getpid():
                kept = self._local.cursor = self._open_cursor()
                self._local.owner = os.getpid()
            try:
                yield kept
            except BaseException:
                self.forget()
                raise

    @property
    def mark(self) -> str:
        """The driver's placeholder of a parameter."""
        return "?" if self.is_sqlite else "%s"

    def forget(self) -> None:
        """Close this thread's own connection; the next use opens another."""
        connection, self._local.connection = getattr(self._local, "connection", None), None
        self._local.cursor = None
        if connection is not None:
            with suppress(Exception):
                connection.close()

    def close(self) -> None:
        """Give all connections back; SQLite then writes its log into the file."""
        self.forget()
        self.readers.dispose()
        with suppress(StoreUnavailableError), self._alone():
            self.writer.dispose()

    def _open_cursor(self) -> Any:
        fairy = self.readers.raw_connection()
        connection = self._local.connection = fairy.dbapi_connection
        fairy.detach()
        if not self.is_sqlite:
            assert connection is not None
            connection.autocommit = True
        assert connection is not None
        return connection.cursor()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """On SQLite, one writer at a time in this and every other process."""
        if self.file is None:
            yield
            return
        if not self._turn.acquire(timeout=PATIENCE):
            raise StoreUnavailableError(f"The store is busy: {_AGAIN}")
        try:
            with _locked(self.file.with_name(self.file.name + "-writer")):
                yield
        finally:
            self._turn.release()


_WANTED = "give sqlite:///FOLDER/FILE.db or postgresql://USER@HOST/NAME."
_AGAIN = "nothing was kept of what was not acknowledged; try again."


@contextmanager
def unavailable(done: str) -> Iterator[None]:
    """Make an error of the database a `StoreUnavailableError` that shows none of its content."""
    try:
        yield
    except DBAPIError as error:
        raise StoreUnavailableError(_why(done, error.orig)) from error
    except SQLAlchemyError as error:
        raise StoreUnavailableError(f"The store can't be {done} now; {_AGAIN}") from error
    except OSError as error:
        raise StoreUnavailableError(
            f"The store can't be {done} now ({error.strerror}); {_AGAIN}"
        ) from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in ("sqlite3", "psycopg"):
            raise
        raise StoreUnavailableError(_why(done, error)) from error


def _why(done: str, error: BaseException | None) -> str:
    said = str(error)
    for sign, meaning in _SIGNS.items():
        if sign in said:
            return f"The store can't be {done} now: {meaning}; {_AGAIN}"
    return f"The store can't be {done} now ({type(error).__name__}); {_AGAIN}"


_SIGNS = {
    "locked": "another program holds its lock",
    "locking protocol": "another program holds its lock",
    "full": "the disk is full",
    "No space left": "the disk is full",
    "disk I/O error": "the disk fails",
    "readonly": "its file may not be written to",
    "unable to open": "its file can't be opened",
    "no such table": "it was never set up",
    "timed out": "its server does not answer",
    "timeout expired": "its server does not answer",
    "Connection refused": "its server is not there",
}
"""What drivers say, and what it means."""


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock on a file that ends with the process, however it ends."""
    if os.name != "posix":
        yield
        return
    with path.open("ab") as file:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise StoreUnavailableError(
                        f"The store is busy: another process writes; {_AGAIN}"
                    ) from error
                time.sleep(0.0005)
        yield


def _sqlite(file: Path, read_only: bool) -> Engine:
    """SQLite with transactions that begin when they are said to begin."""
    mode = "ro" if read_only else "rwc"
    engine = create_engine(
        f"sqlite:///file:{file}?mode={mode}&uri=true",
        connect_args={"timeout": PATIENCE, "check_same_thread": False},
        **({} if read_only else {"pool_size": 1, "max_overflow": 0}),
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        connection.isolation_level = None  # the driver's own habit of beginning late is off
        for pragma in READER if read_only else WRITER:
            connection.execute(pragma)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("begin" if read_only else "begin immediate")

    return engine


def lively(url: str) -> URL:
    """The address of a PostgreSQL server, with what makes its loss noticed."""
    made = make_url(url)
    return made.update_query_dict({k: v for k, v in LIVELY.items() if k not in made.query})


def _postgresql(url: str) -> Engine:
    return create_engine(
        lively(url).set(drivername="postgresql+psycopg"),
        pool_pre_ping=True,
        pool_size=8,
        connect_args={
            "options": "-c synchronous_commit=on -c TimeZone=UTC -c statement_timeout=60000",
        },
    )
