"""The list as people work through it: forms, rights, and what is seen afterwards."""

import csv
import io
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from conftest import Service
from identity_provider import IdentityProvider
from owned import OWNERS, person, token
from pages import faults, read_page

LISTED, DECIDE = "/v1/at-risk", "/v1/worklist"


@pytest.fixture
def service(owned_service: Service) -> Service:
    """The trained shop, whose customers have owners, with people who sign in."""
    return owned_service


def listed(browser: httpx.Client, **asked: Any) -> dict[str, dict[str, Any]]:
    """The rows that somebody sees, by customer."""
    answer = browser.get(LISTED, params={"limit": 1000, **asked})
    assert 200 == answer.status_code, answer.text
    return {row["customer"]: row for row in answer.json()["customers"]}


def decided(browser: httpx.Client, do: str, customers: list[str], **more: str) -> httpx.Response:
    """What the list's form gives back when these rows are ticked."""
    ticked = dict.fromkeys((f"pick:{name}" for name in customers), "1")
    form = {"token": token(browser.get("/at-risk").text), "back": "problem=churn", "do": do}
    return browser.post("/at-risk", data={**form, **ticked, **more})


def test_who_is_left_out_goes_and_can_be_seen_and_fetched_back(service: Service) -> None:
    """The form leads back to the list, which says what was done; totals go along."""
    with person(service, "anna") as anna:
        before = listed(anna)
        two = sorted(before)[:2]
        answer = decided(anna, "snooze", two, days="7")
        assert 303 == answer.status_code, answer.text
        page = read_page(anna.get(answer.headers["location"]).text)
        assert [] == faults(page)
        (said,) = [each.text for each in page.all("p") if each.attributes.get("role") == "status"]
        assert said.startswith("2 customers left out")
        assert before.keys() - set(two) == listed(anna).keys()
        asleep = listed(anna, snoozed="asleep")
        assert set(two) == asleep.keys()
        assert all(row["snoozed_until"] for row in asleep.values())
        whole = anna.get(LISTED, params={"limit": 1}).json()
        assert (len(before), 2, len(before) - 2) == (
            whole["cohort"], whole["snoozed"], whole["totals"]["customers"]
        )  # fmt: skip
        assert 303 == decided(anna, "wake", two).status_code
        assert before.keys() == listed(anna).keys()


def test_a_plan_stands_in_the_row(service: Service) -> None:
    """What is planned, by when and by whom; and it goes when it is done."""
    with person(service, "anna") as anna:
        one = min(listed(anna))
        due = listed_day(service)
        assert 303 == decided(anna, "plan", [one], kind="training", due=due).status_code
        assert {"kind": "training", "due": due, "planned_by": "anna"} == (
            listed(anna)[one]["next_step"]
        )
        assert "next: training" in anna.get("/at-risk", params={"search": one}).text
        assert 303 == decided(anna, "unplan", [one]).status_code
        assert listed(anna)[one]["next_step"] is None


def listed_day(service: Service) -> str:
    """A day of next week, as the service's clock has it."""
    date = httpx.get(f"{service.address}/livez").headers["date"]
    return (parsedate_to_datetime(date) + timedelta(days=7)).date().isoformat()


def test_a_lead_gives_customers_to_the_team_and_takes_them_back(service: Service) -> None:
    """Rows change hands at once, in lists, pages and the API, and come back as they were."""
    with (
        person(service, "lena") as lena,
        person(service, "anna") as anna,
        person(service, "bert") as bert,
    ):
        his, hers = listed(bert), listed(anna)
        gone = sorted(his)[:3]
        url = f"/customers/{gone[0]}"
        assert (404, 200) == (anna.get(url).status_code, bert.get(url).status_code)
        assert 303 == decided(lena, "assign", gone, owner="Anna Berg").status_code
        assert hers.keys() | set(gone) == listed(anna).keys()
        assert his.keys() - set(gone) == listed(bert).keys()
        assert (200, 404) == (anna.get(url).status_code, bert.get(url).status_code)
        body = {"problem": "churn", "customer": gone[0]}
        assert 200 == anna.post("/v1/scores", json=body).status_code
        assert 404 == bert.post("/v1/scores", json=body).status_code
        assert 303 == decided(lena, "take_back", gone).status_code
        assert (his.keys(), hers.keys()) == (listed(bert).keys(), listed(anna).keys())
        assert 404 == anna.get(url).status_code


