"""The running service as a CRM sees it: a real server, asked over HTTP."""

import json
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import httpx
import numpy as np
import pytest
from conftest import GROCERY, Service, run, serve
from hypothesis import given, settings
from hypothesis import strategies as st

from features.config import read_config
from features.durations import format_moment
from features.engine import compute
from features.sources import read_histories
from models.files import load
from training.labels import label_rows

PROBLEM = "application/problem+json"
ONE_EVENT = b'{"problem": "churn", "events": [{"event": "order", "event_time": "2024-01-01", %b}]}'


@pytest.fixture(scope="module")
def shop_client(shop_service: Service) -> Iterator[httpx.Client]:
    with shop_service.client() as client:
        yield client


@pytest.fixture(scope="module")
def grocery_client(grocery_service: Service) -> Iterator[httpx.Client]:
    with grocery_service.client() as client:
        yield client


@pytest.mark.parametrize("problem", ["churn", "conversion"])
def test_serving_computes_what_training_computed(
    problem: str, grocery_run: tuple[Path, object], grocery_client: httpx.Client
) -> None:
    """1,000 random rows of the training set have the same vectors, probabilities and personas."""
    business = read_config(GROCERY)
    histories = read_histories(business)
    model = load(grocery_run[0] / "grocery" / problem / "model")
    labelled, log = label_rows(business, model.contract.problem, histories)
    count = 1000
    chosen = np.random.default_rng(1).choice(len(labelled), count, replace=False)
    rows = labelled.moments.rows.take(chosen)
    vectors = compute(model.contract.features, log, histories.attributes, rows)
    probabilities = model.probabilities(vectors)
    assert model.contract.personas is not None
    personas = [
        model.contract.personas.of(code) for code in model.contract.personas.assign(vectors)
    ]
    asked = [
        {
            "problem": problem,
            "customer": log.customers[int(customer)],
            "as_of": format_moment(int(cutoff)),
            "features": True,
            "reasons": 0,
        }
        for customer, cutoff in zip(rows.customer, rows.cutoff_time, strict=True)
    ]
    response = grocery_client.post("/v1/scores/batch", json={"requests": asked})
    lines = [json.loads(line) for line in response.text.splitlines()]
    assert list(range(count)) == [line["index"] for line in lines]
    for i, body in enumerate(asked):
        answer = lines[i]["score"]
        if answer["no_score"] is not None:  # the model refuses what it hardly knows
            assert answer["no_score"]["code"] in ("history_too_thin", "unfamiliar"), body
            continue
        served = [answer["features"][name] for name in model.contract.names]
        assert np.array_equal(np.array(served, float), vectors[i], equal_nan=True), body
        assert answer["probability"] == probabilities[i], body
        persona = personas[i] and {"name": personas[i].name, "says": personas[i].says}
        assert persona == answer["persona"], body
        assert (persona is None) == (answer["no_persona"] is not None), body
    assert sum(line["score"]["no_score"] is not None for line in lines) < count / 100


def test_a_score_is_a_whole_answer(shop_client: httpx.Client) -> None:
    """Probability, interval, weeks, band, reasons that add up, stake and version are there."""
    listed = shop_client.get("/v1/at-risk", params={"limit": 1}).json()
    customer = listed["customers"][0]["customer"]
    response = shop_client.post(
        "/v1/scores", json={"problem": "churn", "customer": customer, "reasons": 50}
    )
    answer = response.json()
    assert 200 == response.status_code
    assert "scored" == answer["status"]
    assert 0 < answer["probability"] < 1
    assert 90 < answer["percentile"] <= 100
    assert "very high" == answer["band"]
    assert len(answer["reasons"]) >= 3
    total = answer["base_points"] + sum(reason["points"] for reason in answer["reasons"])
    assert total == pytest.approx(100 * answer["probability"], abs=1e-6)
    sizes = [abs(reason["points"]) for reason in answer["reasons"]]
    assert sizes == sorted(sizes, reverse=True)
    groups = [reason["group"] for reason in answer["reasons"]]
    assert len(groups) == len(set(groups))
    assert all(
        reason["direction"] == ("raises" if reason["points"] > 0 else "lowers")
        and f"{abs(reason['points']):.1f}" in reason["sentence"]
        for reason in answer["reasons"]
    )
    assert answer["as_of"] < answer["valid_until"]
    assert "1" == answer["model_version"]
    assert answer["value_at_stake"] > 0
    assert answer["interval"]["low"] < answer["probability"] < answer["interval"]["high"]
    assert 0.9 == answer["interval"]["level"]
    weeks = answer["weekly_risk"]
    assert [w["probability"] for w in weeks] == sorted(
        (w["probability"] for w in weeks), reverse=True
    )
    assert answer["probability"] == weeks[-1]["probability"]
    assert answer["as_of"] < weeks[0]["until"] < weeks[-1]["until"]


