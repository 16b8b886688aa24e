"""`journey.toml`: what is read, and what is refused in which words."""

import tomllib
from pathlib import Path

import pytest

from features.config import Problem, read_config, slug
from features.durations import LONGEST, days, format_duration, parse_duration, spell_duration
from features.errors import ConfigError

WHOLE = """
name = "shop"
[[events]]
sql = "select 1"
[customers]
sql = "select 2"
[stages]
decision = ["order"]
[problems.churn]
outcome = { silence_of = "order" }
cohort = { active_within = "56d" }
gap = "0d"
horizon = "28d"
every = "28d"
value = { sum = "value", last = "365d" }
[problems.renewal]
outcome = { not = "renewed", by = "renews_at" }
before = { property = "renews_at", lead = ["120d", "90d", "60d", "30d"] }
[problems.labelled]
labels = "select 3"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "journey.toml"
    path.write_text(text)
    return path


def test_the_documented_form_is_read(tmp_path: Path) -> None:
    """Everything that the documentation shows is understood; relative paths begin at the file."""
    business = read_config(written(tmp_path, WHOLE))
    assert ["churn", "renewal", "labelled"] == list(business.problems)
    churn = business.problem("churn")
    assert (days(28), days(56), days(365)) == (
        churn.horizon,
        churn.cohort.active_within,
        churn.value.last,
    )
    assert "renewed" == business.problem("renewal").outcome.not_
    assert tmp_path == business.folder
    assert "select 2" == business.customers[0].sql


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            'horizon = "28d"',
            'horizn = "28d"',
            r"\[problems.churn\] unknown key 'horizn'.*'horizon'",
        ),
        ("[stages]", "[stage]", "unknown key 'stage'.*'stages'"),
        ('sql = "select 1"', 'sqll = "select 1"', r"\[events 1\] unknown key 'sqll'.*'sql'"),
        ("active_within", "active_withn", r"problems.churn.cohort\] .*'active_within'"),
        ("silence_of", "silenceof", r"problems.churn.outcome\] .*'silence_of'"),
        (
            'horizon = "28d"',
            "horizon = 28",
            r"problems.churn.horizon\] found 28, expected text such",
        ),
        ('horizon = "28d"', 'horizon = "28 fortnights"', "not a length of time"),
        ('horizon = "28d"', 'horizon = "99999d"', "longer than a hundred years"),
        ('horizon = "28d"', 'horizon = "0d"', "longer than zero"),
        ('horizon = "28d"', "", "horizon is missing"),
        ('labels = "select 3"', "", "either outcome or labels"),
        ('labels = "select 3"', 'labels = "x"\nevery = "1d"', "leave out every"),
        ('by = "renews_at"', 'by = "ends_at"', "name the same date"),
        ('every = "28d"', 'every = "28d"\nat = { event = "x" }', "only one of every and at"),
        ('decision = ["order"]', 'decision = ["o"]\nusage = ["o"]', "belongs to one stage"),
        ('name = "shop"', "", "'name' is missing"),
        ('name = "shop"', 'name = "a/b"', "'a/b' is no name"),
        ("[problems.churn]", '[problems."a/b"]', r"\[problems\] 'a/b' is no name"),
        ('name = "shop"', 'name = "shop"\nname = "two"', "not valid TOML"),
        ('name = "shop"', 'name = "shop"\ndata = "package:no_such_package/x"', "not installed"),
        ('name = "shop"', 'name = "shop"\ndata = "nowhere"', "is no folder"),
        ('name = "shop"', 'name = "shop"\nextracted_at = "soon"', "not a date or a time"),
        ("outcome = { silence_of", 'outcome = { event = "x", silence_of', "exactly one of"),
    ],
)
def test_what_can_not_be_meant_is_refused_by_name(
    old: str, new: str, says: str, tmp_path: Path
) -> None:
    """A fault is one paragraph that names the file, the table, the key and the mend."""
    assert old in WHOLE
    with pytest.raises(ConfigError, match=says) as caught:
        read_config(written(tmp_path, WHOLE.replace(old, new, 1)))
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    "says",
    [
        '[stages]\nsupport = ["action_call"]',
        '[problems.churn]\noutcome = { silence_of = "action_offer" }\nhorizon = "9d"',
        '[problems.churn]\noutcome = { event = "order" }\ncohort = { without = ["action_email"] }'
        '\nhorizon = "9d"',
        '[problems.churn]\noutcome = { event = "order" }\nat = { event = "action_outcome" }'
        '\nhorizon = "9d"',
    ],
)
def test_actions_are_named_only_where_they_are_read(tmp_path: Path, says: str) -> None:
    """A stage, an outcome or a cohort of events that nothing reads is refused, with the mend."""
    text = f'name = "shop"\n[[events]]\nsql = "select 1"\n{says}\n'
    with pytest.raises(ConfigError, match=r"actions = true in \[features\]"):
        read_config(written(tmp_path, text))
    assert read_config(written(tmp_path, f"{text}[features]\nactions = true\n")).features.actions


def test_names_may_hold_spaces(tmp_path: Path) -> None:
    """A business may be called as it is; folders and models are called by its slug."""
    text = WHOLE.replace('name = "shop"', 'name = "Müller & Co 2"')
    assert "Müller-Co-2" == slug(read_config(written(tmp_path, text)).name)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A wrong path says which file was looked for."""
    with pytest.raises(ConfigError, match=r"no file .*nothing\.toml"):
        read_config(tmp_path / "nothing.toml")


