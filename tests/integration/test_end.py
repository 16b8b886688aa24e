"""Where histories end, over HTTP: an event long after moves nobody, one that comes late counts."""

import html
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import Service, run, serve

from features.durations import DAY, format_moment, parse_moment, this_moment

ROW = {"event": "order", "event_time": "2024-01-02T10:00:00Z", "value": 3.5}


@pytest.fixture(scope="module")
def service(
    shop: Path, shop_run: tuple[Path, object], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A service of its own, for events arrive; the histories that it imported ended long ago."""
    workspace = tmp_path_factory.mktemp("end") / "copy"
    others = shutil.ignore_patterns("milepost.db*", "book-histories")
    shutil.copytree(shop_run[0], workspace, ignore=others)
    yield from serve(shop, workspace)


def scores_of(client: httpx.Client, *customers: str, **more: object) -> list[dict[str, Any]]:
    """The current answers about some customers."""
    asked = [{"problem": "churn", "customer": customer, **more} for customer in customers]
    return [client.post("/v1/scores", json=each).json() for each in asked]


def told(answers: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(each["as_of"], each["probability"], each["no_score"]) for each in answers]


def wait_for(ask: Callable[[], Any], seconds: float = 60) -> Any:
    """The first answer that is true, of what is read once a second."""
    deadline = time.monotonic() + seconds
    while not (found := ask()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return found


def test_one_event_of_today_makes_nobody_look_silent(service: Service) -> None:
    """Histories that ended long ago stay where they end; answer, `/readyz` and list say so."""
    customers = [f"c{number:03d}" for number in range(12, 60)]
    now = format_moment(this_moment())
    with service.client() as client:
        before = told(scores_of(client, *customers))
        answer = client.post("/v1/events", json={**ROW, "customer": "c012", "event_time": now})
        assert before == told(scores_of(client, *customers))
        late = client.post("/v1/events", json={**ROW, "customer": "c024"})
        ready = client.get("/readyz").json()
        (said,) = ready["broken_off"]
        assert wait_for(lambda: said in html.unescape(client.get("/at-risk").text))
    broken = answer.json()["broken_off"]
    assert (200, before[0][0]) == (answer.status_code, broken["until"])
    assert 1 <= broken["found"] < broken["needed"]
    assert "broken_off" not in late.json()
    assert f"once {broken['needed']:,} have" in said
    assert before[0][0] == ready["as_of"]


def test_what_comes_late_counts_at_once(service: Service) -> None:
    """An event of before the end changes its customer's score and no other's; as of then the score
    stays what it was, and both are computed again to the bit."""
    late = {**ROW, "customer": "c020", "value": 55}
    with service.client() as client:
        (before,), others = scores_of(client, "c020"), told(scores_of(client, "c021", "c022"))
        day = parse_moment(before["as_of"]) - DAY
        rows = [{**late, "event_time": format_moment(day), "event_id": f"late{i}"} for i in (1, 2)]
        assert 200 == client.post("/v1/events", json=rows).status_code
        client.get(f"/v1/scores/{before['score_id']}")  # answers once it is recorded
        (after,) = scores_of(client, "c020", changed=before["score_id"])
        (then,) = scores_of(client, "c020", as_of=before["as_of"])
        assert others == told(scores_of(client, "c021", "c022"))
    assert before["as_of"] == after["as_of"] == then["as_of"] == then["known_time"]
    assert before["probability"] == then["probability"] != after["probability"]
    assert before["known_time"] < after["known_time"]
    changed = after["changed"]
    assert 2 == changed["new_events"] and changed["points"] == pytest.approx(changed["by_events"])
    place = (str(service.config), "--workspace", str(service.workspace))
    done = run("serving", "replay", *place)
    assert (0, True) == (done.returncode, " 0 different" in done.stdout), done.stdout + done.stderr


def test_a_flow_that_goes_on_moves_the_end(service: Service) -> None:
    """Once a tenth of what is usual has come, everybody is scored as of the newest arrival."""
    now = this_moment()
    with service.client() as client:
        one = {**ROW, "customer": "c023", "event_time": format_moment(now)}
        broken = client.post("/v1/events", json=one).json()["broken_off"]
        missing = broken["needed"] - broken["found"]
        rows = [{**one, "customer": f"c{i % 300:03d}", "event_id": f"n{i}"} for i in range(missing)]
        few = client.post("/v1/events", json=rows[1:]).json()
        assert missing - 1 == few["accepted"] and 1 == broken["needed"] - few["broken_off"]["found"]
        enough = client.post("/v1/events", json=rows[:1]).json()
        assert [] == client.get("/readyz").json()["broken_off"]
        (answer,) = scores_of(client, "c023")
    assert "broken_off" not in enough
    assert parse_moment(answer["as_of"]) >= now and answer["as_of"] == answer["known_time"]
