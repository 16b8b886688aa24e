"""People: who may sign in with a name and a password, what they are, and whose customers they see.

Takes a database; adds, lists and changes users, and holds them in memory for requests. A user
belongs to one workspace and has one role. Knows nothing about HTTP or how a password is checked.
"""

import re
import secrets
import threading
from contextlib import suppress
from dataclasses import dataclass

from features.durations import this_moment
from features.errors import MilepostError, nearest
from serving.audit import Asked
from serving.database import Database
from serving.keys import Caller
from serving.mailer import is_email
from serving.people_tables import USERS
from serving.tables import AUDIT

MANAGER, LEAD, SCIENTIST, ADMIN = "account-manager", "lead", "data-scientist", "admin"
ROLES = (MANAGER, LEAD, SCIENTIST, ADMIN)

NAMED = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,63}")
LONGEST = 200


class PeopleError(MilepostError):
    """A user that can't be added, found or changed."""

    code = "people_invalid"


@dataclass(frozen=True)
class User:
    """A person; times are microseconds UTC."""

    id: str
    workspace: str
    name: str
    role: str
    owner: str | None
    """What the histories call this person where they say whose a customer is."""
    team: str | None
    hash: str
    made: int
    disabled: int | None = None
    email: str | None = None
    """Where the weekly digest goes."""

    @property
    def called(self) -> str:
        """The person in the audit and where requests are counted; no key's id looks like it."""
        return f"user:{self.name}"


class Users:
    """The users of a database."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def all(self) -> list[User]:
        """Every user of every workspace, in the order of their names."""
        with self.database.reading() as connection:
            rows = connection.execute(USERS.select().order_by(USERS.c.name)).mappings()
            return [User(**row) for row in rows]

    def find(self, name: str) -> User | None:
        """The user of a name, disabled or not."""
        with self.database.reading() as connection:
            row = connection.execute(USERS.select().where(USERS.c.name == name)).mappings().first()
        return None if row is None else User(**row)

    def add(
        self, workspace: str, name: str, role: str, hash_: str,
        owner: str | None = None, team: str | None = None, email: str | None = None,
    ) -> User:  # fmt: skip
        """Add a person.

        Raises
        ------
        PeopleError
            When the name can't be used or is taken, or the role is none.
        """
        if not NAMED.fullmatch(name):
            raise PeopleError(
                f"{name!r} is no name: up to 64 of a-z, 0-9 and . _ @ + -, such as jane.doe."
            )
        _check(role, owner, team, email)
        number = secrets.token_hex(8)
        made = User(number, workspace, name, role, owner, team, hash_, this_moment(), email=email)
        if self.find(name) is not None:
            raise PeopleError(f"The name {name} is taken; see: users list, users enable.")
        with self.database.writing() as connection:
            connection.execute(USERS.insert().values(**vars(made)))
            connection.execute(AUDIT.insert().values(_done("add", made)))
        return made

    def change(self, workspace: str, name: str, done: str, **values: str | int | None) -> None:
        """Change a person of a workspace; `done` is what the audit calls it.

        Raises
        ------
        PeopleError
            When the workspace has nobody of that name, or a value can't be meant.
        """
        found = self.find(name)
        if found is None or found.workspace != workspace:
            known = [user.name for user in self.all() if user.workspace == workspace]
            raise PeopleError(f"{workspace} has no user {name!r}.{nearest(name, known)}")
        if not values:
            raise PeopleError("Nothing was asked to be changed.")
        new = User(**{**vars(found), **values})
        _check(new.role, new.owner, new.team, new.email)
        with self.database.writing() as connection:
            connection.execute(USERS.update().where(USERS.c.id == found.id).values(**values))
            connection.execute(AUDIT.insert().values(_done(done, found)))


class Roster:
    """The users as a worker holds them in memory; `refresh` is called twice a second.

    So a request reads no database to know its person, and who is disabled is out within a second.
    """

    def __init__(self, users: Users) -> None:
        self.users = users
        self._held: dict[str, User] = {}
        self._turn = threading.Lock()

    def read(self) -> None:
        """Read all users again.

        Raises
        ------
        StoreUnavailableError
            When they can't be read; then they stay as they were.
        """
        with self._turn:  # what was read first must not be put in place last
            self._held = {user.id: user for user in self.users.all()}

    def refresh(self) -> None:
        """Read all users again; a database that is away leaves them as they were."""
        with suppress(MilepostError):
            self.read()

    def find(self, number: str) -> User | None:
        """The person of an id; None when there is nobody, or nobody any more."""
        found = self._held.get(number)
        return found if found is not None and found.disabled is None else None

    def owners(self, workspace: str) -> frozenset[str]:
        """What the histories call the people of a workspace who may be given customers."""
        return frozenset(
            user.owner for user in self._held.values()
            if user.workspace == workspace and user.owner is not None and user.disabled is None
        )  # fmt: skip

    def caller(self, user: User) -> Caller:
        """The person as one who asks."""
        return Caller(
            user.called, user.workspace, (), role=user.role, name=user.name, sees=self.sees(user)
        )

    def sees(self, user: User) -> frozenset[str] | None:
        """Whose customers a person sees, by what the histories call owners; None is everybody's.

        A lead's team has in it whoever is disabled: somebody must see those customers.
        """
        if user.role not in (MANAGER, LEAD):
            return None
        team = [user]
        if user.role == LEAD and user.team is not None:
            team += [
                other for other in self._held.values()
                if (other.workspace, other.team) == (user.workspace, user.team)
            ]  # fmt: skip
        return frozenset(each.owner for each in team if each.owner is not None)


def _check(role: str, owner: str | None, team: str | None, email: str | None) -> None:
    if role not in ROLES:
        raise PeopleError(f"{role!r} is no role; there are {', '.join(ROLES)}.")
    for said, what in ((owner, "owner"), (team, "team")):
        if said is not None and not (0 < len(said) <= LONGEST and said.isprintable()):
            raise PeopleError(f"The {what} is up to {LONGEST} printable characters.")
    if email is not None and not is_email(email):
        raise PeopleError(f"{email!r:.80} is no e-mail address, such as jane.doe@example.com.")


def _done(what: str, user: User) -> dict[str, object]:
    """A row of the audit: what was done to whom by a command."""
    row = Asked(
        this_moment(), "", "COMMAND", f"users {what}", 200, 0.0, user.called, user.workspace
    )
    return row._asdict()
