"""`journey.toml`, the one file a business writes.

Takes the file; gives a validated, frozen `Business`. Lengths become microseconds, paths
become absolute. Knows nothing about the rows that the SQL will yield.
"""

import re
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    model_validator,
)

from features.actions import is_action
from features.durations import days, format_duration, parse_duration, parse_moment
from features.errors import ConfigError, nearest

PACKAGE_SCHEME = "package:"

DEFAULT_WINDOWS = (days(7), days(30), days(90), days(365))


def _read_duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else _refuse(value, 'text such as "28d"')


def _read_moment(value: Any) -> object:
    if value is None:
        return None
    try:
        return parse_moment(value)
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{value!r} is not a date or a time such as 2018-01-01") from error


def _refuse(value: object, wanted: str) -> object:
    raise ValueError(f"found {value!r}, expected {wanted}")


def _positive(length: int) -> int:
    if length <= 0:
        raise ValueError("must be longer than zero")
    return length


Duration = Annotated[
    int, BeforeValidator(_read_duration), PlainSerializer(format_duration, return_type=str)
]
"""Microseconds; written as ``"28d"``."""

PositiveDuration = Annotated[Duration, AfterValidator(_positive)]

Moment = Annotated[int | None, BeforeValidator(_read_moment)]
"""Microseconds since 1970 UTC; written as a date or a time."""


def _direction(value: object) -> object:
    return value if value in ("up", "down") else _refuse(value, '"up" or "down"')


Direction = Annotated[str, BeforeValidator(_direction)]
"""Which way a score may move as a feature grows."""

Name = Annotated[str, Field(pattern=r"^\w[\w .&+-]{0,63}$")]
Sql = Annotated[str, Field(min_length=1)]


def _spoken(said: str) -> str:
    if not 0 < len(said) <= LONGEST_WORDS or said != said.strip() or not said.isprintable():
        raise ValueError(
            f"found {said!r}, expected up to {LONGEST_WORDS} printable characters that begin and "
            "end with no space"
        )
    return said


LONGEST_WORDS = 40

Spoken = Annotated[str, AfterValidator(_spoken)]
"""A few words that go into sentences."""


class Section(BaseModel):
    """A table of the file: frozen, with unknown keys refused by their nearest known name."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            raise ValueError(f"found {data!r}, expected a table of keys")
        known = [field.alias or name for name, field in cls.model_fields.items()]
        for key in data:
            if key not in known:
                raise ValueError(f"unknown key {key!r}.{nearest(key, known)}")
        return data


class Source(Section):
    """One query that yields events."""

    sql: Sql
    name: str = ""
    """How messages call the source; `events 1`, `events 2`, … unless given."""
    max_unreadable: float = Field(default=0.001, ge=0, le=1)
    """Share of rows with an absent or unreadable time that is set aside without stopping."""


class Customers(Section):
    """One query that yields customers' attributes, optionally dated by `valid_from`."""

    sql: Sql
    name: str = ""


class Outcome(Section):
    """What is predicted. Exactly one of `silence_of`, `event` and `not` is given."""

    silence_of: str | None = None
    """The outcome is that this event does not happen within the horizon."""
    event: str | None = None
    """The outcome is that this event happens within the horizon."""
    not_: str | None = Field(default=None, alias="not")
    """The outcome is that this event has not happened by the date in `by`."""
    by: str | None = None
    """A date property, such as `renews_at`; its last known value counts."""
    same: str | None = None
    """With `at`: the outcome event must agree with the anchoring event in this property."""
    repeats: bool | None = None
    """Whether `event` can happen again to the same customer; found from the data if absent."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        kinds = [self.silence_of, self.event, self.not_]
        if sum(kind is not None for kind in kinds) != 1:
            raise ValueError("give exactly one of silence_of, event, not")
        if (self.not_ is None) != (self.by is None):
            raise ValueError('not and by belong together: { not = "renewed", by = "renews_at" }')
        if self.event is None and (self.same is not None or self.repeats is not None):
            raise ValueError("same and repeats go with event")
        return self


class Cohort(Section):
    """Who is eligible at a cutoff; every condition holds at that moment."""

    active_within: PositiveDuration | None = None
    """At least one event in `(cutoff - active_within, cutoff]`."""
    event: str | None = None
    """The event that counts as activity; the event of a silence outcome, else any."""
    without: list[str] = []
    """Events of which none has happened by the cutoff."""


class Before(Section):
    """Cutoffs at fixed lengths of time before a date."""

    property: str
    lead: list[PositiveDuration] = Field(min_length=1)


class At(Section):
    """A cutoff at every event of this kind."""

    event: str


class Value(Section):
    """What is at stake: the sum of a numeric property over a window."""

    sum: str
    last: PositiveDuration | None = None


class Action(Section):
    """What acting on a customer takes and brings; without it scores are judged as a ranking."""

    capacity: float = Field(default=0.10, gt=0, le=1)
    """The share of the cohort that can be acted on."""
    success: float = Field(default=1.0, gt=0, le=1)
    """The chance that acting on a customer whose outcome would be true brings the value."""
    cost: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """What one action costs, in the unit of `value`; where there is no `value`, as a share of
    what one customer is worth."""


class Apart(Section):
    """What the parts of the split must not share beside time."""

    customers: Literal["anywhere", "apart"] = "anywhere"
    """`apart`: no customer of train or validation is in test, nor one of train in validation."""


class Gate(Section):
    """By how much a challenger has to be better before it may become the champion."""

    average_precision: float = Field(default=0.0, ge=-1, le=1)
    """What the lower bound of the difference in average precision has to exceed."""
    expected_value: float = Field(default=-0.1, ge=-1, le=1)
    """What the lower bound of the difference in expected value has to exceed, as a share of the
    rival's expected value: below 0 it may be no better, but not worse by more than this."""