def test_a_history_in_the_request_scores_as_the_stored_one(
    shop: Path, shop_client: httpx.Client
) -> None:
    """Posting a stored customer's own events and attributes gives the very same score."""
    import duckdb

    customer = shop_client.get("/v1/at-risk").json()["customers"][3]["customer"]
    found = duckdb.sql(
        f"select day::varchar, amount, channel from '{shop.parent}/orders.csv' "
        f"where customer = '{customer}' order by hash(day)"
    ).fetchall()
    events = [
        {"event": "order", "event_time": day, "value": value, "channel": channel}
        for day, value, channel in found
    ]
    tickets = duckdb.sql(
        f"select day::varchar, wait from '{shop.parent}/tickets.csv' where customer = '{customer}'"
    ).fetchall()
    events += [{"event": "ticket", "event_time": day, "wait": wait} for day, wait in tickets]
    city, since = duckdb.sql(
        f"select city, since::varchar from '{shop.parent}/customers.csv' "
        f"where customer = '{customer}'"
    ).fetchall()[0]
    stored = shop_client.post(
        "/v1/scores", json={"problem": "churn", "customer": customer, "features": True}
    ).json()
    inline = shop_client.post(
        "/v1/scores",
        json={
            "problem": "churn",
            "events": events,
            "attributes": {"city": city, "since": since},
            "as_of": stored["as_of"],
            "features": True,
        },
    ).json()
    same = ("probability", "percentile", "band", "reasons", "features", "value_at_stake")
    for answer in (stored, inline):
        for reason in answer["reasons"]:
            del reason["events"]  # the store names its events, the request did not
    assert {k: stored[k] for k in same} == {k: inline[k] for k in same}
    assert [] == inline["unread"]


def test_too_little_history_gives_no_score_and_says_why(shop_client: httpx.Client) -> None:
    """No event, or none for too long, is an answer without a probability and with a code."""
    empty = shop_client.post("/v1/scores", json={"problem": "churn", "events": []}).json()
    assert ("no_score", "no_history", None) == (
        empty["status"], empty["no_score"]["code"], empty["probability"],
    )  # fmt: skip
    old = {"event": "order", "event_time": "2001-01-01"}
    silent = shop_client.post("/v1/scores", json={"problem": "churn", "events": [old]}).json()
    assert "not_active" == silent["no_score"]["code"]


def test_an_event_id_counts_once(shop_client: httpx.Client) -> None:
    """An event that is posted twice under one id is one event, as in the stored histories."""
    event = {"event": "order", "event_time": "2024-01-01", "value": 3, "event_id": "a"}
    once, twice, other = (
        shop_client.post(
            "/v1/scores",
            json={"problem": "churn", "events": events, "as_of": "2024-01-02", "features": True},
        ).json()
        for events in ([event], [event, event], [event, {**event, "event_id": "b"}])
    )
    assert once.pop("score_id") != twice.pop("score_id")
    assert once == twice
    assert (1.0, 2.0) == (once["features"]["order_count"], other["features"]["order_count"])
    assert [] == once["unread"]


def test_what_is_not_json_is_unreadable(shop_client: httpx.Client) -> None:
    """A body that can't be parsed is a 400, one that does not fit names its place in words."""
    unreadable = shop_client.post(
        "/v1/scores", content=b"{'problem': 1}", headers={"Content-Type": "application/json"}
    )
    assert (400, "request_unreadable") == (unreadable.status_code, unreadable.json()["code"])
    wrong = {"event": "order", "event_time": "2024-01-01", "value": [1]}
    document = shop_client.post("/v1/scores", json={"problem": "churn", "events": [wrong]}).json()
    assert ["body.events.0.value"] == [error["place"] for error in document["errors"]]
    assert "must be text" in document["detail"]


