"""People over HTTP: who comes in, what each role may ask, whose customers there are for them."""

import csv
import io
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import Service, run
from owned import (
    LISTED,
    OWNERS,
    PASSWORD,
    PEOPLE,
    command,
    enter,
    owned_shop,
    owners,
    person,
    token,
    visitor,
)
from pages import faults, read_page

from serving.access import ROLES_OF, SCOPE_OF
from serving.people import ADMIN, MANAGER, ROLES, SCIENTIST

SEES = {"anna": {"Anna Berg"}, "lena": {"Anna Berg", "Bert Cole"}, "dora": set(OWNERS)}


@pytest.fixture(scope="module")
def service(
    shop: Path, shop_run: tuple[Path, object], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """The trained shop, whose customers have owners, with people who sign in."""
    workspace = tmp_path_factory.mktemp("owned-workspace") / "copy"
    folder = tmp_path_factory.mktemp("owned-shop")
    yield from owned_shop(shop, shop_run, folder, workspace, "--workers", "2")


def test_a_person_is_in_the_header_of_each_page(service: Service) -> None:
    """Name, role and a button that ends the session stand on each page; then nothing opens."""
    with person(service, "lena") as browser:
        customer = min(c for c, owner in owners(service).items() if owner == "Anna Berg")
        for path in ("/at-risk", f"/customers/{customer}", "/docs"):
            (who,) = read_page(browser.get(path).text).all("form", class_="who")
            assert re.search(r"lena\s*lead\s*Sign out", who.text), path
        kept = browser.cookies["milepost"]
        out = browser.post("/sign-out", data={"token": token(browser.get("/at-risk").text)})
        assert (303, "/sign-in") == (out.status_code, out.headers["location"])
        assert "milepost" not in browser.cookies
        time.sleep(1)
        for _ in range(6):  # both workers have heard of it
            stolen = httpx.get(f"{service.address}/at-risk", cookies={"milepost": kept})
            assert 401 == stolen.status_code


def test_the_sign_in_page_has_no_fault(service: Service) -> None:
    """Labels, one heading, no style and no script; a refusal keeps the name and is announced."""
    with visitor(service) as browser:
        page = browser.get("/sign-in")
        refused = enter(browser, "anna", "not the password")
        for answer in (page, refused):
            assert "script-src 'self'" in answer.headers["content-security-policy"]
            read = read_page(answer.text)
            assert [] == faults(read) and [] == read.all("script", "style")
        assert 401 == refused.status_code
        read = read_page(refused.text)
        assert "anna" == read.one("name").attributes["value"]
        assert ["alert"] == [p.attributes["role"] for p in read.all("p") if "role" in p.attributes]
        unknown = enter(browser, "whoever", "not the password")
        assert unknown.text.replace("whoever", "anna") == refused.text


def test_a_form_counts_in_its_own_session_alone(service: Service) -> None:
    """Without its token, with another session's, or from another site no form does anything."""
    with person(service, "anna") as anna, person(service, "bert") as bert:
        theirs = token(bert.get("/at-risk").text)
        for wrong in ({"other": "x"}, {"token": ""}, {"token": "é"}, {"token": theirs}):
            assert 403 == anna.post("/sign-out", data=wrong).status_code
        right = {"token": token(anna.get("/at-risk").text)}
        away = anna.post("/sign-out", data=right, headers={"Origin": "http://evil.example"})
        assert "set-cookie" not in away.headers
        assert 200 == anna.get("/at-risk").status_code
    with visitor(service) as browser:
        form = {"token": token(browser.get("/sign-in").text), "name": "anna", "password": PASSWORD}
        for origin in ("http://evil.example", "null"):
            answer = browser.post("/sign-in", data=form, headers={"Origin": origin})
            assert 403 == answer.status_code and "milepost" not in browser.cookies
        with visitor(service) as other:
            other.get("/sign-in")
            assert 403 == other.post("/sign-in", data=form).status_code


def test_what_a_browser_is_refused_is_a_page(service: Service) -> None:
    """Who reads pages gets the sentence, the status and a way back; a program gets the document."""
    with person(service, "anna") as browser:
        for path, status in (("/model", 403), ("/nonsense", 404), ("/at-risk?problem=nope", 404)):
            told = browser.get(path)
            shown = browser.get(path, headers={"Accept": "text/html,*/*;q=0.8"})
            assert (status, status) == (told.status_code, shown.status_code), path
            assert "application/problem+json" == told.headers["content-type"]
            page = read_page(shown.text)
            assert [] == faults(page)
            assert "/at-risk" in [a.attributes["href"] for a in page.one("main").all("a")]
            says = "no page" if path == "/nonsense" else told.json()["detail"]
            assert says in page.one("main").text


@pytest.mark.parametrize("role", ROLES)
def test_every_route_is_for_its_roles(role: str, service: Service) -> None:
    """Route by route, a person gets in exactly where the table names their role."""
    name = next(name for name, theirs, _, _ in PEOPLE if theirs == role)
    with person(service, name) as browser:
        for route in sorted(SCOPE_OF):
            path = re.sub(r"\{[\w:]+\}", "x", route[1])
            answer = browser.request(route[0], path)
            said = answer.json().get("code") if "problem+json" in str(answer.headers) else ""
            assert (role not in ROLES_OF.get(route, ())) == (said == "forbidden"), route
            assert 401 != answer.status_code


@pytest.mark.parametrize("name", sorted(SEES))
def test_lists_pages_and_exports_are_of_ones_own(name: str, service: Service) -> None:
    """Whatever list a person asks for holds their customers, all of them and no others."""
    whose = owners(service)
    mine = {customer for customer, owner in whose.items() if owner in SEES[name]}
    assert 0 < len(mine) <= len(whose) and (len(mine) < len(whose)) == (name != "dora")
    with person(service, name) as browser:
        answer = browser.get(LISTED, params={"limit": 1000}).json()
        assert mine == {row["customer"] for row in answer["customers"]}
        assert len(mine) == answer["cohort"] == answer["totals"]["customers"]
        assert SEES[name] - {""} == {choice["value"] for choice in answer["owners"]}
        for query in ({"search": "c"}, {"owner": "Cora Diaz"}, {"by": "expected_value"},
                      {"band": "very high"}):  # fmt: skip
            rows = browser.get(LISTED, params={"limit": 1000, **query}).json()["customers"]
            assert {row["customer"] for row in rows} <= mine
        for format_ in ("csv", "jsonl"):
            for what, id_ in (("book", "customer"), ("predictive-scores", "entity_id")):
                text = browser.get(f"/v1/export/{what}", params={"format": format_}).text
                assert mine == exported(text, format_, id_)
        page = read_page(browser.get("/at-risk", params={"limit": 1000}).text)
        assert mine == {each.text for each in page.all("span", class_="id")}


def exported(text: str, format_: str, id_: str) -> set[str]:
    """The customers of an export."""
    if format_ == "csv":
        return {row[id_] for row in csv.DictReader(io.StringIO(text))}
    return set(re.findall(rf'"{id_}": "([^"]+)"', text))


def test_anothers_customer_does_not_exist(service: Service) -> None:
    """By no URL, search, score, batch, supposition or recorded score is another's customer there;
    what is said of it is what is said of a customer that there is not."""
    whose = owners(service)
    other = min(c for c, owner in whose.items() if owner == "Cora Diaz")
    nobodys = min(c for c, owner in whose.items() if owner == "")
    with service.client() as client:
        body = {"problem": "churn", "customer": other}
        given = client.post("/v1/scores", json=body).json()["score_id"]
        inline = client.post("/v1/scores", json={"problem": "churn", "events": []}).json()
        rows = client.get("/v1/at-risk", params={"problem": "churn", "limit": 1000}).json()
        listed = {row["customer"]: row["score_id"] for row in rows["customers"]}[body["customer"]]
    with person(service, "anna") as anna, person(service, "cora") as cora:
        wanted = {"there is none": "no-such-customer", "another's": other, "nobody's": nobodys}
        said = {what: asked(anna, customer) for what, customer in wanted.items()}
        assert said["there is none"] == said["another's"] == said["nobody's"]
        assert {404} == {status for status, _ in said["another's"]}
        assert {200} == {status for status, _ in asked(cora, other)}
        time.sleep(0.5)
        for score in (given, listed):
            assert 200 == cora.get(f"/v1/scores/{score}").status_code
        for score in (given, inline["score_id"], listed):
            assert 404 == anna.get(f"/v1/scores/{score}").status_code
        lines = anna.post(
            "/v1/scores/batch", json={"requests": [body, {"problem": "churn", "events": []}]}
        ).text.splitlines()
        assert '"customer_unknown"' in lines[0] and '"score"' in lines[1]
        found = read_page(anna.get("/at-risk", params={"search": other, "limit": 1000}).text)
        assert [] == found.all("span", class_="id")


def asked(browser: httpx.Client, customer: str) -> list[tuple[int, str]]:
    """What each way to a customer answers, without the customer's name."""
    body: dict[str, Any] = {"problem": "churn", "customer": customer}
    answers = [
        browser.get(f"/v1/customers/{customer}"),
        browser.get(f"/customers/{customer}"),
        browser.get(f"/customers/{customer}", params={"suppose": "order"}),
        browser.post("/v1/scores", json=body),
        browser.post("/v1/scores", json={**body, "touchpoints": True, "changed": True}),
        browser.post("/v1/what-if", json={**body, "suppose": {"events": [{"event": "order"}]}}),
    ]
    found = []
    for answer in answers:
        text = answer.text if answer.status_code == 404 else ""
        text = re.sub(r'name="token" value="\w+"', "", text)
        found.append((answer.status_code, text.replace(customer, "?")))
    return found


def test_a_command_changes_what_a_person_may(service: Service) -> None:
    """Another role counts within a second, a new password and being disabled end the session; a
    password is no argument and is shown nowhere."""
    new = "quite another password"
    done = command(service, "add", "--name", "eve", "--role", MANAGER, typed=f"{PASSWORD}\n")
    assert 0 == done.returncode and "without --owner" in done.stderr
    for owner, note in (("Bert Coal", "Did you mean 'Bert Cole'?"), ("Bert Cole", "")):
        told = command(service, "role", "--name", "eve", "--owner", owner)
        assert 0 == told.returncode and note in told.stderr
        assert bool(note) == ("no customer has the owner" in told.stderr)
    with person(service, "eve") as eve:
        assert 403 == eve.get("/metrics").status_code
        assert 0 == command(service, "role", "--name", "eve", "--role", SCIENTIST).returncode
        time.sleep(1.2)
        assert 200 == eve.get("/metrics").status_code
        done = command(service, "set-password", "--name", "eve", typed=f"{new}\n")
        assert 0 == done.returncode
        time.sleep(1.2)
        assert 401 == eve.get("/metrics").status_code
        assert 401 == enter(eve, "eve").status_code
        assert 303 == enter(eve, "eve", new).status_code
        assert 0 == command(service, "disable", "--name", "eve").returncode
        time.sleep(1.2)
        assert 401 == eve.get("/metrics").status_code
        assert 401 == enter(eve, "eve", new).status_code
    listed = command(service, "list").stdout
    assert re.search(r"eve\s+data-scientist.*disabled", listed)
    for typed in ("short\n", "", "\n"):
        assert 2 == command(service, "set-password", "--name", "eve", typed=typed).returncode
    helped = run("serving", "users", "add", "--help").stdout
    assert "--password" not in helped
    time.sleep(1)
    for text in (listed, service.logged(), done.stdout + done.stderr):
        assert PASSWORD not in text and new not in text
    for file in service.workspace.glob("milepost.db*"):
        assert PASSWORD.encode() not in file.read_bytes()


def test_who_came_and_who_was_refused_is_kept(service: Service) -> None:
    """The audit has what a person did, each sign-in and each that failed, by the name; of a name
    that nobody has it has nothing."""
    with person(service, "cora") as cora:
        cora.get(LISTED, headers={"X-Request-ID": "by-cora"})
        enter(cora, "cora", "not the password")
        enter(cora, "a-typed-password", "not the password")
        cora.post("/sign-out", data={"token": token(cora.get("/at-risk").text)})
    time.sleep(1.2)
    place = (str(service.config), "--workspace", str(service.workspace))
    shown = run("serving", "audit", *place, "--limit", "1000").stdout
    for line in (r"user:cora GET /v1/at-risk 200 .* by-cora", "user:cora POST /sign-in 303",
                 "user:cora POST /sign-in 401", "user:cora POST /sign-out 303",
                 "user:cora COMMAND users add"):  # fmt: skip
        assert re.search(line, shown), line
    assert "a-typed-password" not in shown + service.logged()


def test_guesses_come_to_an_end(service: Service) -> None:
    """After some wrong passwords a name is refused with 429 in all workers, whether or not there
    is anybody of that name."""
    done = command(service, "add", "--name", "gil", "--role", ADMIN, typed=f"{PASSWORD}\n")
    assert 0 == done.returncode
    with visitor(service) as browser:
        for name in ("gil", "nobody-at-all"):
            found = [enter(browser, name, f"guess number {n}").status_code for n in range(11)]
            assert [401] * 10 + [429] == found
        assert 429 == enter(browser, "gil").status_code
        assert 303 == enter(browser, "anna").status_code
        browser.headers["X-Forwarded-For"] = "198.51.100.7"
        assert 303 == enter(browser, "gil").status_code


def test_a_key_still_opens_the_pages(service: Service) -> None:
    """The form takes a key instead, and its session sees everybody's customers."""
    with visitor(service) as browser:
        form = {"token": token(browser.get("/sign-in").text), "key": service.key}
        assert 303 == browser.post("/sign-in", data=form).status_code
        listed = browser.get(LISTED, params={"limit": 1000}).json()["customers"]
        assert set(owners(service)) == {row["customer"] for row in listed}
        assert "Sign out" in browser.get("/at-risk").text


def test_a_cookie_is_of_tls_alone_behind_a_named_proxy(service: Service) -> None:
    """Where a proxy that a setting names says that a browser came by TLS, its cookies are sent by
    TLS alone and no other host can set them; a session of one kind is none of the other."""
    forwarded = {"X-Forwarded-Proto": "https"}
    with visitor(service) as browser:
        page = browser.get("/sign-in", headers=forwarded)
        made = set(page.headers["set-cookie"].split("; "))
        assert {"Secure", "HttpOnly", "SameSite=strict", "Path=/"} <= made
        assert page.headers["set-cookie"].startswith("__Host-milepost-form=")
        assert "Secure" not in browser.get("/sign-in").headers["set-cookie"]
    with person(service, "anna") as anna:
        assert 200 == anna.get("/at-risk").status_code
        assert 401 == anna.get("/at-risk", headers=forwarded).status_code
