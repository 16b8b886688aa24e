"""Actions, notes and opinions over HTTP: what is written stays text, for those who may see it."""

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from conftest import Service
from owned import OWNERS, owners, person, token
from pages import Element, faults, read_page
from sqlalchemy import delete

from serving.action_tables import ACTIONS
from serving.database import Database

SCRIPT = "<script>alert('x')</script>"
FORMS = {
    "/actions": {"kind": "call", "at": "2024-01-20T10:30", "outcome": "reached"},
    "/notes": {"text": "Moved."},
    "/opinions": {"says": "no", "because": "They signed."},
}


WORDS = {
    "/v1/notes": {"text": "Moved."},
    "/v1/opinions": {"says": "no", "because": "They signed."},
}


@pytest.fixture(scope="module")
def whose(owned_service: Service) -> dict[str, list[str]]:
    """The customers of each owner, by name."""
    found: dict[str, list[str]] = {name: [] for name in OWNERS}
    for customer, owner in sorted(owners(owned_service).items()):
        found[owner].append(customer)
    return found


@pytest.fixture(scope="module")
def anna(owned_service: Service) -> Iterator[httpx.Client]:
    """The browser of an account manager."""
    with person(owned_service, "anna") as browser:
        yield browser


def page(browser: httpx.Client, path: str) -> Element:
    """A page without any fault that a reader's tools would stumble over."""
    answer = browser.get(path)
    assert 200 == answer.status_code, answer.text
    assert "http://" not in answer.text and "<script" not in answer.text
    read = read_page(answer.text)
    assert [] == faults(read)
    return read


def said(element: Element) -> str:
    return " ".join(element.text.split())


def sent(browser: httpx.Client, path: str, customer: str, **fields: str) -> httpx.Response:
    """What comes of a form of a page of ours."""
    form = {"token": token(browser.get("/actions").text), "customer": customer, **fields}
    return browser.post(path, data={"problem": "churn", "id": f"i{time.time_ns()}", **form})


def test_an_action_is_on_the_page_in_the_journey_and_in_the_list(
    anna: httpx.Client, whose: dict[str, list[str]]
) -> None:
    """A form leads back to the page; the action has its mark in the picture and its event in the
    journey, stands in the list, and a later word on it is shown beside the first."""
    customer = whose["Anna Berg"][0]
    before = anna.get(f"/v1/customers/{customer}").json()
    done = sent(anna, "/actions", customer, **{**FORMS["/actions"], "cost": "12.5", "note": SCRIPT})
    assert 303 == done.status_code
    assert f"/customers/{customer}?problem=churn#acts" == done.headers["location"]
    (made,) = anna.get("/v1/actions", params={"customer": customer}).json()["actions"]
    assert ("call", "anna", 12.5, "reached", SCRIPT) == tuple(
        made[name] for name in ("kind", "who", "cost", "outcome", "note")
    )
    assert "2024-01-20T10:30:00Z" == made["at"]
    word = {"action": made["id"], "outcome": "accepted", "note": SCRIPT}
    assert 303 == sent(anna, "/actions/outcome", customer, **word).status_code
    read = page(anna, f"/customers/{customer}?problem=churn")
    (act,) = read.one("acts").parent.all("li", class_="act")  # type: ignore[union-attr]
    assert re.search(r"Call.*anna.*12.50 accepted", said(act))
    assert 2 == said(act).count(SCRIPT) and "first: reached" in said(act)
    assert 1 == len(read.all("path", class_="act"))
    events = said(read.one("events").parent)  # type: ignore[arg-type]
    assert "What came of an action" in events and "cost 12.5" in events
    assert customer in said(page(anna, "/actions?kind=call&outcome=accepted&who=anna"))
    assert customer not in said(page(anna, "/actions?kind=offer"))
    after = anna.get(f"/v1/customers/{customer}").json()
    names = [event["event"] for event in after["events"]]
    assert {"action_call", "action_outcome"} == set(names) - {"order", "ticket"}
    assert 2 == after["n_events"] - before["n_events"]


