"""Notes: what people wrote about a customer.

Takes a database and a workspace; keeps notes, each once by its id, and gives a customer's. Knows
nothing about HTTP or rights.
"""

from dataclasses import dataclass

from sqlalchemy import func, select

from serving.action_tables import NOTES
from serving.actions import UsedError
from serving.database import Database
from serving.inserting import insert_new

N = NOTES.c


@dataclass(frozen=True)
class Note:
    """Something that was written about a customer, at a moment in microseconds UTC."""

    note: str
    at: int
    who: str
    text: str


class Notes:
    """One workspace's notes."""

    def __init__(self, database: Database, workspace: int) -> None:
        self.database, self.workspace = database, workspace

    def add(self, customer: str, note: Note) -> Note:
        """Keep a note, and give it as it is kept; the same sent again changes nothing.

        Raises
        ------
        UsedError
            When its id belongs to another note on the customer.
        """
        row = {"workspace": self.workspace, "customer": customer, **vars(note)}
        mine = (N.workspace == self.workspace, N.customer == customer, N.note == note.note)
        with self.database.writing() as connection:
            insert_new(connection, NOTES, [row])
            kept = Note(*connection.execute(select(N.note, N.at, N.who, N.text).where(*mine)).one())
        if kept.text != note.text:
            raise UsedError
        return kept

    def of_customer(self, customer: str, limit: int) -> tuple[list[Note], int]:
        """The newest notes, and how many there are."""
        mine = (N.workspace == self.workspace, N.customer == customer)
        asked = select(N.note, N.at, N.who, N.text).where(*mine)
        with self.database.reading() as connection:
            rows = connection.execute(asked.order_by(N.at.desc(), N.note.desc()).limit(limit)).all()
            many = connection.execute(select(func.count()).where(*mine)).scalar_one()
        return [Note(*row) for row in rows], int(many)
