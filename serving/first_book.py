"""The book of histories that are in memory, made when the service starts.

Takes a registered model and the histories; puts the book into the store, unless it is there.
"""

from pathlib import Path

from features.config import Business
from features.sources import Histories
from models.registry import Registered
from serving.book import Wish, score_book
from serving.book_histories import FromSources
from serving.book_reasons import Speaker
from serving.book_rows import MOST_TOLD
from serving.event_store import TenantStore
from serving.keeper import Keeper, Version


def make_book(
    business: Business,
    folder: Path,
    store: TenantStore,
    registered: Registered,
    histories: Histories,
) -> None:
    """Score everybody, unless the kept book is of this version and these histories.

    Where the store has events, the book is the keeper's: it is of the store.
    """
    if store.arrival():
        return
    keeper = Keeper(business, store, folder, FromSources(business, folder), lambda _: None)
    problem = registered.model.contract.problem_name
    version = Version(folder, registered.name, registered.version, registered.version)
    state = (0, histories.end)
    if not keeper.differs(problem, version, state):
        return
    with keeper.book.alone() as may:
        if may:
            part = score_book(
                Speaker(registered.model), histories.log, histories.attributes, histories.end,
                Wish(MOST_TOLD),
            )  # fmt: skip
            keeper.put(problem, version, state, part.table, part.unscored)
