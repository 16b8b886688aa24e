"""People: their passwords, sessions, roles, whose customers they see, how often they may try."""

import json
from pathlib import Path

import numpy as np
import pytest
from argon2 import PasswordHasher, extract_parameters
from journeys import read_table

from features.errors import ConfigError
from features.event_log import STATED, EventLog
from features.people import check_owner
from serving.access import ROLES_OF, SCOPE_OF
from serving.audit import asked_of
from serving.database import Database
from serving.entrance import Entrance, SignInError
from serving.keys import Keys, Ring
from serving.migrations import upgrade
from serving.owners import owner_column, owner_said
from serving.passwords import NOBODY, PasswordError, fits, hashed
from serving.people import ADMIN, LEAD, MANAGER, ROLES, SCIENTIST, PeopleError, Roster, User, Users
from serving.refusals import RateLimitedError
from serving.sessions import Sessions
from serving.settings import Settings, SettingsError, read_settings
from serving.tries import MOST_ADDRESS, MOST_NAME, MOST_TOGETHER, Tries, network

PASSWORD = "four words that differ"
HOME = "192.0.2.1"


@pytest.fixture
def users(tmp_path: Path) -> Users:
    database = Database(f"sqlite:///{tmp_path}/store.db")
    upgrade(database)
    return Users(database)


@pytest.fixture(scope="module")
def kept() -> str:
    """The hash of the password."""
    return hashed(PASSWORD)


def entrance(users: Users) -> Entrance:
    return Entrance(users, Tries(users.database, "secret"), {"shop"})


def test_a_password_fits_its_hash_alone(kept: str) -> None:
    """The hash is salted argon2id; another password, a longer one or nobody's hash never fits."""
    assert kept.startswith("$argon2id$") and PASSWORD not in kept
    assert kept != hashed(PASSWORD)
    assert fits(PASSWORD, kept)
    for wrong in (PASSWORD + " ", PASSWORD.upper(), "", PASSWORD * 20, "\ud800"[:0]):
        assert not fits(wrong, kept)
    assert not fits(PASSWORD, None)
    assert not fits(PASSWORD, "no hash at all")


def test_a_password_is_the_same_however_it_is_composed() -> None:
    """An é of one character and one of two are one password."""
    assert fits("cafe\u0301 au lait creme", hashed("caf\u00e9 au lait creme"))


def test_nobody_costs_as_much_as_somebody(kept: str) -> None:
    """The hash that stands in for an unknown person has the parameters of a new one."""
    assert extract_parameters(kept) == extract_parameters(NOBODY)


@pytest.mark.parametrize("weak", ["", "short", "a" * 30, "abcabcabcabcabc", "x" * 201])
def test_a_weak_password_is_refused(weak: str) -> None:
    """Too short, too long, or of few characters."""
    with pytest.raises(PasswordError, match="12 to 200"):
        hashed(weak)


def test_a_person_enters_by_name_and_password(users: Users, kept: str) -> None:
    """The right two let in, however the name is typed; all else is refused alike."""
    made = users.add("shop", "jane", MANAGER, kept)
    users.add("elsewhere", "joe", MANAGER, kept)
    door = entrance(users)
    assert made == door.enter(" Jane ", PASSWORD, HOME)
    said = set()
    for name, password in (("jane", "wrong"), ("nobody", PASSWORD), ("joe", PASSWORD)):
        with pytest.raises(SignInError) as refused:
            door.enter(name, password, HOME)
        said.add(str(refused.value))
    users.change("shop", "jane", "disable", disabled=1)
    with pytest.raises(SignInError) as refused:
        door.enter("jane", PASSWORD, HOME)
    assert 1 == len(said | {str(refused.value)})


def test_an_old_hash_is_made_anew(users: Users) -> None:
    """Who signs in with a hash of a lower cost has one of today's afterwards."""
    old = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    users.add("shop", "jane", MANAGER, old)
    found = entrance(users).enter("jane", PASSWORD, HOME)
    assert extract_parameters(NOBODY) == extract_parameters(found.hash)
    assert fits(PASSWORD, found.hash)


@pytest.mark.parametrize("name", ["jane", "nobody"])
def test_a_name_is_tried_a_few_times(users: Users, kept: str, name: str) -> None:
    """A name that there is and one that there is not are refused after the same number of tries,
    even with the right password; from another address its person still comes in."""
    users.add("shop", "jane", MANAGER, kept)
    tries = Tries(users.database, "secret")
    for _ in range(MOST_TOGETHER):
        tries.take(name, HOME)
    with pytest.raises(RateLimitedError):
        entrance(users).enter(name, PASSWORD, HOME)
    assert "jane" == entrance(users).enter("jane", PASSWORD, "198.51.100.7").name


