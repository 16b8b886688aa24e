"""The store's tables, made and changed step by step with Alembic.

`upgrade` brings a database to the newest step; a service calls it when it starts. Several
processes may start at once: one migrates, the others wait for it. Knows nothing about rows.
"""

from importlib.resources import as_file, files

from sqlalchemy import Connection, inspect, text

from serving.database import Database, StoreUnavailableError, unavailable

NEWEST = "0001"
"""The step that this version of the code works with."""

LOCK = 4_107_365_283
"""The number of PostgreSQL's advisory lock that a migration holds."""


def upgrade(database: Database) -> None:
    """Make or change the tables, if they are not what this version expects.

    Raises
    ------
    StoreUnavailableError
        When the database can't be reached or written, or a newer version has changed it.
    """
    if database.file is not None:
        with unavailable("written"):
            database.file.parent.mkdir(parents=True, exist_ok=True)
    with database.writing() as connection:
        if not database.is_sqlite:
            connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        found = current(connection)
        if found is not None and found > NEWEST:
            raise StoreUnavailableError(
                f"The store is at step {found}, this version knows {NEWEST}: a newer version has "
                "changed it. Start that version."
            )
        if found != NEWEST:
            _migrate(connection)


def current(connection: Connection) -> str | None:
    """The step that a database is at; None where it has no tables yet."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("select version_num from alembic_version")).scalar()


def _migrate(connection: Connection) -> None:
    from alembic import command  # here, because a start that finds nothing to do needs none of it
    from alembic.config import Config

    with as_file(files("serving") / "migrations") as folder:
        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
