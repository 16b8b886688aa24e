"""The book as a file: Parquet or CSV, whole under its name or not there.

Takes the parts of a scored book; writes one file, which gets its name when it is complete. In CSV
no cell of text begins as a formula would. Knows nothing about how scores are made.
"""

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from secrets import token_hex

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from features.errors import MilepostError

FORMULA = r"^[=+\-@\t\r\n＝＋－＠]"
"""What a spreadsheet takes for a formula, full-width variants too."""
_FORMULA = re.compile(FORMULA)

KINDS = (".parquet", ".csv")


class BookFileError(MilepostError):
    """A file that the book can't be written to."""

    code = "book_file_invalid"


def guarded(text: str) -> str:
    """Text that no spreadsheet runs: a quote is put before what begins as a formula would."""
    return f"'{text}" if _FORMULA.match(text) else text


def guarded_column(column: pa.Array) -> pa.Array:
    """The same for a column; only its distinct values are looked at where it has a dictionary."""
    if pa.types.is_dictionary(column.type):
        said = guarded_column(column.dictionary)
        return pa.DictionaryArray.from_arrays(column.indices, said)
    if not pa.types.is_string(column.type):
        return column
    return pc.if_else(
        pc.match_substring_regex(column, FORMULA), pc.binary_join_element_wise("'", column, ""),
        column,
    )  # fmt: skip


def check_path(path: Path) -> None:
    """Raise `BookFileError` where a book can't be written."""
    if path.suffix not in KINDS:
        raise BookFileError(f"{path} ends in {path.suffix!r}; name a file that ends in .parquet "
                            "or .csv.")  # fmt: skip
    if not path.parent.is_dir():
        raise BookFileError(f"The folder {path.parent} is not there. Make it first.")


def write_book(path: Path, parts: Iterable[pa.Table], about: dict[str, str]) -> int:
    """Write the parts one after the other; gives how many rows.

    Parameters
    ----------
    about
        Goes into the Parquet file's own metadata, under the key `milepost`.
    """
    new = path.with_name(f".{path.name}.{token_hex(4)}")
    try:
        rows = _write(new, path.suffix, parts, about)
        with new.open("rb") as file:
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as error:
        raise BookFileError(f"{path} can't be written ({error.strerror or error}).") from error
    finally:
        new.unlink(missing_ok=True)
    return rows


def _write(path: Path, suffix: str, parts: Iterable[pa.Table], about: dict[str, str]) -> int:
    rows = 0
    writer: pq.ParquetWriter | pcsv.CSVWriter | None = None
    try:
        for part in parts:
            table = part.replace_schema_metadata({"milepost": json.dumps(about)})
            if suffix == ".csv":
                table = csv_table(table)
            if writer is None:
                writer = _writer(path, suffix, table.schema)
            writer.write_table(table)
            rows += table.num_rows
    finally:
        if writer is not None:
            writer.close()
    return rows


def _writer(path: Path, suffix: str, schema: pa.Schema) -> "pq.ParquetWriter | pcsv.CSVWriter":
    if suffix == ".csv":
        return pcsv.CSVWriter(str(path), schema)
    return pq.ParquetWriter(path, schema, compression="zstd", compression_level=1)


def csv_table(table: pa.Table) -> pa.Table:
    """Plain columns: text that is guarded, moments in ISO 8601."""
    columns = {}
    for name in table.column_names:
        column = table[name].combine_chunks()
        if isinstance(column, pa.ChunkedArray):  # without rows there is no chunk
            column = pa.array([], column.type)
        if pa.types.is_timestamp(column.type):
            column = pc.strftime(column.cast(pa.timestamp("s", tz="UTC"), safe=False),
                                 format="%Y-%m-%dT%H:%M:%SZ")  # fmt: skip
        column = guarded_column(column)
        if pa.types.is_dictionary(column.type):
            column = column.cast(pa.string())
        columns[name] = column
    return pa.table(columns)
