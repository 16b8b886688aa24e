"""Exports as a spreadsheet program opens them: gnumeric reads them, and what it found is compared.

Customers and owners have the names that spreadsheets are known to run, cut or change.
"""

import csv
import gzip
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from conftest import Service, serve

READER = shutil.which("ssconvert")
pytestmark = pytest.mark.skipif(
    READER is None, reason="no spreadsheet reader (ssconvert) here; on Debian: make system"
)

NUMBERS_OF_TEXT = (
    "007", "12345678901234567890", "1e5", "1-2", "2024-01-02", "3/4", "TRUE", "1,5", "0x1F",
)  # fmt: skip
"""Text that is no text to whoever guesses types."""
HOSTILE = (
    "=1+1", "=cmd|' /C calc'!A0", "+49 30 1234", "-2+3", "@SUM(A1)", "＝1+1", "\t=1", "\r=1",
    'a "quoted" name', "'", "semi;colon", "comma, name", "two\nlines", "Größe & Söhne <b>",
    " spaces ", "日本 😀", "_x0041_", "\\", "a|b",
)  # fmt: skip
NAMES = (*NUMBERS_OF_TEXT, *HOSTILE)
OWNER = '=HYPERLINK("http://evil.example","Käufer; 1")'

TEXT, NUMBER, FORMULA = "text", "number", "formula"
KINDS = {"60": TEXT, "40": NUMBER, "20": "truth", None: FORMULA}
GNUMERIC = "{http://www.gnumeric.org/v10.dtd}"


@pytest.fixture(scope="module")
def service(
    shop: Path, shop_run: tuple[Path, object], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """The trained shop, some of whose customers have other names, and one owner."""
    folder = tmp_path_factory.mktemp("hostile-shop")
    names = {f"c{number:03d}": name for number, name in enumerate(NAMES)}
    for table in ("orders.csv", "tickets.csv", "customers.csv"):
        head, *rows = csv.reader((shop.parent / table).open(newline=""))
        with (folder / table).open("w", newline="") as file:
            writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
            writer.writerows([head, *([names.get(row[0], row[0]), *row[1:]] for row in rows)])
    said = shop.read_text()
    for table in ("orders.csv", "tickets.csv", "customers.csv"):
        said = said.replace(f"'{table}'", f"read_csv('{table}', types={{'customer': 'VARCHAR'}})")
    (folder / "journey.toml").write_text(said)
    workspace = tmp_path_factory.mktemp("hostile-workspace") / "copy"
    others = shutil.ignore_patterns("milepost.db*", "book-histories")
    shutil.copytree(shop_run[0], workspace, ignore=others)
    for made in serve(folder / "journey.toml", workspace):
        with made.client() as client:
            customers = [row["customer"] for row in exported(client.get("/v1/export/book").text)]
            sent = {"problem": "churn", "customers": customers[:3], "do": "assign", "owner": OWNER}
            assert 200 == client.post("/v1/worklist", json=sent).status_code
        yield made


def exported(lines: str) -> list[dict[str, Any]]:
    """The rows of the export that has types of its own."""
    return [json.loads(line) for line in lines.split("\n") if line]


def opened(service: Service, form: str, folder: Path) -> list[list[tuple[str, str]]]:
    """The rows of an export as the spreadsheet reader has them: kind and content of each cell."""
    written, read = folder / f"book.{form}", folder / "book.gnumeric"
    with service.client() as client:
        answer = client.get("/v1/export/book", params={"format": form})
        assert 200 == answer.status_code
        written.write_bytes(answer.content)
    done = subprocess.run(
        [str(READER), str(written), str(read)], capture_output=True, text=True, timeout=120,
        env={"LC_ALL": "C.UTF-8", "HOME": str(folder)}, check=True,
    )  # fmt: skip
    assert "" == done.stderr.strip()
    (sheet,) = ElementTree.fromstring(gzip.decompress(read.read_bytes())).iter(f"{GNUMERIC}Sheet")
    cells = {
        (int(cell.attrib["Row"]), int(cell.attrib["Col"])): (
            KINDS[cell.get("ValueType")], cell.text or "",
        )
        for cell in sheet.iter(f"{GNUMERIC}Cell")
    }  # fmt: skip
    wide, high = max(col for _, col in cells) + 1, max(row for row, _ in cells) + 1
    return [[cells.get((row, col), ("", "")) for col in range(wide)] for row in range(high)]


def listed(service: Service) -> list[dict[str, Any]]:
    """The list, whole, by place."""
    with service.client() as client:
        return exported(client.get("/v1/export/book").text)


def test_the_list_holds_the_hostile_names(service: Service) -> None:
    """What the other tests look for is there."""
    rows = listed(service)
    assert {row["customer"] for row in rows} & set(HOSTILE)
    assert {row["customer"] for row in rows} & set(NUMBERS_OF_TEXT)
    assert 3 == sum(row["owner"] == OWNER for row in rows)


def test_a_workbook_opens_with_every_value_as_it_is(service: Service, tmp_path: Path) -> None:
    """Rows and columns are those of the list; text is the same text, numbers are the same
    numbers, and no cell is a formula."""
    rows = listed(service)
    head, *cells = opened(service, "xlsx", tmp_path)
    assert len(rows) == len(cells)
    names = [name for _, name in head]
    assert [name for name in rows[0] if name != "reasons"] == names[: len(rows[0]) - 1]
    assert len(rows[0]) - 1 + 2 * 3 == len(names)
    for row, line in zip(rows, cells, strict=True):
        for name, (kind, content) in zip(names, line, strict=True):
            value = row[name] if name in row else reason(row, name)
            if value is None:
                assert ("", "") == (kind, content), name
            elif isinstance(value, str):
                assert (TEXT, value) == (kind, content), name
            else:
                assert NUMBER == kind and value == pytest.approx(float(content), rel=1e-15), name


def test_a_csv_opens_without_a_formula(service: Service, tmp_path: Path) -> None:
    """Rows and columns are those of the list, text is whole, and what would have been run has a
    quote before it. Whoever guesses types may still take `007` for a number: that is CSV."""
    rows = listed(service)
    head, *cells = opened(service, "csv", tmp_path)
    assert (len(rows), len(rows[0]) - 1 + 2 * 3) == (len(cells), len(head))
    assert not [cell for line in cells for cell in line if cell[0] == FORMULA]
    place = [name for _, name in head].index("customer")
    for row, line in zip(rows, cells, strict=True):
        if row["customer"] not in NUMBERS_OF_TEXT:
            assert line[place][1].removeprefix("'") == row["customer"].removeprefix("'")


def reason(row: dict[str, Any], name: str) -> Any:
    """What stands in a column `reason_2` or `reason_2_points`."""
    number, _, points = name.removeprefix("reason_").partition("_")
    reasons = row["reasons"]
    if int(number) > len(reasons):
        return None
    return reasons[int(number) - 1]["points" if points else "statement"]
