"""Whose customers are now: of whom a lead assigned, else of whom the histories name.

Takes a workspace's store, the attribute that names owners (`[people] owner`) and customers; the one
place where the two are put together. Knows nothing about who asks, or HTTP.
"""

from collections.abc import Collection

from serving.event_store import TenantStore
from serving.owners import owner_said
from serving.worklist import Worklist


def owners_now(
    store: TenantStore, attribute: str | None, customers: Collection[str]
) -> dict[str, str | None]:
    """The owner of each of some customers; None of nobody's."""
    assigned = Worklist(store.database, store.workspace).owners_of(customers)
    others = [who for who in customers if who not in assigned]
    return said_owners(store, attribute, others) | assigned


def said_owners(
    store: TenantStore, attribute: str | None, customers: Collection[str]
) -> dict[str, str | None]:
    """Whom the histories name alone, whatever was assigned."""
    if attribute is None or not customers:
        return dict.fromkeys(customers)
    # Who looks after a customer now does so wherever the histories end.
    now, said = store.as_of().known_time, store.journeys.statements_of(frozenset(customers))
    return {who: owner_said(said.get(who, []), attribute, now) for who in customers}


def known_owners(store: TenantStore, attribute: str) -> set[str]:
    """Everybody who was named by the histories at some time, or to whom a lead assigned."""
    assigned = Worklist(store.database, store.workspace).assigned()
    return store.journeys.ever_said(attribute) | set(assigned.values())
