"""Rows as a workbook that spreadsheet programs open (XLSX), some bytes at a time.

Takes flat rows; gives the file in pieces, so that memory does not grow with the rows. Text stays
text, whatever it looks like: no cell is a formula, `007` and long numbers keep their digits.
Knows nothing about what the rows are.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from string import ascii_uppercase
from typing import Any
from xml.sax.saxutils import escape
from zipfile import ZIP_DEFLATED, ZipFile

MOST_ROWS = 1_048_575
"""Rows of a sheet below its head; further ones go on in the next sheet."""
AT_ONCE = 500

_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_PARTS = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_KIND = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_OPEN = (
    f'{_HEAD}<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0">'
    '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView>'
    '</sheetViews><sheetFormatPr defaultColWidth="18" defaultRowHeight="15"/><sheetData>'
)
_CLOSE = "</sheetData></worksheet>"
_NO_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML can hold."""


class _Pieces:
    """What a zip writes, until it is taken."""

    def __init__(self) -> None:
        self.kept: list[bytes] = []

    def write(self, data: bytes) -> int:
        self.kept.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing waits here."""

    def taken(self) -> bytes:
        said = b"".join(self.kept)
        self.kept.clear()
        return said


def as_workbook(
    found: Iterable[Mapping[str, Any]], most_rows: int = MOST_ROWS
) -> Iterator[bytes]:  # fmt: skip
    """An XLSX file of rows that all have the first one's keys, which are each sheet's head."""
    pieces, rows = _Pieces(), iter(found)
    sheets = 0
    # The stub asks for all of a file; ZipFile writes to what can only be written to.
    with ZipFile(pieces, "w", ZIP_DEFLATED) as file:  # type: ignore[call-overload]
        first = next(rows, None)
        while first is not None or not sheets:
            sheets += 1
            some = () if first is None else chain([first], islice(rows, most_rows - 1))
            with file.open(f"xl/worksheets/sheet{sheets}.xml", "w") as sheet:
                for text in _sheet(iter(some)):
                    sheet.write(text.encode())
                    yield pieces.taken()
            first = next(rows, None)
        for name, text in _frame(sheets).items():
            file.writestr(name, _HEAD + text)
    yield pieces.taken()


def _sheet(rows: Iterator[Mapping[str, Any]]) -> Iterator[str]:
    yield _OPEN
    first = next(rows, None)
    if first is not None:
        columns = [_letters(number) for number in range(len(first))]
        yield _row(1, columns, first)
        rest = enumerate(chain([first], rows), 2)
        while some := [_row(n, columns, row.values()) for n, row in islice(rest, AT_ONCE)]:
            yield "".join(some)
    yield _CLOSE


def _letters(number: int) -> str:
    """The name of a column, counted from 0: A to Z, AA and on."""
    before = _letters(number // 26 - 1) if number >= 26 else ""
    return before + ascii_uppercase[number % 26]


def _row(number: int, columns: Sequence[str], values: Iterable[Any]) -> str:
    cells = (
        _cell(f"{column}{number}", value) for column, value in zip(columns, values, strict=True)
    )
    return f'<row r="{number}">{"".join(cells)}</row>'


def _cell(place: str, value: Any) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, bool):
        return f'<c r="{place}" t="b"><v>{int(value)}</v></c>'
    if isinstance(value, int | float):
        return f'<c r="{place}"><v>{value!r}</v></c>'
    text = escape(_NO_XML.sub("\ufffd", str(value)), {"\r": "&#13;"})
    return f'<c r="{place}" t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'


def _frame(sheets: int) -> dict[str, str]:
    """The parts of the file around its sheets."""
    numbers = range(1, sheets + 1)
    kinds = "".join(
        f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{_KIND}.worksheet+xml"/>'
        for n in numbers
    )
    listed = "".join(f'<sheet name="{n}" sheetId="{n}" r:id="r{n}"/>' for n in numbers)
    lead = "".join(
        f'<Relationship Id="r{n}" Type="{_OFFICE}/worksheet" Target="worksheets/sheet{n}.xml"/>'
        for n in numbers
    )
    return {
        "[Content_Types].xml": f'<Types xmlns="{_PARTS}/content-types">'
        '<Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_KIND}.sheet.main+xml"/>'
        f"{kinds}</Types>",
        "_rels/.rels": f'<Relationships xmlns="{_PARTS}/relationships"><Relationship Id="r1" '
        f'Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}">'
        f"<sheets>{listed}</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PARTS}/relationships">{lead}'
        "</Relationships>",
    }