def test_an_action_changes_no_score(anna: httpx.Client, whose: dict[str, list[str]]) -> None:
    """Neither the score, nor its moment, its reasons and sources know of it, also of an action
    in a history that is sent."""
    customer = whose["Anna Berg"][1]

    def answer() -> dict[str, Any]:
        body = {"problem": "churn", "customer": customer, "features": True, "touchpoints": True}
        found = anna.post("/v1/scores", json=body).json()
        del found["score_id"]
        return dict(found)

    before = answer()
    for kind in ("call", "discount"):
        fields = {**FORMS["/actions"], "at": "", "kind": kind}
        assert 303 == sent(anna, "/actions", customer, **fields).status_code
    assert before == answer()
    act = {"event": "action_call", "event_time": "2024-01-30"}
    order = {"event": "order", "event_time": "2024-01-20", "value": 3.0}
    inline = [
        anna.post(
            "/v1/scores",
            json={"problem": "churn", "events": events, "as_of": "2024-02-01", "features": True},
        ).json()["features"]
        for events in ([order], [order, act])
    ]
    assert inline[0] == inline[1]


def test_notes_and_opinions_stay_text(anna: httpx.Client, whose: dict[str, list[str]]) -> None:
    """The newest note comes first; an opinion stands beside the score of its moment, and where it
    differs from the model's, in the queue with what is at stake."""
    listed = anna.get("/v1/at-risk", params={"limit": 1000}).json()["customers"]
    row = listed[0]
    customer = row["customer"]
    for text in ("First.", SCRIPT):
        assert 303 == sent(anna, "/notes", customer, text=text).status_code
    fields = {"says": "no", "because": f"They signed. {SCRIPT}"}
    done = sent(anna, "/opinions", customer, **fields)
    assert f"/customers/{customer}?problem=churn#opinions" == done.headers["location"]
    read = page(anna, f"/customers/{customer}?problem=churn")
    notes = said(read.one("notes").parent)  # type: ignore[arg-type]
    assert notes.index(SCRIPT) < notes.index("First.")
    opinion = read.one("opinions").parent
    assert opinion is not None and SCRIPT in said(opinion)
    assert [row["probability"]] == opinion.all("li")[0].numbers
    assert row["band"] in ("high", "very high") and "disagrees" in said(opinion)
    queue = page(anna, "/disagreements?problem=churn")
    (entry,) = [r for r in queue.all("tr") if customer in said(r)]
    assert [row["probability"]] == entry.numbers and f"{row['value_at_stake']:.0f}" in said(entry)
    assert "They will stay" in said(entry) and SCRIPT in said(entry)
    assert 303 == sent(anna, "/opinions", customer, says="yes", because="Not so.").status_code
    again = said(page(anna, "/disagreements?problem=churn"))
    assert customer not in again, "who changes their mind agrees by now"


def test_similar_customers_are_counted_and_only_ones_own_are_named(
    owned_service: Service, anna: httpx.Client
) -> None:
    """An account manager reads of as many similar customers as an admin, by the same numbers, and
    finds the names of their own alone."""
    customer = anna.get("/v1/at-risk").json()["customers"][0]["customer"]
    with person(owned_service, "ada") as ada:
        pages = [page(who, f"/customers/{customer}?problem=churn") for who in (anna, ada)]
    mine, every = (read.one("alike").parent for read in pages)
    assert mine is not None and every is not None
    counted = re.search(
        r"Of (\d+) customers .*; for the other (\d+) there was an order", said(mine)
    )
    assert counted is not None and counted[0] in said(every)
    assert int(counted[1]) == mine.numbers[0] + int(counted[2]) > 4
    named, all_ = ({each.text for each in part.all("bdi", class_="id")} for part in (mine, every))
    assert named < all_ and int(counted[1]) == len(all_)
    for each in all_:
        assert (each in named) == (anna.get(f"/v1/customers/{each}").status_code == 200)


