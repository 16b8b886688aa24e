"""Workbooks: what stands in the file, whatever the rows hold."""

import io
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree
from zipfile import ZipFile

import pytest

from serving.workbook import as_workbook

MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def sheets(rows: Sequence[Mapping[str, Any]], most_rows: int = 1_000) -> list[list[dict[str, Any]]]:
    """The rows of each sheet: type and content by the name of the cell."""
    with ZipFile(io.BytesIO(b"".join(as_workbook(rows, most_rows)))) as file:
        assert file.testzip() is None
        book = ElementTree.fromstring(file.read("xl/workbook.xml"))
        names = [f"xl/worksheets/sheet{n + 1}.xml" for n in range(len(book[0]))]
        assert set(names) <= set(file.namelist())
        read = [ElementTree.fromstring(file.read(name)) for name in names]
    return [
        [
            {cell.attrib["r"]: (cell.get("t"), "".join(cell.itertext())) for cell in row}
            for row in sheet.iter(f"{MAIN}row")
        ]
        for sheet in read
    ]


def test_each_value_keeps_its_kind() -> None:
    """Text, numbers and truths; what is missing or no number has no cell."""
    row = {"a": "007", "b": 0.1, "c": 12, "d": True, "e": None, "f": float("nan"), "g": "=1+1"}
    ((head, line),) = sheets([row])
    assert {f"{name.upper()}1": ("inlineStr", name) for name in row} == head
    assert {
        "A2": ("inlineStr", "007"), "B2": (None, "0.1"), "C2": (None, "12"), "D2": ("b", "1"),
        "G2": ("inlineStr", "=1+1"),
    } == line  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [("<b>&\"'", "<b>&\"'"), (" a\tb\nc\rd ", " a\tb\nc\rd "),
     ("a\x00\x1b\ufffe", "a\ufffd\ufffd\ufffd")],
)  # fmt: skip
def test_text_stays_text(text: str, expected: str) -> None:
    """Markup and white space are kept; a character that no XML can hold is marked as lost."""
    (((_, line)),) = sheets([{"a": text}])
    assert {"A2": ("inlineStr", expected)} == line


@pytest.mark.parametrize(
    ("rows", "expected"), [(0, [0]), (1, [2]), (3, [4]), (4, [4, 2]), (7, [4, 4, 2])]
)
def test_a_full_sheet_goes_on_in_the_next(rows: int, expected: list[int]) -> None:
    """Every sheet has the head; no row is lost and no sheet is empty but that of no rows."""
    found = sheets([{"a": n} for n in range(rows)], most_rows=3)
    assert expected == [len(sheet) for sheet in found]
    said = [int(line[f"A{n}"][1]) for sheet in found for n, line in enumerate(sheet[1:], 2)]
    assert [*range(rows)] == said


def test_columns_are_named_beyond_z() -> None:
    """The twenty-seventh column is AA."""
    ((head, _),) = sheets([{f"c{n}": n for n in range(30)}])
    assert ["Z1", "AA1", "AB1"] == [*head][25:28]
