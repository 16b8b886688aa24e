"""The page of one customer over HTTP: it says what the API says, to everybody, and nothing more."""

import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from conftest import Service, serve
from pages import Element, faults, read_page

from features.config import Cohort, Outcome
from models.files import load
from serving.customer_events import StoredCustomer
from serving.supposing import forms

SCRIPT = "<script>alert(1)</script>"
HOSTILE = f"a/b?{SCRIPT}&'\""
SILENT = "quiet"
ODD_EVENT = "<img src=x onerror=alert(2)>"

ODD = f"""
[[events]]
name = "oddities"
sql = '''
select customer, day as event_time, event, note as "{SCRIPT.replace("/", "")}" from 'odd.csv'
'''
"""


@pytest.fixture(scope="module")
def service(
    shop: Path, shop_run: tuple[Path, object], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """The trained shop with a few customers more, whose names and events are scripts."""
    folder = tmp_path_factory.mktemp("odd-shop")
    for name in ("orders.csv", "tickets.csv", "customers.csv"):
        shutil.copyfile(shop.parent / name, folder / name)
    quoted = '"' + HOSTILE.replace('"', '""') + '"'
    days = ["2023-11-02", "2023-11-20", "2023-12-05", "2023-12-20", "2024-01-10", "2024-01-28"]
    with (folder / "orders.csv").open("a") as orders:
        orders.writelines(f"{quoted},{day},20.5,web\n" for day in days)
        orders.write(f"{SILENT},2023-02-01,9.5,shop\n")
    rows = [f"{quoted},2023-03-01,{ODD_EVENT},{SCRIPT}", f"{SILENT},2023-03-08,{ODD_EVENT},"]
    (folder / "odd.csv").write_text("\n".join(["customer,day,event,note", *rows]) + "\n")
    (folder / "journey.toml").write_text(shop.read_text() + ODD)
    workspace = tmp_path_factory.mktemp("odd-workspace") / "copy"
    # The store of another service may be there already, and at work.
    others = shutil.ignore_patterns("milepost.db*", "book-histories")
    shutil.copytree(shop_run[0], workspace, ignore=others)
    yield from serve(folder / "journey.toml", workspace)


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[httpx.Client]:
    """A client of the service."""
    with service.client(follow_redirects=False) as made:
        yield made


def address(customer: str) -> str:
    return f"/customers/{quote(customer, safe='')}"


def opened(client: httpx.Client, customer: str, **query: Any) -> Element:
    """A customer's page, which has no fault that a reader's tools would stumble over."""
    answer = client.get(address(customer), params={"problem": "churn", **query})
    assert 200 == answer.status_code, answer.text
    assert "text/html; charset=utf-8" == answer.headers["content-type"]
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert "http://" not in answer.text and "https://" not in answer.text
    page = read_page(answer.text)
    assert [] == faults(page)
    assert not re.search(r"\b(None|nan|NaN|null|undefined|Undefined)\b", page.text)
    return page


def asked(client: httpx.Client, customer: str, **more: Any) -> dict[str, Any]:
    """The API's answer."""
    body = {"problem": "churn", "customer": customer, "reasons": 8, "touchpoints": True, **more}
    answer = client.post("/v1/scores", json=body)
    assert 200 == answer.status_code, answer.text
    return dict(answer.json())


def recorded(client: httpx.Client, answer: dict[str, Any]) -> dict[str, Any]:
    """The answer, once the ledger has written it: it does so within a tenth of a second."""
    deadline = time.monotonic() + 10
    while client.get(f"/v1/scores/{answer['score_id']}").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return answer


def riskiest(client: httpx.Client, many: int) -> list[str]:
    listed = client.get("/v1/at-risk", params={"limit": many}).json()["customers"]
    return [row["customer"] for row in listed]


def told(page: Element) -> str:
    """What stands on the page, blanks made one."""
    return " ".join(page.text.split())


def test_the_page_says_what_the_api_says(client: httpx.Client) -> None:
    """Every number is that of the API's answer to the last digit, and the recorded one's too."""
    for customer in (*riskiest(client, 3), HOSTILE):
        page, answer = opened(client, customer), asked(client, customer)
        number = page.one("score").parent.all("code")[0].text  # type: ignore[union-attr]
        kept = recorded(client, {"score_id": number}) and client.get(f"/v1/scores/{number}").json()
        assert customer == kept["customer"]
        for document in (answer, kept):
            total = 100 * document["probability"]
            points = [reason["points"] for reason in document["reasons"]]
            wanted = [document["base_points"], *points, document["rest_points"], total]
            assert wanted == page.all("table", class_="sum")[0].numbers
            singled = [each["points"] for each in document["touchpoints"]]
            strong = [each for each in singled if each is not None and abs(each) >= 0.05]
            assert strong == [n for each in page.all("ol", class_="marks") for n in each.numbers]
        interval = [answer["interval"]["low"], answer["interval"]["high"]]
        shown = [answer["probability"], *interval, answer["percentile"], answer["value_at_stake"]]
        assert shown == page.one("score").parent.numbers  # type: ignore[union-attr]
        weeks = [each["probability"] for each in answer["weekly_risk"]]
        assert weeks == page.one("weeks").parent.numbers  # type: ignore[union-attr]
        for said in (answer["band"], answer["model"], f"version {answer['model_version']}"):
            assert said in told(page)
        for reason in answer["reasons"]:
            assert f"{reason['statement']} {reason['kind']}" in told(page)


def test_the_reasons_add_up_to_the_score(client: httpx.Client) -> None:
    """A typical customer's score, the reasons and the rest are this one's score."""
    for customer in riskiest(client, 5):
        *parts, score = opened(client, customer).all("table", class_="sum")[0].numbers
        assert score == pytest.approx(sum(parts), abs=1e-6)


def test_each_reason_shows_the_events_that_it_rests_on(client: httpx.Client) -> None:
    """The stored events that the API names by their ids are listed under their reason."""
    customer = riskiest(client, 1)[0]
    page, answer = opened(client, customer), asked(client, customer)
    shown = [len(each.all("time")) for each in page.all("table", class_="sum")[0].all("ul")]
    assert [len(r["events"]) for r in answer["reasons"] if r["events"]] == shown
    assert sum(shown) > 3


def test_scripts_stay_text(client: httpx.Client) -> None:
    """A script in an id, an event's name or a property is read, and never an element."""
    page = opened(client, HOSTILE)
    assert [] == page.all("script", "img")
    assert HOSTILE in page.all("h1")[0].text
    events = page.one("events").parent
    assert events is not None
    assert ODD_EVENT in events.text and SCRIPT in events.text
    lanes = page.one("journey").parent
    assert lanes is not None and "in no stage" in lanes.text
    refused = opened(client, HOSTILE, suppose=SCRIPT)
    assert [] == refused.all("script")
    assert SCRIPT in refused.all("p", class_="refused")[0].text
    number = opened(client, HOSTILE, suppose="order", **{"with.value": SCRIPT})
    assert [] == number.all("script")
    assert f"Value must be a number, not “{SCRIPT}”." in told(number)


def test_the_list_leads_to_the_page(client: httpx.Client) -> None:
    """Each row of the at-risk list is a link to the page of its customer, whatever its id."""
    page = read_page(client.get("/at-risk", params={"search": "a/b", "problem": "churn"}).text)
    links = [a for a in page.all("a") if a.attributes["href"].startswith("/customers/")]
    assert [HOSTILE] == [link.text for link in links]
    answer = client.get(links[0].attributes["href"])
    assert HOSTILE in read_page(answer.text).all("h1")[0].text


def test_who_is_unknown_gets_a_page_that_says_so(client: httpx.Client) -> None:
    """An unknown customer, problem or score is a page with status 404 and a way back."""
    for path, query, says in (
        (f"nobody{SCRIPT}", {}, "No event or attribute of that customer is stored."),
        ("c001", {"problem": "chrun"}, "There is no problem of that name. Did you mean 'churn'?"),
        ("c001", {"since": "0"}, "There is no such score of this customer."),
    ):
        answer = client.get(f"/customers/{quote(path, safe='')}", params=query)
        page = read_page(answer.text)
        assert (404, []) == (answer.status_code, faults(page))
        assert says in told(page)
        assert "/at-risk" in [a.attributes["href"] for a in page.all("a")]
    wrong = client.get("/customers/c001", params={"cursor": "x"})
    assert (422, "text/html; charset=utf-8") == (wrong.status_code, wrong.headers["content-type"])


def test_without_a_score_the_page_says_why(client: httpx.Client) -> None:
    """Who is not asked about has a page with the reason, the journey and how fresh the data is."""
    page, answer = opened(client, SILENT), asked(client, SILENT)
    assert answer["no_score"]["detail"] in told(page)
    assert "No score" == page.all("p", class_="score")[0].text
    headings = [each.text for each in page.all("h2")]
    written = ["What was done", "Notes", "Second opinion"]
    assert ["Score", *written, "Journey", "Events", "About the customer", "Data"] == headings
    assert "2 events" in told(page)


def test_a_silent_source_is_told(client: httpx.Client) -> None:
    """A source that the API calls dead is a warning, with how long it has been silent."""
    customer = riskiest(client, 1)[0]
    (dead,) = (s for s in asked(client, customer)["sources"] if s["name"] == "oddities")
    assert "dead" == dead["status"]
    warnings = " ".join(each.text for each in opened(client, customer).all(class_="warnings"))
    assert f"oddities is dead: nothing came for {dead['silent_days']:.0f} days" in warnings
    assert "orders" not in warnings


def test_events_come_page_by_page(client: httpx.Client) -> None:
    """The links to earlier events lead through every event once, newest first."""
    customer = riskiest(client, 1)[0]
    stored = client.get(f"/v1/customers/{customer}", params={"limit": 1000}).json()
    assert stored["n_events"] > 100
    found, place = [], address(customer)
    while place:
        page = read_page(client.get(place).text)
        assert [] == faults(page)
        rows = page.all("table", class_="events")[0].all("tbody")[0].all("tr")
        found += [row.all("time")[0].attributes["datetime"] for row in rows]
        place = next(
            (a.attributes["href"] for a in page.all("a") if a.text == "Earlier events"), ""
        )
    assert [event["event_time"] for event in stored["events"]] == found


def test_what_if_is_the_answer_of_the_api(client: httpx.Client) -> None:
    """The form's answer is that of `/v1/what-if`; what is refused shows the API's own reason."""
    customer = riskiest(client, 1)[0]
    form = opened(client, customer).all("form")[0]
    fields = {each.attributes["name"] for each in form.all("input", "select")}
    assert {"problem", "suppose", "with.value", "with.channel"} == fields
    for value in (25.5, 1e6):
        page = opened(client, customer, suppose="order", **{"with.value": value})
        supposed = {"events": [{"event": "order", "value": value}]}
        body = {"problem": "churn", "customer": customer, "suppose": supposed}
        answer = client.post("/v1/what-if", json=body)
        shown = page.all("p", class_="answer")[0]
        if answer.is_success:
            said = answer.json()
            assert [said[n] for n in ("supposing", "probability", "points")] == shown.numbers
            assert said["label"] in shown.text
        else:
            assert 422 == answer.status_code
            assert answer.json()["detail"][1:] in told(shown)
    assert shown.attributes["class"] == "answer refused"
    chosen = [each for each in page.all("details", class_="suppose") if "open" in each.attributes]
    assert ["An order now"] == [each.all("summary")[0].text for each in chosen]


def test_what_ends_the_question_is_not_offered(shop_run: tuple[Path, object]) -> None:
    """Neither the outcome itself nor an event that excludes from the cohort may be supposed."""
    contract = load(shop_run[0] / "shop" / "churn" / "model").contract
    nobody = StoredCustomer((), (), 0, False)
    for changes, offered in (
        ({}, {"order", "ticket"}),
        ({"outcome": Outcome(event="ticket")}, {"order"}),
        ({"outcome": Outcome(**{"not": "ticket", "by": "until"})}, {"order"}),
        ({"cohort": Cohort(without=["order"])}, {"ticket"}),
    ):
        asked = replace(contract, problem=contract.problem.model_copy(update=changes))
        assert offered == {form.asks[1] for form in forms(asked, nobody, {})}


def test_what_changed_is_the_answer_of_the_api(client: httpx.Client) -> None:
    """The page compares with the last score of an earlier day, or with the one that is chosen."""
    customer = riskiest(client, 2)[1]
    older, old = (asked(client, customer, as_of=day) for day in ("2024-01-05", "2024-01-20"))
    recorded(client, old)
    for query, since in (({}, old), ({"since": older["score_id"]}, older)):
        page = opened(client, customer, **query)
        answer = asked(client, customer, changed=since["score_id"])["changed"]
        parts = [answer[name] for name in ("by_time", "by_events", "by_model", "points")]
        section = page.one("changed").parent
        assert section is not None
        assert parts == section.numbers
        assert since["as_of"] == section.all("time")[0].attributes["datetime"]
        assert sum(parts[:3]) == pytest.approx(parts[3])
    links = [a.attributes["href"] for a in page.all("a") if "what changed since" in a.text]
    assert any(f"since={older['score_id']}" in link for link in links)


def test_asking_again_is_no_change(client: httpx.Client) -> None:
    """`changed` compares with the last other score, however often this one was asked since."""
    customer = riskiest(client, 3)[2]
    before = recorded(client, asked(client, customer, as_of="2024-01-25"))
    for _ in range(3):
        answer = recorded(client, asked(client, customer, changed=True))
        assert before["score_id"] == answer["changed"]["since"]
    for other in ("c000", customer):
        foreign = client.post(
            "/v1/scores", json={"problem": "churn", "customer": other, "changed": "0" * 20}
        )
        assert (404, "score_unknown") == (foreign.status_code, foreign.json()["code"])