WRONG = [
    {"cost": "-1"}, {"cost": "inf"}, {"cost": "nan"}, {"cost": "1e30"}, {"cost": SCRIPT},
    {"kind": SCRIPT}, {"kind": ""}, {"outcome": SCRIPT}, {"at": "2999-01-01T00:00"},
    {"at": "1999-12-31T23:59"}, {"at": "yesterday"}, {"note": "x" * 2_001}, {"id": "../x"},
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_what_does_not_fit_is_not_kept(
    wrong: dict[str, str], anna: httpx.Client, whose: dict[str, list[str]]
) -> None:
    """A field out of its bounds is refused, the form shown again with what was typed, as text."""
    customer = whose["Anna Berg"][2]
    typed = {**FORMS["/actions"], "note": f"typed {SCRIPT}", **wrong}
    refused = sent(anna, "/actions", customer, **typed)
    assert 422 == refused.status_code and "<script" not in refused.text
    read = read_page(refused.text)
    assert [] == faults(read)
    (alert,) = [p for p in read.all("p") if p.attributes.get("role") == "alert"]
    assert "Nothing was kept" in said(alert) and next(iter(wrong)) in said(alert).lower()
    assert typed["note"] == read.one("a-note").text
    assert [] == anna.get("/v1/actions", params={"customer": customer}).json()["actions"]


def test_long_or_empty_text_is_not_kept(anna: httpx.Client, whose: dict[str, list[str]]) -> None:
    """A note and an opinion have something to say, and an end."""
    customer = whose["Anna Berg"][3]
    for path, name in (("/notes", "text"), ("/opinions", "because")):
        for text in ("", "x" * 2_001):
            refused = sent(anna, path, customer, **{**FORMS[path], name: text})
            assert 422 == refused.status_code
    assert 422 == sent(anna, "/opinions", customer, says="maybe", because="x").status_code
    read = page(anna, f"/customers/{customer}?problem=churn")
    assert "no note yet" in said(read.one("notes").parent)  # type: ignore[arg-type]


def test_the_same_sent_twice_is_kept_once(anna: httpx.Client, whose: dict[str, list[str]]) -> None:
    """A second click does nothing; the id of a form with other content is a conflict."""
    customer = whose["Anna Berg"][4]
    for path, fields in FORMS.items():
        fixed = {**fields, "id": f"twice{path.replace('/', '-')}"}
        assert [303, 303] == [sent(anna, path, customer, **fixed).status_code for _ in range(2)]
        changed = {"note": "x"} if path == "/actions" else {"text": "x", "because": "x"}
        assert 409 == sent(anna, path, customer, **{**fixed, **changed}).status_code
    assert 1 == len(anna.get("/v1/actions", params={"customer": customer}).json()["actions"])
    body = {"customer": customer, "kind": "offer", "id": "own-id"}
    answers = [anna.post("/v1/actions", json=body) for _ in range(2)]
    assert answers[0].json() | {"recorded": 0} == answers[1].json() | {"recorded": 0}
    assert 409 == anna.post("/v1/actions", json={**body, "kind": "call"}).status_code
    word = {"outcome": "done", "id": "w1"}
    for _ in range(2):
        assert 200 == anna.post("/v1/actions/own-id/outcome", json=word).status_code
    found = anna.get("/v1/actions", params={"customer": customer, "kind": "offer"}).json()
    assert ["done"] == [each["outcome"] for each in found["actions"][0]["follow_ups"]]


def ways(customer: str, action: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Every way to read or write what belongs to a customer."""
    found: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", "/v1/actions", {"params": {"customer": customer}}),
        ("GET", "/actions", {"params": {"customer": customer}}),
        ("POST", "/v1/actions", {"json": {"customer": customer, "kind": "call"}}),
        ("POST", f"/v1/actions/{action}/outcome", {"json": {"outcome": "done"}}),
        ("POST", "/v1/notes", {"json": {"customer": customer, "text": "x"}}),
        ("POST", "/v1/opinions",
         {"json": {"customer": customer, "says": "no", "because": "x"}}),
        ("POST", "/actions/outcome",
         {"data": {"customer": customer, "action": action, "outcome": "done"}}),
    ]  # fmt: skip
    forms = [("POST", path, {"data": {"customer": customer, **f}}) for path, f in FORMS.items()]
    wrong = {"customer": customer, "cost": "-1", "kind": "call"}
    return [*found, *forms, ("POST", "/actions", {"data": wrong})]


def test_anothers_customer_is_neither_read_nor_written(
    owned_service: Service, whose: dict[str, list[str]]
) -> None:
    """By each URL and each call, another's customer and their actions are as if there were none,
    also in lists, the queue and by the id of an action; a lead sees the team's."""
    with person(owned_service, "cora") as cora:
        theirs = whose["Cora Diaz"][0]
        body = {"customer": theirs, "kind": "call", "note": "secret words"}
        action = cora.post("/v1/actions", json=body).json()["id"]
        sent(cora, "/opinions", theirs, says="no", because="secret words")
        sent(cora, "/opinions", theirs, says="yes", because="secret words")
        kept = cora.get("/v1/actions", params={"customer": theirs}).json()
        assert 200 == cora.get("/v1/actions").status_code and len(kept["actions"]) == 1
    for name in ("anna", "lena"):
        with person(owned_service, name) as browser:
            said_of = {}
            for who, id_ in ((theirs, action), ("no-such-customer", "no-such-action")):
                found = []
                for method, path, given in ways(who, id_):
                    if "data" in given:
                        form = {"token": token(browser.get("/actions").text), "id": "form-1"}
                        given = {"data": {"problem": "churn", **form, **given["data"]}}
                    answer = browser.request(method, path, **given)
                    text = re.sub(r'value="\w+"', "", answer.text).replace(who, "?")
                    found.append((answer.status_code, text.replace(id_, "!")))
                said_of[who] = found
            assert said_of[theirs] == said_of["no-such-customer"]
            assert {404} == {status for status, _ in said_of[theirs]}
            for path in ("/actions", "/v1/actions", "/disagreements", "/v1/disagreements"):
                text = browser.get(path, params={"limit": 500}).text
                assert "secret words" not in text and theirs not in text
    with person(owned_service, "cora") as cora:
        assert kept == cora.get("/v1/actions", params={"customer": theirs}).json()
    with person(owned_service, "ada") as ada:
        assert "secret words" in ada.get("/actions").text
    with person(owned_service, "anna") as anna, person(owned_service, "lena") as lena:
        mine = whose["Anna Berg"][5]
        assert 303 == sent(anna, "/actions", mine, **FORMS["/actions"]).status_code
        assert mine in lena.get("/actions").text
        body = {"customer": mine, "kind": "email"}
        assert 200 == lena.post("/v1/actions", json=body).status_code


def test_forms_need_the_session_s_own_token(
    anna: httpx.Client, owned_service: Service, whose: dict[str, list[str]]
) -> None:
    """Without a token, with another session's, or by a key no form is taken."""
    customer = whose["Anna Berg"][6]
    with person(owned_service, "lena") as lena:
        other = token(lena.get("/actions").text)
    for path, fields in {**FORMS, "/actions/outcome": {"outcome": "done"}}.items():
        for wrong in ({}, {"token": ""}, {"token": other}):
            form = {"customer": customer, "id": "x", **fields, **wrong}
            assert 403 == anna.post(path, data=form).status_code
            assert (
                403
                == httpx.post(
                    f"{owned_service.address}{path}", data=form, headers=owned_service.headers
                ).status_code
            )
    assert [] == anna.get("/v1/actions", params={"customer": customer}).json()["actions"]


def test_who_may_not_write_sees_no_form(
    owned_service: Service, whose: dict[str, list[str]]
) -> None:
    """A data scientist reads what was written; neither page nor route lets them write."""
    customer = whose["Anna Berg"][0]
    with person(owned_service, "dora") as dora:
        read = page(dora, f"/customers/{customer}?problem=churn")
        assert [] == [f for f in read.all("form") if f.attributes["action"] in FORMS]
        for path, fields in FORMS.items():
            assert 403 == sent(dora, path, customer, **fields).status_code
        body = {"customer": customer, "kind": "call"}
        assert 403 == dora.post("/v1/actions", json=body).status_code
        for path, body in WORDS.items():
            assert 403 == dora.post(path, json={"customer": customer, **body}).status_code
        assert 200 == dora.get("/v1/disagreements").status_code


def test_a_system_writes_notes_that_the_page_shows(
    anna: httpx.Client, owned_service: Service, whose: dict[str, list[str]]
) -> None:
    """A note is kept once by its id, with who wrote it; the page shows it as text."""
    customer = whose["Anna Berg"][8]
    body = {"customer": customer, "text": f"From the CRM {SCRIPT}", "who": "jane", "id": "crm-1"}
    with owned_service.client() as system:
        first, again = (system.post("/v1/notes", json=body) for _ in range(2))
        assert 200 == first.status_code and first.json() == again.json()
        assert body == {name: first.json()[name] for name in body}
        assert 409 == system.post("/v1/notes", json={**body, "text": "Other"}).status_code
        for wrong in ({"text": ""}, {"text": "x" * 2_001}, {"id": "a b"}, {"at": "2024-01-01"}):
            assert 422 == system.post("/v1/notes", json={**body, **wrong}).status_code
    shown = anna.get(f"/customers/{customer}?problem=churn").text
    assert 1 == shown.count("From the CRM") and "<script" not in shown
    assert 422 == anna.post("/v1/notes", json={**body, "id": "own"}).status_code
    own = anna.post("/v1/notes", json={"customer": customer, "text": "Mine"}).json()
    assert "anna" == own["who"] and own["id"]


def test_the_queue_over_the_api_is_that_of_the_page(
    anna: httpx.Client, owned_service: Service, whose: dict[str, list[str]]
) -> None:
    """An opinion stands beside the score of the moment; where it says another thing than the
    model it is in the queue, as JSON and on the page, and an agreeing one takes it out."""
    customer = whose["Anna Berg"][9]
    with owned_service.client() as system:
        asked = {"problem": "churn", "customer": customer}
        score = system.post("/v1/scores", json=asked).json()
        warned = score["band"] in ("high", "very high") or score["probability"] >= 0.5
        body = {**asked, "says": "no" if warned else "yes", "because": "They told me.",
                "who": "jane", "id": "crm-2"}  # fmt: skip
        first, again = (system.post("/v1/opinions", json=body) for _ in range(2))
        assert 200 == first.status_code and first.json() == again.json()
        made = first.json()
        assert body == {name: made[name] for name in body}
        assert score["probability"] == made["probability"]
        assert (True, None) == (made["disagrees"], made["came"])
        assert made["expects"].startswith("They will")
        assert 409 == system.post("/v1/opinions", json={**body, "because": "x"}).status_code
        for wrong in ({"says": "maybe"}, {"because": ""}, {"says": None}):
            assert 422 == system.post("/v1/opinions", json={**body, **wrong}).status_code
        assert 404 == system.post("/v1/opinions", json={**body, "problem": "x"}).status_code
        assert 404 == system.get("/v1/disagreements", params={"problem": "x"}).status_code
        told = anna.get("/v1/disagreements", params={"problem": "churn"}).json()
        assert made in told["disagreements"]
        assert told["waiting"] == len(told["disagreements"])
        assert {"known", "person_right", "model_right"} < set(told["tally"])
        page_said = said(page(anna, "/disagreements?problem=churn"))
        assert all(one["customer"] in page_said for one in told["disagreements"])
        assert 1 == len(anna.get("/v1/disagreements?limit=1").json()["disagreements"])
        agreeing = {**body, "says": "yes" if warned else "no", "id": "crm-3"}
        assert not system.post("/v1/opinions", json=agreeing).json()["disagrees"]
        told = anna.get("/v1/disagreements").json()["disagreements"]
        assert customer not in [one["customer"] for one in told]


def test_a_person_writes_down_their_own_actions(
    anna: httpx.Client, owned_service: Service, whose: dict[str, list[str]]
) -> None:
    """A person is whoever is signed in; a system says who it was."""
    body = {"customer": whose["Anna Berg"][7], "kind": "call", "who": "bert"}
    assert 422 == anna.post("/v1/actions", json=body).status_code
    with owned_service.client() as system:
        assert "bert" == system.post("/v1/actions", json=body).json()["who"]
        del body["who"]
        assert system.post("/v1/actions", json=body).json()["who"].startswith("key ")


def test_the_api_refuses_what_is_no_action(owned_service: Service) -> None:
    """Bounds hold for systems alike, and a refusal repeats nothing."""
    whole = {"customer": "c001", "kind": "call"}
    with owned_service.client() as system:
        for wrong in (
            {"cost": -0.01}, {"cost": "3"}, {"cost": 1e10}, {"kind": SCRIPT}, {"outcome": SCRIPT},
            {"note": "x" * 2_001}, {"who": ""}, {"at": "1999-01-01"}, {"at": "2999-01-01"},
            {"id": "a b"}, {"other": 1}, {"customer": ""},
        ):  # fmt: skip
            answer = system.post("/v1/actions", json={**whole, **wrong})
            assert 422 == answer.status_code, wrong
            assert SCRIPT not in answer.text
        raw = json.dumps(whole)[:-1] + ', "cost": NaN}'
        headers = {"Content-Type": "application/json"}
        assert 400 == system.post("/v1/actions", content=raw, headers=headers).status_code
        for cursor in ("x", "1", "-", "1-" + "x" * 65, "99999999999999999999-a"):
            assert 422 == system.get("/v1/actions", params={"cursor": cursor}).status_code


def test_pages_of_the_list_follow_one_another(
    owned_service: Service, whose: dict[str, list[str]]
) -> None:
    """By `next`, every action comes once, the newest first."""
    with owned_service.client() as system:
        for n in range(7):
            body = {"customer": whose["Bert Cole"][n % 2], "kind": "email", "who": "pages"}
            assert 200 == system.post("/v1/actions", json=body).status_code
        found, cursor = [], None
        while True:
            asked = {"who": "pages", "limit": 3, **({"cursor": cursor} if cursor else {})}
            part = system.get("/v1/actions", params=asked).json()
            found += part["actions"]
            if (cursor := part["next"]) is None:
                break
    assert 7 == len({each["id"] for each in found}) == len(found)
    assert sorted((each["at"] for each in found), reverse=True) == [each["at"] for each in found]


def test_what_was_half_kept_is_kept_whole_the_next_time(
    owned_service: Service, whose: dict[str, list[str]]
) -> None:
    """A service that died between journey and ledger said nothing; the same sent again, even
    without a time of its own, is in both once."""
    customer = whose["Bert Cole"][5]
    body = {"customer": customer, "kind": "training", "id": "half-kept"}
    database = Database(f"sqlite:///{owned_service.workspace}/milepost.db")
    with owned_service.client() as system:
        assert 200 == system.post("/v1/actions", json=body).status_code
        with database.writing() as connection:
            connection.execute(delete(ACTIONS).where(ACTIONS.c.action == "half-kept"))
        assert [] == system.get("/v1/actions", params={"customer": customer}).json()["actions"]
        assert 200 == system.post("/v1/actions", json=body).status_code
        assert 1 == len(system.get("/v1/actions", params={"customer": customer}).json()["actions"])
        events = system.get(f"/v1/customers/{customer}").json()["events"]
        assert 1 == [event["event"] for event in events].count("action_training")
    database.close()
