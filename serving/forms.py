"""Forms of pages: what a browser sends is believed when a page of ours was filled in.

Takes a request; gives its fields. Each form carries a token that belongs to its session, which
no other site can read: a form that is posted from elsewhere has none, or a wrong one. The edge
looks at the origin beside it. Knows nothing about what forms are for.
"""

import hmac
import secrets
from urllib.parse import parse_qsl

from starlette.requests import Request

from features.errors import MilepostError
from serving.bodies import UnreadableError, read_bytes
from serving.keys import Caller
from serving.refusals import BodyTooLargeError

KIND = ("application/x-www-form-urlencoded",)
TOKEN = "token"  # noqa: S105 - the name of a field
MOST, MOST_FIELDS, ROW = 20_000, 100, 400
"""Bytes and fields of a form, and bytes of a row that it names."""


class FormError(MilepostError):
    """A form that none of our pages held, or not in this session."""

    code = "form_refused"

    def __init__(self) -> None:
        super().__init__("The page was open for too long. Send the form again.")


async def read_form(request: Request, token: str | None = None, rows: int = 0) -> dict[str, str]:
    """The fields of a form of the caller's session, or of the one with this token.

    Parameters
    ----------
    rows
        How many rows of a list the form may name beside its own fields.

    Raises
    ------
    FormError
        When the form's token is another.
    """
    if token is None:
        caller: Caller | None = request.scope.get("caller")
        token = "" if caller is None else caller.token
    body = await read_bytes(request, KIND)
    most = MOST + rows * ROW
    if len(body) > most:
        raise BodyTooLargeError(most)
    try:
        fields = dict(parse_qsl(body.decode(), True, max_num_fields=MOST_FIELDS + rows))
    except ValueError:
        raise UnreadableError("The form can't be read.") from None
    given = fields.pop(TOKEN, "")
    if not token or not hmac.compare_digest(token.encode(), given.encode(errors="replace")):
        raise FormError
    return {name: value.replace("\0", "") for name, value in fields.items()}


def own_page(headers: dict[bytes, bytes]) -> bool:
    """Whether a browser sends this from a page of this service; other sites can't pretend to."""
    origin = headers.get(b"origin", b"").partition(b"://")[2]
    return bool(origin) and origin == headers.get(b"host")


def cookie(header: bytes, wanted: str) -> str:
    """The text of a cookie; "" if there is none of that name."""
    for pair in header.decode("latin-1").split(";"):
        name, _, value = pair.strip().partition("=")
        if name == wanted:
            return value
    return ""


def fresh() -> str:
    """A value that nobody guesses."""
    return secrets.token_urlsafe(24)