def test_nobody_decides_about_customers_who_are_not_theirs(service: Service) -> None:
    """Another's customer is refused like one that there is not, and nothing at all is kept."""
    with person(service, "anna") as anna, person(service, "cora") as cora:
        mine, other = min(listed(anna)), min(listed(cora))
        for name in (other, "no-such-customer"):
            for do in ("snooze", "plan", "pick"):
                answer = decided(anna, do, [mine, name], days="7", kind="call")
                assert 404 == answer.status_code, (do, answer.text)
        assert listed(anna)[mine]["next_step"] is None
        assert other in listed(cora)
        assert 403 == decided(anna, "assign", [mine], owner="Anna Berg").status_code


@pytest.mark.parametrize(
    ("who", "do", "more", "status"),
    [("lena", "assign", {"owner": "Cora Diaz"}, 422), ("dora", "snooze", {"days": "7"}, 403),
     ("anna", "snooze", {"until": "1999-01-01"}, 422), ("anna", "plan", {"kind": "séance"}, 422),
     ("anna", "plan", {}, 422), ("anna", "nonsense", {}, 422),
     ("anna", "snooze", {"days": "-1"}, 422),
     ("anna", "plan", {"kind": "call", "due": "2999-01-01"}, 422)],
)  # fmt: skip
def test_what_cant_be_meant_is_refused_and_said(
    service: Service, who: str, do: str, more: dict[str, str], status: int
) -> None:
    """A page says what is wrong; the list is as it was."""
    with person(service, who) as browser:
        before = listed(browser)
        answer = decided(browser, do, [min(before)], **more)
        assert status == answer.status_code, answer.text
        assert before == listed(browser)


def test_forms_of_the_list_need_their_sessions_token(service: Service) -> None:
    """A form that another site or session sends does nothing."""
    with person(service, "anna") as anna, person(service, "bert") as bert:
        before, theirs = listed(anna), token(bert.get("/at-risk").text)
        for path in ("/at-risk", "/my-week", "/views"):
            form = {
                f"pick:{min(before)}": "1",
                "do": "snooze",
                "days": "7",
                "many": "3",
                "name": "x",
            }
            assert 403 == anna.post(path, data={**form, "token": theirs}).status_code
        assert before == listed(anna)


def test_all_of_a_list_is_what_its_filters_let_through(service: Service) -> None:
    """The box above the buttons takes the whole filtered list, and no more of it."""
    with person(service, "anna") as anna:
        stages = anna.get(LISTED).json()["stages"]
        stage = stages[0]["value"]
        form = {"token": token(anna.get("/at-risk").text), "back": f"problem=churn&stage={stage}"}
        answer = anna.post("/at-risk", data={**form, "do": "plan", "kind": "call", "all": "1"})
        assert (
            str(stages[0]["customers"])
            == parse_qs(urlsplit(answer.headers["location"]).query)["many"][0]
        )
        planned = {name for name, row in listed(anna).items() if row["next_step"]}
        assert planned == listed(anna, stage=stage).keys()
        anna.post("/at-risk", data={**form, "do": "unplan", "all": "1"})


def test_a_page_of_many_rows_can_be_ticked_whole(service: Service) -> None:
    """The form of a long page is read, be all of its rows ticked."""
    with person(service, "ada") as ada:
        everybody = sorted(listed(ada))
        assert 100 < len(everybody)
        assert 303 == decided(ada, "plan", everybody, kind="call").status_code
        assert all(row["next_step"] for row in listed(ada).values())
        assert 303 == decided(ada, "unplan", everybody).status_code


def test_a_weeks_share_is_the_best_of_my_own_and_stays(service: Service) -> None:
    """The first ones by expected loss, in that order; the next ones come behind them."""
    with person(service, "anna") as anna:
        best = list(listed(anna, by="expected_value"))
        sent = {"token": token(anna.get("/my-week").text), "problem": "churn"}
        for many, after in (("3", best[:3]), ("2", best[:5])):
            answer = anna.post("/my-week", data={**sent, "many": many})
            assert (303, "/my-week?problem=churn") == (
                answer.status_code, answer.headers["location"]
            )  # fmt: skip
            page = read_page(anna.get("/my-week").text)
            assert [] == faults(page)
            assert after == [each.text for each in page.all("span", class_="id")]
        with person(service, "bert") as bert:
            assert [] == read_page(bert.get("/my-week").text).all("span", class_="id")
        for many in ("0", "-1", "x", "1000"):
            assert 422 == anna.post("/my-week", data={**sent, "many": many}).status_code


def test_a_view_is_kept_opened_and_forgotten(service: Service) -> None:
    """A name of any letters leads to the same filters again; it is its person's alone."""
    name = "<b>Große & teure</b>"
    with person(service, "anna") as anna:
        sent = {"token": token(anna.get("/at-risk").text), "back": "problem=churn&band=high&evil=1"}
        assert 303 == anna.post("/views", data={**sent, "name": name, "do": "keep"}).status_code
        links = read_page(anna.get("/at-risk").text).all("a")
        (kept,) = [link for link in links if link.text == name]
        assert "/at-risk?problem=churn&band=high" == kept.attributes["href"]
        assert 200 == anna.get(kept.attributes["href"]).status_code
        with person(service, "bert") as bert:
            assert name not in bert.get("/at-risk").text
        anna.post("/views", data={**sent, "name": name, "do": "drop"})
        assert [] == [
            link for link in read_page(anna.get("/at-risk").text).all("a") if link.text == name
        ]