def test_a_problem_that_is_not_there_is_named_with_the_nearest(tmp_path: Path) -> None:
    """Asking for `chrun` names `churn`."""
    with pytest.raises(ConfigError, match="'churn'"):
        read_config(written(tmp_path, WHOLE)).problem("chrun")


@pytest.mark.parametrize("text", ["1s", "90m", "36h", "28d", "8w"])
def test_a_length_survives_being_written_and_read(text: str) -> None:
    """Lengths keep their value through text."""
    length = parse_duration(text)
    assert length == parse_duration(format_duration(length))
    assert 0 < length <= LONGEST


def test_a_length_is_spelt_as_people_say_it() -> None:
    """One day has no s, thirty days have."""
    assert ["1 day", "30 days", "90 minutes"] == [
        spell_duration(parse_duration(text)) for text in ("1d", "30d", "90m")
    ]


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("action = { capacity = 1.5 }", "less than or equal to 1"),
        ("action = { cost = -1 }", "greater than or equal to 0"),
        ("action = { sucess = 0.3 }", "'success'"),
        ('split = { customers = "together" }', "'anywhere' or 'apart'"),
    ],
)
def test_what_acting_brings_and_how_rows_are_split_is_checked(lines: str, says: str) -> None:
    """A share beyond 1, a negative cost, a misspelt key and an unknown way are refused."""
    with pytest.raises(ValueError, match=says):
        Problem(labels="x", **tomllib.loads(lines))


def test_a_direction_is_up_or_down(tmp_path: Path) -> None:
    """A declared direction that is neither up nor down is refused where it stands."""
    path = tmp_path / "journey.toml"
    path.write_text(
        'name = "shop"\n[[events]]\nsql = "select 1"\n[problems.churn]\n'
        'outcome = { silence_of = "order" }\nhorizon = "28d"\n'
        'monotone = { "order_count_*" = "rising" }\n'
    )
    with pytest.raises(ConfigError, match=r"""found 'rising', expected "up" or "down"\."""):
        read_config(path)
    path.write_text(path.read_text().replace("rising", "down"))
    assert {"order_count_*": "down"} == read_config(path).problem("churn").monotone


def test_words_units_and_what_is_actionable_are_read(tmp_path: Path) -> None:
    """What reasons are said with is optional; unless told, all events are actionable."""
    plain = read_config(written(tmp_path, WHOLE))
    assert ({}, {}, None, []) == (
        plain.words,
        plain.units,
        plain.actionable.events,
        plain.actionable.attributes,
    )
    more = """
[words]
order = "bought"
[units]
value = "$"
[actionable]
events = ["order"]
attributes = ["plan"]
"""
    told = read_config(written(tmp_path, WHOLE + more))
    assert ({"order": "bought"}, {"value": "$"}) == (told.words, told.units)
    assert (["order"], None, ["plan"]) == (
        told.actionable.events,
        told.actionable.properties,
        told.actionable.attributes,
    )


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ('[words]\norder = ""', "expected up to 40 printable characters"),
        ('[words]\norder = " bought"', "begin and end with no space"),
        ('[units]\nvalue = "a\\nb"', "printable"),
        ('[actionable]\nevent = ["order"]', "unknown key 'event'.*'events'"),
    ],
)
def test_words_that_can_not_be_said_are_refused(tmp_path: Path, more: str, says: str) -> None:
    """A word goes into sentences, so it is short, printable and not blank."""
    with pytest.raises(ConfigError, match=says):
        read_config(written(tmp_path, f"{WHOLE}\n{more}\n"))
