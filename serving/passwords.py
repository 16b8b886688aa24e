"""Passwords: argon2id hashes, and a check that takes as long for nobody as for somebody.

Takes a password; gives its hash, or whether it fits one. Knows nothing about whose it is.
"""

import secrets
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

from features.errors import MilepostError
from serving.refusals import OverloadedError

if TYPE_CHECKING:
    from argon2 import PasswordHasher

LEAST, MOST = 12, 200
"""Characters of a password."""
FEWEST = 5
"""Different characters of a password."""

PASSES, KIBIBYTES, LANES = 3, 65_536, 1
"""argon2id's cost, above what OWASP asks for (2 passes over 19 MiB)."""

AT_ONCE, PATIENCE = 2, 5.0
"""Hashes that a worker makes together, since each takes 64 MiB and a core; seconds that another
one waits for its turn."""

NOBODY = (
    "$argon2id$v=19$m=65536,t=3,p=1$kZKBAFWViwIbMOgalhhWLw"
    "$NFZmwj1qGEWeS5zaNZ+7mi0/+vMhb9Yor2Y3CccKay0"
)
"""What an unknown person's password is compared with; a test holds its cost to that of others."""

ELSEWHERE = "elsewhere:"
"""What the hash of a person begins with who has no password and signs in at the identity provider.
More follows, since sessions are signed with it."""

_turns = threading.BoundedSemaphore(AT_ONCE)


class PasswordError(MilepostError):
    """A password that is too easily guessed, or can't be kept."""

    code = "password_invalid"


def hashed(password: str) -> str:
    """The hash of a new password, with its salt and parameters.

    Raises
    ------
    PasswordError
        When it is too short, too long, or hardly more than one character repeated.
    """
    said = _plain(password)
    if not LEAST <= len(said) <= MOST or len(set(said)) < FEWEST:
        raise PasswordError(
            f"A password has {LEAST} to {MOST} characters, {FEWEST} different ones at least. "
            "Four words that don't belong together make a good one."
        )
    with _turn():
        return _hasher().hash(said)


def no_password() -> str:
    """The hash of a new person without a password; no password fits it."""
    return f"{ELSEWHERE}{secrets.token_hex(16)}"


def fits(password: str, kept: str | None) -> bool:
    """Whether a password is that of a hash; where there is none never, after the same work."""
    from argon2.exceptions import Argon2Error, InvalidHashError

    said = _plain(password[: MOST + 1])
    kept = None if kept is not None and kept.startswith(ELSEWHERE) else kept
    with _turn():
        try:
            _hasher().verify(NOBODY if kept is None else kept, said)
        except (Argon2Error, InvalidHashError):
            return False
    return kept is not None and len(said) <= MOST


def outdated(kept: str) -> bool:
    """Whether a hash was made at another cost than today's."""
    return _hasher().check_needs_rehash(kept)


@lru_cache(maxsize=1)
def _hasher() -> "PasswordHasher":
    from argon2 import PasswordHasher  # here, because most processes never check a password

    return PasswordHasher(time_cost=PASSES, memory_cost=KIBIBYTES, parallelism=LANES)


@contextmanager
def _turn() -> Iterator[None]:
    if not _turns.acquire(timeout=PATIENCE):
        raise OverloadedError("Too many people sign in at this moment; try again.")
    try:
        yield
    finally:
        _turns.release()


def _plain(password: str) -> str:
    """The same characters, however a keyboard composed them."""
    return unicodedata.normalize("NFKC", password)
