"""The entrance: a name and a password, or an identity provider's word, become a person or nobody.

Takes what was typed or vouched for; gives the user. Whoever fails with a password is told nothing
of why, and an unknown name takes as long as a wrong password. Knows nothing about HTTP or
sessions.
"""

from collections.abc import Container

from features.errors import MilepostError
from serving.passwords import fits, hashed, outdated
from serving.people import LONGEST, User, Users
from serving.tries import Tries


class SignInError(MilepostError):
    """What was given is not that of anybody who may sign in."""

    code = "sign_in_refused"

    def __init__(
        self, who: User | None, says: str = "There is nobody of that name and password."
    ) -> None:
        super().__init__(says)
        self.who = who
        """Whose name it was, for the audit alone."""


class Entrance:
    """Lets people in."""

    def __init__(self, users: Users, tries: Tries, workspaces: Container[str]) -> None:
        self.users, self.tries, self.workspaces = users, tries, workspaces

    def named(self, name: str) -> User | None:
        """Who is meant, whether they may come in or not."""
        found = self.users.find(_typed(name))
        return found if found is not None and found.workspace in self.workspaces else None

    def enter(self, name: str, password: str, address: str) -> User:
        """The person of a name and a password.

        Raises
        ------
        SignInError
            When there is nobody of these, or they are disabled.
        RateLimitedError
            When it was tried too often; no password is looked at then.
        """
        found = self.named(name)
        self.tries.take(_typed(name), address)
        living = found if found is not None and found.disabled is None else None
        if not fits(password, None if living is None else living.hash) or living is None:
            raise SignInError(found)
        self.tries.succeeded(_typed(name), address)
        return self._at_todays_cost(living, password)

    def vouched(self, name: str) -> User:
        """The person whom the identity provider has let in under a name.

        Raises
        ------
        SignInError
            When nobody here has that name, or they are disabled.
        """
        found = self.named(name)
        if found is None or found.disabled is not None:
            raise SignInError(found, f"There is nobody called {_typed(name)} here who may sign in.")
        return found

    def _at_todays_cost(self, user: User, password: str) -> User:
        """The same person, with a hash that costs what a new one would."""
        if not outdated(user.hash):
            return user
        self.users.change(user.workspace, user.name, "rehash", hash=hashed(password))
        return self.users.find(user.name) or user


def _typed(name: str) -> str:
    """A name as it is kept; phones begin it with a capital letter."""
    return name[:LONGEST].strip().lower()
