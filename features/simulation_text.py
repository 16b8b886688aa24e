"""What simulated customers write in their tickets.

Takes moods; gives texts. Each mood has words that the other moods never use, so that the last
ticket's text tells the mood; the rest of the text tells nothing. Knows nothing about anything
else.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

OPENINGS = (
    "Hello team,", "Hi,", "Good morning,", "Dear support,", "Hello,", "Good afternoon,",
)  # fmt: skip

TOPICS = (
    "about the monthly report", "about the calendar view", "about user permissions",
    "about the import from our sheet", "about invoices", "about the mobile app",
    "about single sign-on", "about notifications", "about the api",
)  # fmt: skip

MOOD_PHRASES = (
    (
        "could you explain how this works?",
        "where can I learn more?",
        "is there a guide for new colleagues?",
        "thanks for the quick help last time.",
        "we would like to invite more people, how?",
    ),
    (
        "it fails again and blocks our work.",
        "this is the third time, still broken.",
        "everything is slow and people complain.",
        "we are frustrated, nobody answers.",
        "the error is still there, unacceptable.",
    ),
    (
        "we are comparing competitors, please send our contract.",
        "how do we export all data before we migrate away?",
        "our management wants to terminate, what is the notice period?",
        "we found an alternative vendor, how do we close the account?",
        "please confirm the termination clause, budget is cut.",
    ),
)
"""Phrases a mood: content, annoyed, leaving."""

CLOSINGS = ("Thank you.", "Best regards.", "Kind regards from the office.", "Cheers.")


def ticket_texts(mood: NDArray[np.int64], rng: np.random.Generator) -> pa.Array:
    """A text a ticket, shape `(n_tickets,)`."""

    def one_of(choices: tuple[str, ...]) -> pa.Array:
        return pa.array(choices).take(pa.array(rng.integers(0, len(choices), len(mood))))

    width = len(MOOD_PHRASES[0])
    said = pa.array([phrase for phrases in MOOD_PHRASES for phrase in phrases])
    which = pa.array(mood * width + rng.integers(0, width, len(mood)))
    return pc.binary_join_element_wise(
        one_of(OPENINGS), one_of(TOPICS), said.take(which), one_of(CLOSINGS), " "
    )
