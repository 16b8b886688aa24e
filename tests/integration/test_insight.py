"""Personas and the model's page over HTTP, and the book behind the personas."""

from dataclasses import replace
from pathlib import Path

import httpx
import pyarrow as pa
import pytest
from books import AS_OF, scored
from conftest import Service
from pages import faults, read_page
from stores import opened

from models.contract import Contract
from models.files import load
from models.persona import Facts, Persona, Personas, Trait
from serving.book_rows import cells, owned_cells, ranks, rows
from serving.book_store import MAKING, BookStore, Generation
from serving.persona_view import counted, personas_answer, said


@pytest.fixture
def book(tmp_path: Path) -> BookStore:
    """A book of 60 customers: two personas and some without, owned by three people and nobody."""
    store = opened(f"sqlite:///{tmp_path}/milepost.db")
    book = BookStore(store.database, store.workspace)
    table = scored({f"c{n:02d}": (n * 7 % 60) / 60 for n in range(60)})
    names = [("Bargains", None, "Regulars")[n % 3] for n in range(60)]
    place = table.column_names.index("persona")
    column = pa.array(names).dictionary_encode().cast(table.schema.field("persona").type)
    table = table.set_column(place, "persona", column)
    made = Generation("churn", 0, MAKING, "m", "1", "1", AS_OF, AS_OF, 1, 2, 0, {}, ())
    number = book.begin(made)
    book.add("churn", number, rows(table, *ranks(table), {}))
    with book.database.writing() as connection:
        book.finish(connection, "churn", number, 60, {}, cells(table), owned_cells(table))
    return book


@pytest.fixture(scope="module")
def contract(shop_run: tuple[Path, object]) -> Contract:
    """The shop's contract with two personas, one of a model that told nothing of them."""
    facts = Facts(9, 20, 0.2, 0.1, 0.3, (Trait("Share of web", 0.5, 0.25, "share"),), ("usage",), 1)
    two = (Persona("Bargains", "Says.", 0.6, (), facts), Persona("Regulars", "Says.", 0.4, ()))
    contract = load(shop_run[0] / "shop" / "churn" / "model").contract
    return replace(contract, personas=Personas((), two, {}))


def test_personas_are_counted_as_the_book_has_them(book: BookStore, contract: Contract) -> None:
    """Customers, mean score and sums of each are those of the book's own rows, and all are in."""
    made = book.current("churn")
    assert made is not None
    told = personas_answer(contract, ("m", "1"), book, made, None)
    assert [20, 20] == [each.book.customers for each in told.personas if each.book]
    assert told.others is not None and 20 == told.others.customers
    stakes = {c.persona: 0.0 for c in made.cells}
    for cell in made.cells:
        stakes[cell.persona] += cell.value_at_stake
    for each in told.personas:
        assert each.book is not None and each.own is None
        assert each.book.value_at_stake == pytest.approx(stakes[each.name])
    of_first = [(n * 7 % 60) / 60 for n in range(60) if n % 3 == 0]
    first = told.personas[0]
    assert first.book and first.book.mean_score == pytest.approx(sum(of_first) / 20)
    assert ("50.0%", 0.2, None) == (
        first.traits[0].here_said, first.rate, told.personas[1].rate
    )  # fmt: skip


def test_an_account_manager_reads_numbers_of_others_alone(
    book: BookStore, contract: Contract
) -> None:
    """What is said of scores and money is of their own customers; nobody else's shows."""
    made = book.current("churn")
    told = personas_answer(contract, ("m", "1"), book, made, frozenset(("Anna",)))
    for each in told.personas:
        assert each.book and each.own and 20 == each.book.customers > each.own.customers
        assert each.book.mean_score is each.book.value_at_stake is None
        assert each.own.mean_score is not None
    assert told.own_others is not None
    assert 15 == told.own_others.customers + sum(e.own.customers for e in told.personas if e.own)
    assert made is not None and {} == counted(book, made, frozenset())


def test_without_a_book_sizes_are_not_told(book: BookStore, contract: Contract) -> None:
    """Before the first book there are no numbers, and no zeros either."""
    told = personas_answer(contract, ("m", "1"), book, None, None)
    assert told.as_of is told.personas[0].book is told.others is None
    plain = personas_answer(replace(contract, personas=None), ("m", "1"), book, None, None)
    assert plain.none_because and [] == plain.personas


def test_usual_values_are_said_in_their_unit(contract: Contract) -> None:
    """Shares in per cent, properties in the business's unit, all else with its own."""
    words = replace(contract.words, units={"value": "$"})
    assert "45.0%" == said(0.45, "share", words)
    assert "$13.34" == said(13.34, "units of value", words)
    assert said(3.0, "days", words).endswith(" days")


@pytest.mark.parametrize("path", ["/personas", "/model"])
def test_pages_are_sound(shop_service: Service, path: str) -> None:
    """Each answers with a page whose headings, labels and tables are in order; an unknown problem
    is 404 and a page as well."""
    with shop_service.client() as client:
        page = client.get(path)
        assert 200 == page.status_code
        assert [] == faults(read_page(page.text))
        missing = client.get(path, params={"problem": "nothing"})
        assert (404, True) == (missing.status_code, "<h1>" in missing.text)


def test_the_documents_name_the_version_that_answers(shop_service: Service) -> None:
    """`/v1/personas` and `/v1/model` tell the version that scores are made by."""
    with shop_service.client() as client:
        version = client.get("/v1/problems").json()["problems"][0]["model_version"]
        for path in ("/v1/personas", "/v1/model"):
            answer = client.get(path)
            assert (200, version) == (answer.status_code, answer.json()["model_version"])
        told = client.get("/v1/model").json()
    assert told["champion"]["judgement"]["reliability"]
    assert httpx.codes.NOT_FOUND == _status(shop_service, "/v1/model?problem=nothing")


def _status(service: Service, path: str) -> int:
    with service.client() as client:
        return client.get(path).status_code