def test_the_export_of_a_list_is_that_list(service: Service) -> None:
    """The link below the rows gives the same customers as a file, with formulas disarmed."""
    with person(service, "anna") as anna:
        page = read_page(anna.get("/at-risk", params={"problem": "churn", "stage": "support"}).text)
        (link,) = [a.attributes["href"] for a in page.all("a") if "CSV" in a.text]
        rows = list(csv.DictReader(io.StringIO(anna.get(link).text)))
        assert listed(anna, stage="support").keys() == {row["customer"] for row in rows}
        assert {"Anna Berg"} == {row["owner"] for row in rows} & set(OWNERS)


def test_what_to_talk_about_is_the_strongest_reason_that_can_be_influenced(
    service: Service,
) -> None:
    """In the list and on the page of a customer the same kind of reason is picked out: one that
    makes leaving likelier by a point or more and is no context; where there is none, nothing."""
    with service.client() as client:
        rows = client.get(LISTED, params={"limit": 1000}).json()["customers"]
        told = client.get("/at-risk", params={"problem": "churn", "limit": 1000}).text
        marked = {}
        for row in read_page(told).all("tr")[1:]:
            ((customer,),) = ([a.text for a in row.all("a")],)
            chips = row.all("span", class_="actionable")
            marked[customer] = [str(chip.parent.parts[0]).strip() for chip in chips if chip.parent]
        picked = {row["customer"]: worth_talking(row["reasons"]) for row in rows}
        assert picked == marked
        some = [next(c for c in picked if picked[c]), next(c for c in picked if not picked[c])]
        for customer in some:
            asked = {"problem": "churn", "customer": customer, "reasons": 8}
            reasons = client.post("/v1/scores", json=asked).json()["reasons"]
            page = read_page(client.get(f"/customers/{customer}?problem=churn").text)
            said = [p for p in page.all("p") if p.attributes.get("id") == "talk"]
            assert worth_talking(reasons) == [p.all("strong")[0].text for p in said]


def worth_talking(reasons: list[dict[str, Any]]) -> list[str]:
    """The first reason that makes leaving likelier and can be influenced."""
    found = [r["statement"] for r in reasons if r["kind"] == "actionable" and r["points"] >= 1]
    return found[:1]


def test_a_service_without_models_says_what_to_do(
    provider_service: tuple[Service, IdentityProvider],
) -> None:
    """Nobody waits for a list that will not come: the page names the commands, and no path."""
    made = provider_service[0]
    with made.client() as client:
        for path in ("/at-risk", "/my-week"):
            told = client.get(path)
            assert (200, True) == (told.status_code, "make train" in told.text)
            assert "make promote" in told.text and "first minutes" not in told.text
        for path in ("/journey-map", "/personas", "/model"):
            told = client.get(path)
            assert 503 == told.status_code
            assert "python -m training train" in told.text
            assert str(made.workspace) not in told.text


def test_a_key_decides_over_the_api(service: Service) -> None:
    """The CRM leaves out, plans, assigns and takes back; what does not fit is 422."""
    with service.client() as client:
        before = listed(client)
        one = min(before)
        sent = {"problem": "churn", "customers": [one]}
        due = listed_day(service)
        for body in ({"do": "snooze", "until": due}, {"do": "plan", "kind": "offer", "due": due},
                     {"do": "assign", "owner": "Zoë"}):  # fmt: skip
            answer = client.post(DECIDE, json={**sent, **body})
            assert (200, {"customers": 1}) == (answer.status_code, answer.json())
        row = listed(client, snoozed="asleep")[one]
        assert (due, "Zoë", "offer") == (
            row["snoozed_until"],
            row["owner"],
            row["next_step"]["kind"],
        )
        for do in ("wake", "unplan", "take_back"):
            assert 200 == client.post(DECIDE, json={**sent, "do": do}).status_code
        assert before == listed(client)
        for body in ({"do": "snooze"}, {"do": "assign"}, {"do": "x"}, {"do": "plan", "kind": "x"},
                     {"do": "wake", "customers": []}):  # fmt: skip
            assert 422 == client.post(DECIDE, json={**sent, **body}).status_code
        missing = client.post(DECIDE, json={**sent, "do": "wake", "customers": [one, "nobody"]})
        assert 404 == missing.status_code
