"""Whose customers a caller sees: a person's own, a team's, or everybody's.

Takes a request and a tenant; says whether a customer exists for the caller. A customer is of whom
a lead assigned, or of whom the histories name. Where the business names no owners, and for keys,
everybody's do.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from starlette.requests import Request

from serving.keys import Caller
from serving.ownership import owners_now
from serving.refusals import NotFoundError
from serving.state import Tenant

UNKNOWN = "No event or attribute of that customer is stored."
"""Said alike of a customer that there is not and of one that is another's."""


@dataclass(frozen=True)
class Sight:
    """What a caller sees of a workspace."""

    tenant: Tenant
    owners: frozenset[str] | None
    """Whose customers; None is everybody's."""

    def of(self, customer: str | None) -> bool:
        """Whether a stored customer exists for the caller; one without a name never does."""
        return self.owners is None or (customer is not None and bool(self.among([customer])))

    def among(self, customers: Iterable[str]) -> frozenset[str]:
        """Those of some stored customers that exist for the caller."""
        names, attribute = frozenset(customers), self.tenant.business.people.owner
        if self.owners is None:
            return names
        if attribute is None:
            return frozenset()
        owners = owners_now(self.tenant.kept, attribute, names)
        return frozenset(name for name in names if owners[name] in self.owners)

    def check(self, customer: str) -> None:
        """Raise what is raised of a customer that there is not, if the caller doesn't see it.

        Raises
        ------
        NotFoundError
        """
        if not self.of(customer):
            raise NotFoundError("customer_unknown", UNKNOWN)


def sight_of(request: Request, tenant: Tenant) -> Sight:
    """What the caller of a request sees."""
    caller: Caller | None = request.scope.get("caller")
    if caller is None or tenant.business.people.owner is None:
        return Sight(tenant, None)
    return Sight(tenant, caller.sees)
