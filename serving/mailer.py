"""Sending e-mail: one message to one server, with TLS as the address says.

Takes `smtp://`, `smtp+starttls://` or `smtps://` with user, password and port where needed; knows
nothing about what a message says. A server that is away is an error in seconds.
"""

import re
import smtplib
import ssl
from contextlib import suppress
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

from features.errors import MilepostError

TIME_OUT = 10.0
"""Seconds that a server has for each answer."""
PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}

EMAIL = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?"
)
"""An address as almost everybody has one: no quoted names, no comments, ASCII."""


class MailError(MilepostError):
    """A message could not be handed over."""

    code = "mail_failed"

    def __init__(self, says: str, final: bool = False) -> None:
        super().__init__(says)
        self.final = final
        """Whether the server will never take it, as with an unknown recipient."""


def is_email(text: str) -> bool:
    """Whether a text is an e-mail address, on one line and with nothing beside it."""
    return len(text) <= 254 and EMAIL.fullmatch(text) is not None and ".." not in text


def check_address(url: str) -> str:
    """The URL, if it names a mail server.

    Raises
    ------
    ValueError
    """
    parts = urlsplit(url)
    if parts.scheme not in PORTS or not parts.hostname or parts.port == 0:
        raise ValueError(f"a mail server is one of {', '.join(f'{s}://HOST' for s in PORTS)}")
    return url


def send(url: str, message: EmailMessage) -> None:
    """Hand a message over.

    Raises
    ------
    MailError
        Whatever the server or the network did; `final` says whether trying again is of use.
    """
    try:
        server = _connected(url)
    except (OSError, smtplib.SMTPException) as error:
        raise MailError(f"no mail server: {_short(error)}") from error
    try:
        server.send_message(message)
    except smtplib.SMTPRecipientsRefused as error:
        code, said = next(iter(error.recipients.values()))
        raise MailError(f"recipient refused: {code} {said!r:.200}", final=code >= 500) from error
    except (OSError, smtplib.SMTPException) as error:
        raise MailError(f"not taken: {_short(error)}") from error
    finally:
        with suppress(OSError, smtplib.SMTPException):
            server.quit()


def _connected(url: str) -> smtplib.SMTP:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    context = ssl.create_default_context()
    if parts.scheme == "smtps":
        server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=TIME_OUT, context=context)
    else:
        server = smtplib.SMTP(host, port, timeout=TIME_OUT)
    try:
        if parts.scheme == "smtp+starttls":
            server.starttls(context=context)
        if parts.username:
            server.login(unquote(parts.username), unquote(parts.password or ""))
    except BaseException:
        server.close()
        raise
    return server


def _short(error: Exception) -> str:
    """What an error says; never the password, which no error of smtplib holds."""
    return f"{type(error).__name__}: {error!s:.200}"