def test_a_moment_after_the_stored_history_has_no_score(shop_client: httpx.Client) -> None:
    """Silence after the end of the histories means nothing, so nothing is claimed of it."""
    listed = shop_client.get("/v1/at-risk").json()
    body = {"problem": "churn", "customer": listed["customers"][0]["customer"]}
    at_end = shop_client.post("/v1/scores", json={**body, "as_of": listed["as_of"]}).json()
    later = shop_client.post("/v1/scores", json={**body, "as_of": "2031-01-01"}).json()
    assert ("scored", "no_score") == (at_end["status"], later["status"])
    assert "beyond_history" == later["no_score"]["code"]


def test_who_has_converted_since_is_not_listed(
    grocery_run: tuple[Path, object], grocery_client: httpx.Client
) -> None:
    """A household that redeemed the campaign after receiving it has nothing left to predict."""
    import duckdb

    business = read_config(GROCERY)
    redeemed = duckdb.sql(f"""
        select distinct c.household_id::varchar, max(start_date) over (partition by c.household_id)
        from '{business.folder}/campaigns.parquet' c
        join '{business.folder}/campaign_descriptions.parquet' using (campaign_id)
        join '{business.folder}/coupon_redemptions.parquet' r
          on r.household_id = c.household_id and r.campaign_id = c.campaign_id
         and r.redemption_date > start_date
        where start_date > date '2017-12-31' - interval 56 days
        qualify start_date = (select max(d.start_date) from '{business.folder}/campaigns.parquet' k
          join '{business.folder}/campaign_descriptions.parquet' d using (campaign_id)
          where k.household_id = c.household_id)
    """).fetchall()
    assert len(redeemed) > 10
    listed = grocery_client.get(
        "/v1/at-risk", params={"problem": "conversion", "limit": 1000}
    ).json()
    assert not {row[0] for row in redeemed} & {row["customer"] for row in listed["customers"]}
    single = {"problem": "conversion", "customer": redeemed[0][0]}
    answer = grocery_client.post("/v1/scores", json=single).json()
    assert "already_happened" == answer["no_score"]["code"]


EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "event": st.sampled_from(["order", "ticket", "other"]),
            "event_time": st.dates(date(2023, 6, 1), date(2024, 2, 1)).map(date.isoformat),
        },
        optional={
            "value": st.floats(-1e15, 1e15) | st.none(),
            "wait": st.floats(-1e15, 1e15),
            "channel": st.text(max_size=5).filter(lambda t: t.isascii()),
            "recorded_time": st.datetimes(datetime(2023, 1, 1), datetime(2025, 1, 1)).map(
                datetime.isoformat
            ),
        },
    ),
    max_size=20,
)


def test_any_fitting_history_gets_an_answer(shop_client: httpx.Client) -> None:
    """A history of known events is scored or says why not, and a score adds up."""
    seen = set()

    @given(EVENTS, st.dates(date(2023, 7, 1), date(2024, 3, 1)).map(date.isoformat))
    @settings(max_examples=200)
    def ask(events: list[dict[str, object]], as_of: str) -> None:
        response = shop_client.post(
            "/v1/scores",
            json={"problem": "churn", "events": events, "as_of": as_of, "reasons": 50},
        )
        assert 200 == response.status_code, response.text
        answer = response.json()
        seen.add(answer["status"])
        if answer["status"] == "scored":
            total = answer["base_points"] + sum(r["points"] for r in answer["reasons"])
            assert 0 <= answer["probability"] <= 1
            assert total == pytest.approx(100 * answer["probability"], abs=1e-6)

    ask()
    assert {"scored", "no_score"} == seen