class Problem(Section):
    """One question asked of every customer in a cohort."""

    outcome: Outcome | None = None
    labels: Sql | None = None
    cohort: Cohort = Cohort()
    gap: Duration = 0
    horizon: PositiveDuration | None = None
    every: PositiveDuration | None = None
    before: Before | None = None
    at: At | None = None
    value: Value | None = None
    action: Action = Action()
    split: Apart = Apart()
    gate: Gate = Gate()
    monotone: dict[str, Direction] = {}
    """Features by name or pattern (`"login_count_*"`), with which the score may only go `up` or
    only `down`, all else being equal."""
    seed: int = Field(default=7, ge=0, lt=2**31)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.outcome is None) == (self.labels is None):
            raise ValueError("give either outcome or labels")
        schedules = [name for name in ("every", "before", "at") if getattr(self, name) is not None]
        if len(schedules) > 1:
            raise ValueError(f"give only one of {' and '.join(schedules)}")
        if self.labels is not None and schedules:
            raise ValueError(f"labels bring their own cutoff times; leave out {schedules[0]}")
        if self.outcome is not None:
            self._check_outcome(self.outcome)
        return self

    @property
    def events(self) -> list[str]:
        """The events that the problem names."""
        outcome, cohort = self.outcome, self.cohort
        named = [cohort.event, *cohort.without, self.at.event if self.at else None]
        if outcome is not None:
            named += [outcome.silence_of, outcome.event, outcome.not_]
        return [name for name in named if name is not None]

    @property
    def endings(self) -> frozenset[str]:
        """Events that leave nothing to ask: the awaited one, and those the cohort is without."""
        awaited = [self.outcome.event, self.outcome.not_] if self.outcome else []
        return frozenset(name for name in [*self.cohort.without, *awaited] if name is not None)

    def _check_outcome(self, outcome: Outcome) -> None:
        if self.horizon is None and not (outcome.not_ and self.before):
            raise ValueError('horizon is missing, the length of the outcome window, such as "28d"')
        if outcome.same is not None and self.at is None:
            raise ValueError('same needs cutoffs at an event: at = { event = "…" }')
        if self.before is None:
            return
        if outcome.not_ is not None and outcome.by != self.before.property:
            raise ValueError(
                f"outcome.by is {outcome.by!r} but before.property is {self.before.property!r}; "
                "they name the same date"
            )
        if min(self.before.lead) <= self.gap and outcome.not_ is not None:
            raise ValueError("every lead must be longer than the gap")


class FeatureChoice(Section):
    """What the generated features look at."""

    windows: list[PositiveDuration] = Field(default=list(DEFAULT_WINDOWS), min_length=1)
    ignore: list[str] = []
    """Properties and attributes that are never a feature."""
    groups: list[str] = []
    """Text properties of events that name a customer's account, household or team; everybody's
    events there are counted for the customer too."""
    own: str | None = None
    """A Python file beside this one with the business's own `FEATURES`."""
    actions: bool = False
    """Whether actions that people wrote down (`action_call`, …) are read like other events; see
    `features.actions` for why they are not. Train again after changing it."""


class Actionable(Section):
    """What the business can influence: reasons from it are marked, and what-if asks about it."""

    events: list[str] | None = None
    """Events that it can bring about or prevent; all of them unless given."""
    properties: list[str] | None = None
    """Properties of those events that it can influence; all of them unless given."""
    attributes: list[str] = []
    """Attributes of customers that it can change, such as a plan; none unless given."""


class People(Section):
    """What the histories say of the people who work with customers."""

    owner: str | None = Field(default=None, min_length=1)
    """The attribute of customers that names who looks after them. An account manager then sees
    their own customers alone, a lead the team's; without it everybody sees everybody's."""


