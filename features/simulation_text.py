"""What simulated customers write in their tickets.

Takes kinds of tickets; gives texts. A complaint and a question about leaving each have a word
that no other ticket uses; the rest of the text tells nothing. Knows nothing about anything else.
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

PHRASES = (
    (
        "could you explain how this works?",
        "where can I learn more?",
        "is there a guide for new colleagues?",
        "thanks for the quick help last time.",
        "we would like to invite more people, how?",
    ),
    (
        "it is broken and blocks our work.",
        "this is the third time, still broken.",
        "it is slow or broken and people complain.",
        "it is broken and nobody answers.",
        "the page is broken for all of us, unacceptable.",
    ),
    (
        "we are comparing competitors, how do we terminate?",
        "how do we export all data before we terminate?",
        "our management wants to terminate, what is the notice period?",
        "we found an alternative and terminate next quarter.",
        "please confirm how to terminate, the budget is cut.",
    ),
)
"""What is said in each kind of ticket."""

TELLING = (None, "broken", "terminate")
"""The word that stands in every ticket of a kind and in no other; questions have none."""

CLOSINGS = ("Thank you.", "Best regards.", "Kind regards from the office.", "Cheers.")


def ticket_texts(kind: NDArray[np.int64], rng: np.random.Generator) -> pa.Array:
    """A text a ticket, shape `(n_tickets,)`."""

    def one_of(choices: tuple[str, ...]) -> pa.Array:
        return pa.array(choices).take(pa.array(rng.integers(0, len(choices), len(kind))))

    width = len(PHRASES[0])
    said = pa.array([phrase for phrases in PHRASES for phrase in phrases])
    which = pa.array(kind * width + rng.integers(0, width, len(kind)))
    return pc.binary_join_element_wise(
        one_of(OPENINGS), one_of(TOPICS), said.take(which), one_of(CLOSINGS), " "
    )