def test_a_name_and_an_address_have_an_end_too(users: Users) -> None:
    """Tries from many addresses end at a name's limit, those of many names at an address's."""
    for most, take in (
        (MOST_NAME, lambda n: ("jane", f"198.51.100.{n}")),
        (MOST_ADDRESS, lambda n: (f"name{n}", HOME)),
    ):
        tries = Tries(users.database, f"secret {most}")
        for n in range(most):
            tries.take(*take(n))
        with pytest.raises(RateLimitedError):
            tries.take(*take(most))


def test_success_is_no_failure(users: Users) -> None:
    """Who signs in rightly is not counted, however often."""
    tries = Tries(users.database, "secret")
    for _ in range(MOST_ADDRESS + 5):
        tries.take("jane", HOME)
        tries.succeeded("jane", HOME)


def test_tries_name_nobody(users: Users, tmp_path: Path) -> None:
    """What was typed as a name, which may have been a password, is kept nowhere."""
    Tries(users.database, "secret").take("typed-into-the-wrong-field", HOME)
    for file in tmp_path.glob("store.db*"):
        assert b"typed-into" not in file.read_bytes()


def test_one_person_has_one_network() -> None:
    """Addresses of the newer kind count by the network that a household has."""
    assert network("2001:db8::1") == network("2001:db8::ffff") != network("2001:db8:1::1")
    assert "192.0.2.1" == network("192.0.2.1")


def test_a_session_of_a_person_ends_with_password_person_or_word(users: Users, kept: str) -> None:
    """A new password, being disabled, and signing out each end it, in every worker."""
    jane = users.add("shop", "jane", MANAGER, kept, owner="Jane Doe")
    ring, roster = Ring(Keys(users.database)), Roster(users)
    here, there = (Sessions("secret", ring, roster) for _ in range(2))
    text, other = here.begin(jane), here.begin(jane)
    assert here.is_strange(text) and here.check(text) is None
    roster.refresh()
    found = here.check(text)
    assert not here.is_strange(text) and found is not None and text != other
    assert ("user:jane", "shop", (), MANAGER) == (
        found.id, found.workspace, found.scopes, found.role
    )  # fmt: skip
    assert frozenset(("Jane Doe",)) == found.sees
    assert here.token(text) == found.token != here.token(other) != ""
    here.end(text)
    assert here.check(text) is None
    there.refresh()
    assert there.check(text) is None and there.check(other) is not None
    for change in ({"disabled": 1}, {"disabled": None, "hash": hashed("another password yet")}):
        users.change("shop", "jane", "test", **change)  # type: ignore[arg-type]
        roster.refresh()
        assert here.check(other) is None


def test_a_person_sees_their_own_a_lead_the_teams(users: Users) -> None:
    """Account managers see one owner's customers, leads their team's, others everybody's."""
    for name, role, owner, team, workspace in (
        ("anna", MANAGER, "Anna", "north", "shop"), ("bert", MANAGER, "Bert", "north", "shop"),
        ("cora", MANAGER, "Cora", "south", "shop"), ("none", MANAGER, None, None, "shop"),
        ("lena", LEAD, None, "north", "shop"), ("alone", LEAD, "Own", None, "shop"),
        ("far", MANAGER, "Far", "north", "elsewhere"),
        ("dora", SCIENTIST, "Dora", "north", "shop"), ("ada", ADMIN, None, None, "shop"),
    ):  # fmt: skip
        users.add(workspace, name, role, "x", owner, team)
    users.change("shop", "bert", "disable", disabled=1)
    roster = Roster(users)
    roster.refresh()
    seen = {user.name: roster.sees(user) for user in users.all()}
    assert {"Anna"} == seen["anna"] and frozenset() == seen["none"]
    assert {"Anna", "Bert", "Dora"} == seen["lena"] and {"Own"} == seen["alone"]
    assert seen["dora"] is None and seen["ada"] is None


@pytest.mark.parametrize(
    ("given", "says"),
    [({"name": "Jane Doe"}, "no name"), ({"name": ""}, "no name"), ({"role": "boss"}, "no role"),
     ({"owner": ""}, "owner"), ({"team": "a\nb"}, "team"), ({"name": "taken"}, "is taken")],
)  # fmt: skip
def test_a_person_that_can_not_be_meant_is_refused(
    given: dict[str, str], says: str, users: Users
) -> None:
    """Names, roles, owners and teams are checked when they are given."""
    users.add("elsewhere", "taken", ADMIN, "x")
    asked = {"workspace": "shop", "name": "jane", "role": MANAGER, "hash_": "x"} | given
    with pytest.raises(PeopleError, match=says):
        users.add(**asked)
    with pytest.raises(PeopleError, match="no user"):
        users.change("shop", "taken", "role", role=ADMIN)


