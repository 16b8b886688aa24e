"""`python -m training audit` as a data scientist runs it."""

import json
from pathlib import Path

import pytest
from conftest import GROCERY, ROOT, run
from planted import last_seen, plain_shop

RAVEN = ROOT.parent / "shared" / "data" / "ravenstack"

RAVEN_TOML = '''
name = "raven"
data = "{data}"
[[events]]
name = "subscriptions"
sql = """select account_id as customer, start_date as event_time, 'subscribed' as event,
         mrr_amount as value, plan_tier, end_date from 'ravenstack_subscriptions.csv'"""
[[events]]
name = "usage"
sql = """select account_id as customer, usage_date as event_time, 'used' as event, usage_count,
         feature_name from 'ravenstack_feature_usage.csv'
         join 'ravenstack_subscriptions.csv' using (subscription_id)"""
[[events]]
name = "tickets"
sql = """select account_id as customer, submitted_at as event_time, 'ticket' as event, priority,
         closed_at from 'ravenstack_support_tickets.csv'"""
[[events]]
name = "churn"
sql = """select account_id as customer, churn_date as event_time, 'churned' as event, reason_code
         from 'ravenstack_churn_events.csv'"""
[customers]
name = "accounts"
sql = """select account_id as customer, industry, country, seats, signup_date,
         churn_flag::varchar as churn_flag from 'ravenstack_accounts.csv'"""
[problems.churn]
outcome = {{ event = "churned", repeats = true }}
horizon = "60d"
every = "30d"
'''


def test_real_groceries_are_clean(tmp_path: Path) -> None:
    """Both problems of the example have no leak and no warning, and the command says so."""
    done = run("training", "audit", str(GROCERY), "--workspace", str(tmp_path), "--json")
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.strip().splitlines()]
    assert ["churn", "conversion"] == [one["problem"] for one in found]
    for one in found:
        assert one["clean"]
        assert (0, 0) == (one["counts"]["leak"], one["counts"]["warning"]), one["findings"]
        assert one["proof"]["n_values"] > 500_000


def test_a_leak_is_exit_code_1_and_a_readable_report(tmp_path: Path) -> None:
    """The report names code, counts, dates and mends within the width of a terminal."""
    shop = plain_shop(tmp_path)
    last_seen(shop)
    done = run("training", "audit", str(shop.config), "--workspace", str(tmp_path / "ws"))
    assert 1 == done.returncode
    assert done.stdout.startswith("churn: LEAK")
    assert "L21 leak: an undated date knows the future" in done.stdout
    assert 'ignore = ["last_seen"]' in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) <= 96
    assert "Traceback" not in done.stderr


def test_bad_input_is_exit_code_2(tmp_path: Path) -> None:
    """A file that can't be used is one paragraph, and no leak."""
    done = run("training", "audit", str(tmp_path / "gone.toml"))
    assert 2 == done.returncode
    assert done.stderr.startswith("error: ")


@pytest.mark.skipif(not RAVEN.is_dir(), reason="the data sets for cross-checks are not here")
def test_a_real_mess_is_named(tmp_path: Path) -> None:
    """Usage before sign-up, a flag that contradicts the events, labels that are noise."""
    config = tmp_path / "journey.toml"
    config.write_text(RAVEN_TOML.format(data=RAVEN))
    done = run("training", "audit", str(config), "--workspace", str(tmp_path / "ws"), "--json")
    found = json.loads(done.stdout.strip().splitlines()[-1])["findings"]
    named = {(finding["code"], finding["subject"]): finding for finding in found}
    early, used = named["L16", "signup_date"]["evidence"]["kinds"]["used"]
    assert 0.53 == pytest.approx(early / used, abs=0.01)
    flag = named["L23", "churn_flag"]["evidence"]
    assert 0.62 == pytest.approx(flag["n_disagree"] / flag["n"], abs=0.01)
    assert ("L07", "labels") in named
    assert found[0]["severity"] == "leak" and 1 == done.returncode