def test_what_the_model_never_saw_is_named(shop_client: httpx.Client) -> None:
    """Unknown events, properties and attributes do not stop a score, and are not hidden."""
    days = ("2023-11-20", "2023-12-01", "2023-12-10", "2023-12-21", "2024-01-01")
    orders = [{"event": "order", "event_time": day, "value": 30, "mood": "good"} for day in days]
    other = {"event": "dance", "event_time": "2024-01-01"}
    answer = shop_client.post(
        "/v1/scores",
        json={
            "problem": "churn",
            "events": [*orders, other],
            "attributes": {"shoe": 43},
            "as_of": "2024-01-02",
        },
    ).json()
    assert ["attribute shoe", "event dance", "property mood"] == answer["unread"]
    assert "scored" == answer["status"]


def test_the_list_is_sorted_and_counts_the_cohort(shop_client: httpx.Client) -> None:
    """Highest score first, as many as asked for, and each row agrees with a single score."""
    listed = shop_client.get("/v1/at-risk", params={"limit": 30}).json()
    scores = [row["probability"] for row in listed["customers"]]
    assert 30 == len(scores) <= listed["cohort"]
    assert scores == sorted(scores, reverse=True)
    row = listed["customers"][7]
    single = shop_client.post(
        "/v1/scores", json={"problem": "churn", "customer": row["customer"], "reasons": 3}
    ).json()
    assert row["probability"] == single["probability"]
    shown = ("feature", "statement", "points")
    assert [[reason[name] for name in shown] for reason in row["reasons"]] == [
        [pytest.approx(reason[name]) if name == "points" else reason[name] for name in shown]
        for reason in single["reasons"]
    ]


def test_the_page_shows_the_same_list(shop_client: httpx.Client) -> None:
    """The HTML page names the same customers in the same order and loads nothing from elsewhere."""
    listed = shop_client.get("/v1/at-risk", params={"limit": 50}).json()
    page = shop_client.get("/at-risk", params={"by": "probability"})
    assert "text/html; charset=utf-8" == page.headers["content-type"]
    places = [page.text.index(f">{row['customer']}</span>") for row in listed["customers"]]
    assert places == sorted(places)
    assert "http://" not in page.text and "https://" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"problem": "churn", "customer": "nobody"}, 404, "customer_unknown"),
        ({"problem": "chrun", "customer": "c001"}, 404, "problem_unknown"),
        ({"problem": "churn"}, 422, "request_invalid"),
        ({"problem": "churn", "customer": "c001", "events": []}, 422, "request_invalid"),
        ({"problem": "churn", "customer": 1}, 422, "request_invalid"),
        ({"problem": "churn", "customer": "c001", "reason": 1}, 422, "request_invalid"),
        ({"problem": "churn", "customer": "c001", "reasons": True}, 422, "request_invalid"),
        ({"problem": "churn", "customer": "c001", "as_of": "soon"}, 422, "request_invalid"),
        ({"problem": "churn", "customer": "c001", "as_of": 5}, 422, "request_invalid"),
        (
            {"problem": "churn", "events": [{"event": "order", "event_time": "0001-01-01"}]},
            422,
            "request_invalid",
        ),
        (
            {
                "problem": "churn",
                "events": [{"event": "order", "event_time": "2024-01-01", "value": "3"}],
            },
            422,
            "history_invalid",
        ),
        (
            {
                "problem": "churn",
                "events": [{"event": "order", "event_time": "2024-01-01", "value": [1]}],
            },
            422,
            "request_invalid",
        ),
        (
            {"problem": "churn", "events": [], "attributes": {"since": "long ago"}},
            422,
            "history_invalid",
        ),
    ],
)
def test_errors_are_problem_documents(
    body: dict[str, object], status: int, code: str, shop_client: httpx.Client
) -> None:
    """Every error is an RFC 9457 document with a stable code."""
    response = shop_client.post("/v1/scores", json=body)
    document = response.json()
    assert (status, PROBLEM) == (response.status_code, response.headers["content-type"])
    assert code == document["code"]
    assert {"type", "title", "status", "detail"} <= set(document)
    assert status == document["status"]


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"",
        b"null",
        b'"churn"',
        b'{"problem": "churn", "customer": "\\ud800"}',
        ONE_EVENT % b'"value": NaN',
        ONE_EVENT % b'"value": 1e999',
        ONE_EVENT % b'"\\ud800": 1, "value": []',
        b'{"problem": NaN}',
        b'{"problem": "churn", "customer": "c", "reasons": 1' + b"0" * 400 + b"}",
        ONE_EVENT % b'"value": 1e16',
        b"\xff\xfe",
        b"[" * 5000,
    ],
)
def test_hostile_bodies_are_refused(raw: bytes, shop_client: httpx.Client) -> None:
    """What is no request at all is a 4xx problem document, never a 5xx."""
    response = shop_client.post(
        "/v1/scores", content=raw, headers={"Content-Type": "application/json"}
    )
    assert 400 <= response.status_code < 500
    assert PROBLEM == response.headers["content-type"]
    json.loads(response.content)


