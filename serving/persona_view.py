"""Personas as people and programs read them: what training told, beside today's book.

Takes a model's contract and the book; gives one document that the page and the API share. Of an
account manager's view the whole book tells numbers of customers alone. Knows nothing about HTTP.
"""

from dataclasses import dataclass
from functools import lru_cache

from sqlalchemy import func, select

from features.durations import format_moment
from models.contract import Contract
from models.persona import NOT_TOLD_APART, Persona
from models.question import question
from models.spoken import Words, number, plain
from serving.book_store import B, BookStore, Generation
from serving.page_words import amount, percentage
from serving.schemas_insight import InBook, PersonasAnswer, PersonaTold, TraitTold

SHARE, OF = "share", "units of "


@dataclass(frozen=True)
class Count:
    """Some customers of the book."""

    customers: int = 0
    mean: float | None = None
    """Of their scores."""
    at_stake: float = 0.0
    expected: float = 0.0


def personas_answer(
    contract: Contract, version: tuple[str, str], store: BookStore, made: Generation | None,
    sees: frozenset[str] | None,
) -> PersonasAnswer:  # fmt: skip
    """The personas of a problem's model.

    Parameters
    ----------
    version
        The registered model's name and its version.
    made
        The book that lists are read from; None where there is none yet.
    sees
        Whose customers the asker sees; None is everybody's.
    """
    everybody = {} if made is None else counted(store, made, None)
    own = {} if made is None or sees is None else counted(store, made, sees)
    total = sum(count.customers for count in everybody.values())
    personas = () if contract.personas is None else contract.personas.personas

    def in_book(name: str | None) -> InBook | None:
        if made is None:
            return None
        count = everybody.get(name, Count())
        share = count.customers / total if total else 0.0
        return _size(count, share) if sees is None else InBook(
            customers=count.customers, share=share)  # fmt: skip

    def in_own(name: str | None) -> InBook | None:
        if made is None or sees is None:
            return None
        mine = sum(count.customers for count in own.values())
        count = own.get(name, Count())
        return _size(count, count.customers / mine if mine else 0.0)

    return PersonasAnswer(
        problem=contract.problem_name, model=version[0], model_version=version[1],
        as_of=None if made is None else format_moment(made.as_of),
        asked=question(contract.problem), base_rate=contract.base_rate,
        none_because=None if personas else NOT_TOLD_APART[1],
        personas=[_told(each, contract.words, in_book(each.name), in_own(each.name))
                  for each in personas],
        others=in_book(None), own_others=in_own(None),
    )  # fmt: skip


def counted(
    store: BookStore, made: Generation, owners: frozenset[str] | None
) -> dict[str | None, Count]:
    """The customers of a generation by persona; None is who has none."""
    return _counted(_Store(store), made.problem, made.number, made.made, owners)


@dataclass(frozen=True, eq=False)
class _Store:
    """A book by what names it, so that what was counted of it is found again."""

    store: BookStore

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Store) and self._key == other._key

    @property
    def _key(self) -> tuple[str, int]:
        return str(self.store.database.writer.url), self.store.workspace


@lru_cache(maxsize=256)
def _counted(
    of: _Store, problem: str, number_: int, made: int, owners: frozenset[str] | None
) -> dict[str | None, Count]:
    """One look at all rows: a generation does not change once it is current."""
    del made  # a database that was made anew counts its generations from 1 again
    where = [B.workspace == of.store.workspace, B.problem == problem, B.generation == number_]
    if owners is not None:
        where.append(B.owner.in_(sorted(owners)))
    sums = func.avg(B.probability), func.sum(B.value_at_stake), func.sum(B.expected_value)
    query = select(B.persona, func.count(), *sums).where(*where).group_by(B.persona)
    with of.store.database.reading() as connection:
        return {
            persona: Count(int(count), float(mean), plain(stake or 0.0), plain(expected or 0.0))
            for persona, count, mean, stake, expected in connection.execute(query)
        }


def _size(count: Count, share: float) -> InBook:
    return InBook(
        customers=count.customers, share=share, mean_score=count.mean,
        value_at_stake=count.at_stake, expected_value=count.expected,
    )  # fmt: skip


def _told(persona: Persona, words: Words, book: InBook | None, own: InBook | None) -> PersonaTold:
    told = PersonaTold(
        name=persona.name, says=persona.says, share=persona.share, book=book, own=own
    )
    facts = persona.facts
    if facts is None:
        return told
    return told.model_copy(
        update={
            "customers": facts.customers, "rows": facts.rows, "rate": facts.rate,
            "rate_low": facts.low, "rate_high": facts.high, "path": list(facts.path),
            "path_share": facts.path_share,
            "traits": [
                TraitTold(
                    says=trait.says, here=trait.here, everybody=trait.everybody, unit=trait.unit,
                    here_said=said(trait.here, trait.unit, words),
                    everybody_said=said(trait.everybody, trait.unit, words),
                )
                for trait in facts.traits
            ],
        }
    )  # fmt: skip


def said(value: float, unit: str, words: Words) -> str:
    """A usual value in its unit: `45.0%`, `$13.34`, `12 days`."""
    if unit == SHARE:
        return percentage(100 * value)
    if unit.startswith(OF) and not unit.endswith(" a day"):
        return amount(value, unit.removeprefix(OF), words)
    told = number(value)
    return f"{told} {unit.removesuffix('s') if told == '1' else unit}"
