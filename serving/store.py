"""The histories that the service scores from.

Takes a business; reads its sources once, into memory; gives one customer's journey or the
whole book. Knows nothing about models or HTTP.
"""

from dataclasses import dataclass

from features.config import Business
from features.event_log import EventLog
from features.sources import Histories, SourceAccount, read_histories


@dataclass(frozen=True)
class Journey:
    """One customer's history, alone in its logs."""

    log: EventLog
    attributes: EventLog


@dataclass(frozen=True)
class Store:
    """Every customer's history as of the last reading."""

    histories: Histories

    @property
    def end(self) -> int:
        """The moment up to which the histories reach, microseconds UTC."""
        return self.histories.end

    @property
    def sources(self) -> tuple[SourceAccount, ...]:
        return self.histories.sources

    def journey(self, customer: str) -> Journey | None:
        """One customer's history, None when nothing at all is known of the customer."""
        log = self.histories.log
        if log.index(customer) is None:
            return None
        return Journey(log.history(customer), self.histories.attributes.history(customer))


def open_store(business: Business) -> Store:
    """Read a business's sources; rows that can't be used are counted in their accounts."""
    return Store(read_histories(business))