def test_what_is_done_to_people_is_kept(users: Users) -> None:
    """The audit names each command and the person it was about."""
    users.add("shop", "jane", MANAGER, "x")
    users.change("shop", "jane", "role", role=LEAD)
    rows = asked_of(users.database, "shop", 10)
    assert [("user:jane", "users role"), ("user:jane", "users add")] == [
        (row.key, row.route) for row in rows
    ]
    assert [LEAD] == [user.role for user in users.all() if isinstance(user, User)]


def test_every_role_stands_in_the_table_for_routes_that_there_are() -> None:
    """Roles are given to known routes; whoever sees few customers changes what they did alone."""
    assert set(ROLES_OF) <= set(SCOPE_OF)
    assert {role for roles in ROLES_OF.values() for role in roles} == set(ROLES)
    asks = {"/v1/scores", "/v1/scores/batch", "/v1/what-if"}
    changing = {r for r, roles in ROLES_OF.items() if r[0] != "GET" and {MANAGER, LEAD} & {*roles}}
    acts = {"/v1/actions", "/v1/actions/{action}/outcome", "/actions", "/actions/outcome"}
    acts |= {"/notes", "/opinions", "/v1/notes", "/v1/opinions"}
    works = {"/at-risk", "/my-week", "/views", "/v1/worklist"}
    assert asks | acts | works == {path for _, path in changing}
    assert not {route for route, scope in SCOPE_OF.items() if scope == "admin"} & {
        route for route, roles in ROLES_OF.items() if roles != (ADMIN,)
    }


def stated() -> EventLog:
    """Statements about three customers, with `plan` as their owner."""
    return read_table(
        """
        customer | event_time | recorded_time | event | plan
        a        | 2023-01-01 | 2023-01-01    | EVENT | Anna
        a        | 2023-02-01 | 2023-03-01    | EVENT | Bert
        a        | 2023-02-15 | 2023-02-15    | EVENT | -
        b        | 2023-05-01 | 2023-05-01    | EVENT | Cora
        c        | 2023-01-01 | 2023-01-01    | EVENT | -
        """.replace("EVENT", STATED)
    )


def test_an_owner_is_who_was_named_last_and_known() -> None:
    """Neither what begins later nor what was recorded later counts; one customer's rows and the
    whole log say the same."""
    log = stated()
    day = 86_400_000_000
    start = int(log.event_time[0])
    for days, expected in ((0, ["Anna", None, None]), (45, ["Anna", None, None]),
                           (60, ["Bert", None, None]), (200, ["Bert", "Cora", None])):  # fmt: skip
        as_of = start + days * day
        column = owner_column(log, "plan", np.arange(3), as_of)
        assert expected == column.to_pylist()
        one = [owner_said(stored(log, c), "plan", as_of) for c in range(3)]
        assert expected == one
    assert [None] * 3 == owner_column(log, "unheard", np.arange(3), start).to_pylist()


def stored(log: EventLog, customer: int) -> list[tuple[int, int, str, str, str]]:
    """One customer's statements as the store gives them."""
    rows = range(int(log.offsets[customer]), int(log.offsets[customer + 1]))
    plan = log.categories["plan"]
    said = [{} if plan.codes[i] < 0 else {"plan": plan.levels[plan.codes[i]]} for i in rows]
    return [
        (int(log.event_time[i]), int(log.recorded_time[i]), "", "", json.dumps(one))
        for i, one in zip(rows, said, strict=True)
    ]


@pytest.mark.parametrize(
    ("name", "says"),
    [("ownr", "Did you mean 'owner'"), ("seats", "is a number"), ("agent", "only events")],
)
def test_an_owner_that_is_none_is_explained(name: str, says: str) -> None:
    """A misspelt attribute, one that is no text, and one of events: each with its mend."""
    check_owner("owner", {"owner": "category"}, {})
    check_owner(None, {}, {})
    with pytest.raises(ConfigError, match=says):
        check_owner(name, {"owner": "category", "seats": "number"}, {"agent": "category"})


def test_cookies_are_of_tls_alone_where_there_is_tls() -> None:
    """By the setting or by a scheme that a trusted proxy told of; else a plain name."""
    assert ("milepost", False) == (Settings().cookie("milepost", "http"), Settings().secure("http"))
    for settings, scheme in ((Settings(tls=True), "http"), (Settings(), "https")):
        assert ("__Host-milepost", True) == (
            settings.cookie("milepost", scheme), settings.secure(scheme)
        )  # fmt: skip
    assert "10.0.0.0/8,127.0.0.1/32" == Settings(proxies="10.0.0.0/8, 127.0.0.1").proxies
    with pytest.raises(SettingsError, match="proxies"):
        read_settings({"MILEPOST_PROXIES": "*"})
