"""What is asked of DuckDB: running a business's SQL, and expressions over its columns.

Takes queries and column types; gives tables and SQL expressions that yield text, numbers
and microseconds. Knows nothing about journeys or about what a source is for.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb

from features.errors import SourceError
from features.event_log import CATEGORY, NUMBER, TIME

CANONICAL = {
    *("customer", "event_time", "recorded_time", "event", "event_id", "valid_from"),
    *("channel", "value", "account", "session", "text"),
    *("cutoff_time", "known_time", "label", "split"),
}
"""Columns with a meaning of their own, in sources or in label tables."""

CANONICAL_TEXT = ("event_id", "channel", "account", "session", "text")
"""Optional columns that are text whatever the source's type is."""

NUMERIC = {
    *("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "BOOLEAN"),
    *("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"),
}

UNEVEN_CSV = (
    " Some rows of the CSV file have more or fewer fields than its first line, so its columns "
    "can't be told apart. Mend those rows; or leave them out by reading the file with "
    "read_csv('FILE', delim = ',', header = true, ignore_errors = true); with store_rejects = true "
    "in place of ignore_errors DuckDB lists them."
)
"""DuckDB reads a file with uneven rows as one wide column, which its own messages don't say."""

NOTHING = '"NULL"'
"""The type of a column that is null in every row by its SQL."""

RAW = "_query"
"""The temp table that holds a query's rows as the business's SQL yields them."""


@contextmanager
def connection(
    folder: Path, attach: Mapping[str, str] | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB in memory in which relative paths begin in `folder` and times are UTC.

    Parameters
    ----------
    attach
        Databases that are opened for reading, by the name that the SQL calls them.
    """
    duck = duckdb.connect(config={"python_enable_replacements": False})
    try:
        duck.execute("set TimeZone = 'UTC'")
        duck.execute("set enable_progress_bar = false")
        duck.execute(f"set file_search_path = {quote_text(str(folder))}")
        for name, place in (attach or {}).items():
            _attach(duck, folder, name, place)
        yield duck
    finally:
        duck.close()


def _attach(duck: duckdb.DuckDBPyConnection, folder: Path, name: str, place: str) -> None:
    kind, colon, path = place.rpartition(":")
    if "=" not in path and not path.startswith("/"):
        path = str(folder / path)
    try:
        duck.execute(f"attach {quote_text(kind + colon + path)} as {quote(name)} (read_only)")
    except duckdb.Error as error:
        raise SourceError(
            f"The database {name!r} can't be attached: {_one_paragraph(error)}"
        ) from error


def materialise(duck: duckdb.DuckDBPyConnection, name: str, sql: str) -> dict[str, str]:
    """Run a query into the temp table `RAW`; give its columns and types.

    Raises
    ------
    SourceError
        When the query fails; the message names the source and says what DuckDB said.
    """
    try:
        statements = duck.extract_statements(sql)
        if len(statements) != 1:
            raise SourceError(
                f"The SQL of the source {name!r} has {len(statements)} statements; it must be one "
                "select."
            )
        query = statements[0].query.strip().rstrip(";")
        duck.execute(f"create or replace temp table {RAW} as {query}")
    except duckdb.Error as error:
        said = _one_paragraph(error)
        hint = UNEVEN_CSV if re.search(r'bindings: "[^"]*[,;|\t]', str(error)) else ""
        raise SourceError(f"The SQL of the source {name!r} fails: {said}{hint}") from error
    described = duck.execute(f"describe {RAW}").fetchall()
    columns = {_canonical(str(row[0])): str(row[1]).upper() for row in described}
    if reserved := [column for column in columns if column.lower().startswith("_milepost")]:
        raise SourceError(
            f"The source {name!r} yields a column {reserved[0]!r}; names that begin with _milepost "
            "are taken. Rename it in the SQL."
        )
    if len(columns) == 1 and re.search(r"[,;|\t]", next(iter(columns))):
        raise SourceError(
            f"The source {name!r} yields one column, {next(iter(columns))!r}.{UNEVEN_CSV}"
        )
    return columns


def _canonical(column: str) -> str:
    """SQL doesn't tell `Customer` from `customer`, so neither do the columns with a meaning."""
    return column.lower() if column.lower() in CANONICAL else column


def identifier(column: str, columns: dict[str, str]) -> str:
    """SQL for an identifier as text, empty and NaN as null; 17850.0 is 17850."""
    quoted = quote(column)
    kind = columns[column]
    if kind in ("DOUBLE", "FLOAT") or kind.startswith("DECIMAL"):
        nothing = f"isnan({quoted}::double)"
        whole = f"{quoted} = trunc({quoted}) and abs({quoted}) < 1e15"
        text = f"case when {whole} then {quoted}::bigint::varchar else {quoted}::varchar end"
        return f"case when not {nothing} then {text} end"
    return f"nullif({quoted}::varchar, '')"


def moment(source: str, column: str, columns: dict[str, str]) -> str:
    """SQL for a column as microseconds UTC, null where it is no time of the years 1 to 9999."""
    kind = columns[column]
    if kind == NOTHING:
        return "null::bigint"
    if not kind.startswith(("VARCHAR", "TIMESTAMP", "DATE")):
        raise SourceError(
            f"The column {column!r} of the source {source!r} is {kind}, not a time. Yield a date, "
            "a timestamp or ISO 8601 text; seconds since 1970 become one with "
            f"to_timestamp({column})."
        )
    cast = f"try_cast({quote(column)} as timestamptz)"
    last = "9999-12-31 23:59:59.999999"
    within = f"{cast} between timestamptz '0001-01-01' and timestamptz '{last}'"
    return f"case when {within} then epoch_us({cast}) end"


def kind_of_column(source: str, column: str, columns: dict[str, str]) -> str:
    """What a property's SQL type means: number, category or time."""
    kind = columns[column]
    if kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION", "LIST")):
        raise SourceError(
            f"The column {column!r} of the source {source!r} is {kind}, which holds several "
            f"values. Take one of them in the SQL, count them with len({column}), or leave the "
            "column out."
        )
    if column in CANONICAL_TEXT:
        return CATEGORY
    if kind in NUMERIC or kind.startswith("DECIMAL") or (kind == NOTHING and column == "value"):
        return NUMBER
    if column == "value":
        raise SourceError(
            f"The column 'value' of the source {source!r} is {kind}, not a number. Cast it in the "
            "SQL: try_cast(value as double) as value makes what is no number missing, and 19,90 is "
            "none; try_cast(replace(value, ',', '.') as double) as value reads a decimal comma."
        )
    return TIME if kind.startswith(("TIMESTAMP", "DATE")) else CATEGORY


def typed(source: str, column: str, columns: dict[str, str]) -> str:
    """SQL for a property with the type of its kind: double, text or microseconds UTC."""
    quoted = quote(column)
    match kind_of_column(source, column, columns):
        case "number":
            return f"{quoted}::double"
        case "time":
            return moment(source, column, columns)
    return f"nullif({quoted}::varchar, '')"


def quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def quote_text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _one_paragraph(error: Exception) -> str:
    """A DuckDB message without its echo of the query."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    kept = [line for line in lines if not line.startswith("LINE ") and set(line) != {"^"}]
    return " ".join(kept)[:900]