class Business(Section):
    """Everything one `journey.toml` says."""

    name: Name
    folder: Path = Field(default=Path(), exclude=True)
    """Where relative paths in the SQL begin; see `data`."""
    data: str | None = None
    """A folder, or `package:NAME/FOLDER` for files that an installed package ships."""
    attach: dict[Name, str] = {}
    """Databases that the SQL may read, by the name it calls them: a DuckDB file, or what DuckDB's
    `attach` takes, such as `sqlite:crm.db` or `postgres:dbname=crm`."""
    extracted_at: Moment = None
    """When the histories were taken from their systems; the last event's time if absent."""
    events: list[Source] = Field(min_length=1)
    customers: list[Customers] = []
    stages: dict[str, list[str]] = {}
    features: FeatureChoice = FeatureChoice()
    actionable: Actionable = Actionable()
    people: People = People()
    words: dict[str, Spoken] = {}
    """What a customer did, said of each event in the past: `purchase = "bought"`."""
    units: dict[str, Spoken] = {}
    """The unit of a numeric property, for sentences: `value = "$"`, `wait = "hours"`."""
    problems: dict[Name, Problem] = {}

    @model_validator(mode="before")
    @classmethod
    def _lists_of_tables(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for key in ("customers", "events"):
                if isinstance(data.get(key), dict):
                    data = {**data, key: [data[key]]}
        return data

    @model_validator(mode="after")
    def _check(self) -> Self:
        seen: dict[str, str] = {}
        for stage, names in self.stages.items():
            for name in names:
                if name in seen:
                    raise ValueError(
                        f"event {name!r} is in the stages {seen[name]!r} and {stage!r}; "
                        "an event belongs to one stage"
                    )
                seen[name] = stage
        self._refuse_actions(list(seen))
        return self

    def _refuse_actions(self, staged: list[str]) -> None:
        """Refuse events that nothing reads where the business names them all the same."""
        if self.features.actions:
            return
        named = [name for problem in self.problems.values() for name in problem.events]
        if name := next(filter(is_action, [*staged, *named]), None):
            raise ValueError(
                f"{name!r} is an action, and actions are not read because they follow the score; "
                "say actions = true in [features] if they shall be"
            )

    def problem(self, name: str) -> Problem:
        """The problem of that name; `ConfigError` names the nearest if there is none."""
        if name not in self.problems:
            raise ConfigError(f"{self.name} has no problem {name!r}.{nearest(name, self.problems)}")
        return self.problems[name]


def slug(name: str) -> str:
    """A name as folders and registered models are called: `my shop` is `my-shop`."""
    return re.sub(r"[^\w-]+", "-", name)


def read_config(path: Path) -> Business:
    """Read and validate a `journey.toml`.

    Raises
    ------
    ConfigError
        When the file is absent, is not TOML, or says something that cannot be meant; the
        message names the table and key, and the nearest known key.
    """
    try:
        written = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise ConfigError(
            f"There is no file {path}. Give the path of a journey.toml, "
            "such as examples/grocery/journey.toml."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} can't be read as text: {error}.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.") from error
    if "folder" in written:
        raise ConfigError(f"{path}: unknown key 'folder'. Did you mean 'data'?")
    try:
        business = Business(**written)
    except ValidationError as error:
        raise ConfigError(_explain(path, error)) from error
    update: dict[str, object] = {"folder": _data_folder(path, business.data)}
    if business.features.own is not None:
        own = str(path.resolve().parent / business.features.own)
        update["features"] = business.features.model_copy(update={"own": own})
    return business.model_copy(update=update)


def _explain(path: Path, error: ValidationError) -> str:
    """Say the first fault of a file as one sentence that names its place."""
    fault = error.errors()[0]
    place = _place(fault["loc"])
    what = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "missing":
        what = f"the key {fault['loc'][-1]!r} is missing"
        place = _place(fault["loc"][:-1])
    if fault["type"] == "string_pattern_mismatch":
        what = f"{fault['input']!r} is no name: use up to 64 letters, digits, spaces, - and _"
        place = _place(tuple(step for step in fault["loc"][:-2] if step != "[key]"))
    more = len(error.errors()) - 1
    rest = f" ({more} more fault{'s' if more > 1 else ''} after this one.)" if more else ""
    return f"{path}: {place}{what}{'' if what.endswith(('.', '?')) else '.'}{rest}"


def _place(location: tuple[int | str, ...]) -> str:
    """Write a pydantic location as the file's own headings: ``[problems.churn] ``."""
    if not location:
        return ""
    parts: list[str] = []
    for step in location:
        if isinstance(step, int):
            parts[-1] += f" {step + 1}"
        else:
            parts.append("not" if step == "not_" else step)
    return f"[{'.'.join(parts)}] "


def _data_folder(path: Path, data: str | None) -> Path:
    """The absolute folder in which relative paths of the SQL begin."""
    home = path.resolve().parent
    if data is None:
        return home
    if not data.startswith(PACKAGE_SCHEME):
        folder = (home / data).resolve()
    else:
        package, _, inside = data.removeprefix(PACKAGE_SCHEME).partition("/")
        spec = find_spec(package) if package.isidentifier() else None
        if spec is None or not spec.submodule_search_locations:
            raise ConfigError(
                f"{path}: data = {data!r} names the Python package {package!r}, which is not "
                "installed. Install it with pip, or point data at a folder."
            )
        folder = Path(next(iter(spec.submodule_search_locations))) / inside
    if not folder.is_dir():
        raise ConfigError(f"{path}: data = {data!r} is no folder ({folder} does not exist).")
    return folder
