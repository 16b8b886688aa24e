"""Every setting of the service, in one place.

Takes flags and the environment (`MILEPOST_HOST=…` sets `host`); gives validated settings. A
setting that is unknown is refused with the nearest known one. Knows nothing about HTTP.
"""

import argparse
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from features.errors import ConfigError, nearest
from serving.mailer import check_address, is_email

PREFIX = "MILEPOST_"
LOOPBACK = frozenset(("127.0.0.1", "localhost", "::1", "[::1]"))
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class SettingsError(ConfigError):
    """A setting that is unknown or can't be meant."""

    code = "settings_invalid"


class Settings(BaseModel):
    """What a person may decide about a running service; flags win over the environment."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    workspace: Path = Path("workspace")
    """Where training kept its models and where the default database lies."""
    database: str = ""
    """URL of the store; SQLite in the workspace if empty."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(8000, ge=1, le=65535)
    """Port to listen on."""
    workers: int = Field(1, ge=1, le=64)
    """Processes that answer requests."""
    webhooks_private: bool = False
    """Whether webhooks may go to plain HTTP and to private addresses."""

    hosts: str = ""
    """Names that the service goes by, with commas; a request for another name is refused. If
    empty, loopback names while it listens on loopback, else any."""
    concurrency: int = Field(32, ge=1, le=10_000)
    """Requests a worker takes on at a time; beyond it 503 at once."""
    most_connections: int = Field(2000, ge=1, le=100_000)
    """Connections a worker keeps open."""
    max_body: int = Field(10_000_000, ge=1_000, le=1_000_000_000)
    """Bytes of a request's body."""
    max_sources: int = Field(1_000, ge=1, le=1_000_000)
    """Sources that a workspace may have; an event that names one more is set aside."""
    max_properties: int = Field(10_000, ge=1, le=1_000_000)
    """Names of properties that a workspace may have, of events and attributes together; a row that
    names one more is set aside."""
    header_seconds: float = Field(10, gt=0, le=600)
    """How long the headers of a request may take to arrive."""
    body_seconds: float = Field(30, gt=0, le=3600)
    """How long a body may take to arrive."""
    write_seconds: float = Field(30, gt=0, le=3600)
    """How long a client may take nothing of its answer."""
    keep_alive_seconds: int = Field(20, ge=1, le=600)
    """How long a connection is kept for its next request."""
    stop_wait: float = Field(1, ge=0, le=600)
    """Seconds between saying "not ready" and not listening any more, after SIGTERM."""
    rate: float = Field(0, ge=0)
    """Requests a second that a key may make of each worker; 0 is no limit."""
    burst: float = Field(100, ge=1)
    """Requests that a key may make at once before `rate` holds it."""
    tls: bool = False
    """Whether browsers reach the service by TLS alone, which ends in front of it."""
    proxies: str = ""
    """Addresses or networks, with commas, of proxies whose word counts on how a request came to
    them (`X-Forwarded-Proto`) and from where (`X-Forwarded-For`); nobody's if empty."""
    secret: str = ""
    """Signs the sessions of browsers; the same on all hosts. If empty, each start makes its own."""
    oidc_issuer: str = ""
    """Whose signed tokens (JWT) count beside API keys; none if empty."""
    oidc_audience: str = "milepost"
    """Whom a token must be meant for."""
    oidc_keys: str = ""
    """URL of the issuer's key set; the one that the issuer's own description names if empty."""
    oidc_workspace: str = "workspace"
    """The claim that names the workspace; a token without it counts for nothing."""
    oidc_scopes: str = "scope"
    """The claim that names the scopes, with blanks between or as a list."""
    oidc_client: str = ""
    """What the issuer calls this service; if set, people may sign in there, and `public_url` says
    where browsers come back to."""
    oidc_client_secret: str = ""
    """What the service proves itself with to the issuer, beside PKCE; none if empty."""
    oidc_name: str = "email"
    """The claim that is a user's name here; an e-mail address has to be verified."""
    smtp_url: str = ""
    """The mail server of the digest: smtp://, smtp+starttls:// or smtps://, with user and password
    where it wants them. No e-mail if empty."""
    digest_day: Literal["", *DAYS] = ""  # type: ignore[valid-type]
    """The day of the week on which people with an address get their digest; never if empty."""
    digest_hour: int = Field(6, ge=0, le=23)
    """The hour of that day, UTC."""
    digest_from: str = "milepost@localhost"
    """Whom the digest is from."""
    public_url: str = ""
    """Where people reach the service, for links in e-mails; none if empty."""
    mlflow_url: str = ""
    """Where people open MLflow; the model's page leads there. No link if empty."""
    log_requests: bool = True
    """Whether each request is one line of JSON on standard error."""

    @field_validator("smtp_url")
    @classmethod
    def _mail(cls, value: str) -> str:
        return check_address(value) if value else value

    @field_validator("digest_from")
    @classmethod
    def _sender(cls, value: str) -> str:
        if not is_email(value):
            raise ValueError("an e-mail address is like milepost@example.com")
        return value

    @field_validator("mlflow_url", "public_url")
    @classmethod
    def _web(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("an address begins with http:// or https://")
        return value

    @field_validator("proxies")
    @classmethod
    def _addresses(cls, value: str) -> str:
        given = [address.strip() for address in value.split(",") if address.strip()]
        return ",".join(str(ip_network(address)) for address in given)

    @model_validator(mode="after")
    def _sign_in(self) -> "Settings":
        if self.oidc_client and not (is_safe(self.oidc_issuer) and self.public_url):
            raise ValueError(
                "OIDC_CLIENT needs an OIDC_ISSUER that begins with https://, and PUBLIC_URL"
            )
        return self

    def secure(self, scheme: str) -> bool:
        """Whether a request of this scheme came by TLS, as far as its browser knows."""
        return self.tls or scheme == "https"

    def cookie(self, name: str, scheme: str) -> str:
        """The name of a cookie; by TLS one that no other host and no plain HTTP can set."""
        return f"__Host-{name}" if self.secure(scheme) else name

    @property
    def known_hosts(self) -> frozenset[str]:
        """Names in lower case; empty when any will do."""
        given = frozenset(name.strip().lower() for name in self.hosts.split(",") if name.strip())
        return given or (LOOPBACK if self.host in LOOPBACK else frozenset())

    @property
    def database_url(self) -> str:
        """The store's URL, the default put in."""
        return self.database or f"sqlite:///{self.workspace.resolve() / 'milepost.db'}"


def read_settings(environment: Mapping[str, str], **flags: object) -> Settings:
    """Settings from `MILEPOST_*` of an environment and from flags; None is no flag.

    Raises
    ------
    SettingsError
        When a name is unknown or a value can't be meant.
    """
    found: dict[str, object] = {}
    for name in sorted(key for key in environment if key.startswith(PREFIX)):
        setting = name.removeprefix(PREFIX).lower()
        if setting not in Settings.model_fields:
            known = [PREFIX + key.upper() for key in Settings.model_fields]
            raise SettingsError(f"{name} is no setting.{nearest(name, known)}")
        found[setting] = environment[name]
    found |= {name: value for name, value in flags.items() if value is not None}
    try:
        return Settings.model_validate(found)
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(step) for step in fault["loc"])
        what = f"The setting {place} can't be used" if place else "Settings don't go together"
        raise SettingsError(f"{what}: {fault['msg']}.") from error


def is_safe(address: str) -> bool:
    """Whether nobody between here and there can read along: TLS, or the same machine."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    plain = parts.scheme == "http" and parts.hostname in LOOPBACK
    return bool(parts.hostname) and (parts.scheme == "https" or plain)


def declare_place(parser: argparse.ArgumentParser, configs: str | int = "+") -> None:
    """The arguments that every command of the service has: CONFIG, workspace, database."""
    parser.add_argument("config", type=Path, nargs=configs, metavar="CONFIG", help="a journey.toml")
    parser.add_argument(
        "--workspace", type=Path, help="where training kept its models (default: ./workspace)"
    )
    parser.add_argument(
        "--database", help="URL of the store (default: sqlite:///WORKSPACE/milepost.db)"
    )
