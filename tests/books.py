"""Scored books that tests make, without a model, and keep."""

import numpy as np
import pyarrow as pa

from serving.at_risk import Page, Question, page
from serving.book import BAND_NAMES, COLUMNS, INSTANT, bands, words
from serving.book_reasons import names
from serving.book_rows import cells, owned_cells, ranks, rows
from serving.book_store import MAKING, BookStore, Generation

AS_OF = 1_700_000_000_000_000
PROBLEM = "churn"
MANY = {f"c{n:03d}": (n * 37 % 101) / 101 for n in range(101)}


def scored(probabilities: dict[str, float], stake: float | None = 100.0) -> pa.Table:
    """The book of some customers, in the order of their ids."""
    customers = sorted(probabilities)
    p = np.array([probabilities[c] for c in customers])
    worth = np.full(len(p), np.nan if stake is None else stake) * (1 + np.arange(len(p)) % 7)
    columns = {
        "customer": pa.array(customers),
        "as_of": pa.array([AS_OF] * len(p), INSTANT),
        "probability": pa.array(p),
        "percentile": pa.array(100 * p),
        "band": words(bands(100 * p), BAND_NAMES),
        "value_at_stake": pa.array(worth, from_pandas=True),
        "expected_value": pa.array(p * worth, from_pandas=True),
        "stage": words((np.arange(len(p)) % 3).astype(np.int32), ("usage", "support", "renewal")),
        "owner": words((np.arange(len(p)) % 4 - 1).astype(np.int32), ("Anna", "Bert", "Cora")),
        "base_points": pa.array(np.full(len(p), 5.0)),
    }
    full = {
        name: columns.get(name, pa.nulls(len(p), kind)).cast(kind)
        for name, (kind, _) in COLUMNS.items()
    }
    for rank in (1, 2, 3):
        text, points, feature, kind = names(rank)
        full[text] = pa.array([f"=HYPERLINK({rank})"] * len(p)).dictionary_encode()
        full[points] = pa.array(np.full(len(p), 4.0 - rank))
        full[feature] = pa.array(["login_count_30d"] * len(p)).dictionary_encode()
        full[kind] = pa.array(["actionable"] * len(p)).dictionary_encode()
    return pa.table(full)


def put(book: BookStore, probabilities: dict[str, float], version: str = "1") -> int:
    """Keep a book of these scores; its generation."""
    table = scored(probabilities)
    made = Generation(PROBLEM, 0, MAKING, "shop-churn", version, version, AS_OF, AS_OF, 1, 2, 0,
                      {}, ())  # fmt: skip
    number = book.begin(made)
    stood = book.stood(PROBLEM)
    book.add(PROBLEM, number, rows(table, *ranks(table), stood.bands))
    with book.database.writing() as connection:
        book.finish(connection, PROBLEM, number, table.num_rows, {"not_active": 3}, cells(table),
                    owned_cells(table))  # fmt: skip
        book.remember(connection, PROBLEM, stood, table["customer"].to_pylist())
    book.sweep(PROBLEM)
    return number


def walked(book: BookStore, **asked: object) -> list[Page]:
    """All pages of a question."""
    pages, cursor = [], None
    while True:
        found = page(book, Question(PROBLEM, cursor=cursor, **asked))  # type: ignore[arg-type]
        pages.append(found)
        cursor = found.next
        if cursor is None:
            return pages