def test_health_says_which_versions_answer(shop_client: httpx.Client) -> None:
    """/livez says live; /readyz names each problem's version and each source's last event."""
    assert {"status": "live"} == shop_client.get("/livez").json()
    ready = shop_client.get("/readyz").json()
    assert {"churn": "1"} == ready["models"]
    last = {source["name"]: source["last_event"] for source in ready["sources"]}
    assert {"orders", "tickets", "customers 1"} == set(last)
    assert last["customers 1"] is None and last["orders"] > "2024-01"


def test_paths_and_methods_that_do_not_exist_are_problem_documents(
    shop_client: httpx.Client,
) -> None:
    """404 and 405 have the same form as every other error."""
    for response, status in (
        (shop_client.get("/nowhere"), 404),
        (shop_client.get("/v1/scores"), 405),
    ):
        assert (status, PROBLEM) == (response.status_code, response.headers["content-type"])


def test_without_a_champion_the_service_says_so(shop: Path, tmp_path: Path) -> None:
    """The service starts, /livez is well, /readyz and a score say that the champion is missing."""
    for service in serve(shop, tmp_path):
        with service.client() as client:
            assert 200 == client.get("/livez").status_code
            ready = client.get("/readyz")
            assert (503, "not_ready") == (ready.status_code, ready.json()["code"])
            assert "Train with: python -m training train" in ready.json()["detail"]
            score = client.post("/v1/scores", json={"problem": "churn", "customer": "c001"})
            assert (503, "model_unavailable") == (score.status_code, score.json()["code"])
            page = client.get("/customers/c001")
            assert 200 == page.status_code
            assert "No score" in page.text and "python -m training train" in page.text
            assert ">Journey</h2>" in page.text


def test_the_documentation_describes_the_errors(shop_client: httpx.Client) -> None:
    """OpenAPI names the problem document for each error of each operation."""
    schema = shop_client.get("/openapi.json").json()
    assert {
        "/v1/scores",
        "/v1/scores/batch",
        "/v1/what-if",
        "/v1/problems",
        "/v1/at-risk",
        "/livez",
        "/readyz",
    } <= set(schema["paths"])
    responses = schema["paths"]["/v1/scores"]["post"]["responses"]
    assert {"200", "404", "422", "503"} <= set(responses)
    for status in ("404", "422", "503"):
        assert [PROBLEM] == list(responses[status]["content"])


def test_a_service_that_can_not_start_says_why(shop: Path, tmp_path: Path) -> None:
    """A fault in the configuration, of a source or of the store, is one paragraph and code 2."""
    config, nowhere = tmp_path / "journey.toml", "sqlite:////proc/nowhere/milepost.db"
    for old, new, command, says in (
        ("'orders.csv'", "'gone.csv'", ("import",), "'orders' fails"),
        ("horizon", "horizn", ("run",), "Did you mean 'horizon'"),
        ("shop", "shop", ("run", "--database", nowhere), "The store can't be written"),
    ):
        config.write_text(shop.read_text().replace(old, new))
        place = (str(config), "--workspace", str(tmp_path / "ws"))
        done = run("serving", command[0], *place, *command[1:])
        assert 2 == done.returncode
        assert says in done.stderr and "Traceback" not in done.stderr


def test_a_taken_port_is_told_before_loading(shop: Path, shop_service: Service) -> None:
    """A second service on the same port ends at once with exit code 2 and one sentence."""
    port = shop_service.address.rpartition(":")[2]
    done = run("serving", "run", str(shop), "--port", port)
    assert 2 == done.returncode
    assert f"127.0.0.1:{port} can't be listened on" in done.stderr
    assert "Traceback" not in done.stderr
