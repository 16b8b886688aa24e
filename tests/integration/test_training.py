"""`python -m training` as a data scientist runs it."""

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from conftest import ROOT, run
from journeys import make_shop, raven
from trained import WORKSPACE, Trained

from models.registry import CHALLENGER, CHAMPION, connect, load_alias, version_at
from training.__main__ import main
from training.logged_model import REQUIREMENTS

KEYS = {
    "problem", "model_version", "n_train", "n_test", "n_unknown", "base_rate", "auroc",
    "average_precision", "brier", "log_loss", "ece", "lift_at_10", "baselines", "seconds",
}  # fmt: skip
SHARED = ROOT.parent / "shared" / "data"


def last_json(done: CompletedProcess[str]) -> dict[str, object]:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_the_last_line_is_the_summary(shop_run: tuple[Path, CompletedProcess[str]]) -> None:
    """With `--json` the last line of standard output is one object with the promised keys."""
    summary = last_json(shop_run[1])
    assert set(summary) >= KEYS
    assert {"base_rate", "best_rule", "logistic"} == set(summary["baselines"])
    assert all(set(b) == {"auroc", "average_precision"} for b in summary["baselines"].values())
    assert {"read", "labels", "features", "fit", "register"} <= set(summary["seconds"])
    assert summary["auroc"] > summary["baselines"]["best_rule"]["auroc"]
    assert summary["ece"] < 0.05


def test_the_summary_says_how_sure_it_is(shop_run: tuple[Path, CompletedProcess[str]]) -> None:
    """Every metric has an interval around it; periods, slices and the random split are told."""
    summary = last_json(shop_run[1])
    for metric, (value, low, high) in summary["intervals"].items():
        assert low <= value <= high, metric
        assert value == pytest.approx(summary[metric])
    over = summary["differences"]["best_rule"]["auroc"][0]
    assert over == pytest.approx(summary["auroc"] - summary["baselines"]["best_rule"]["auroc"])
    assert summary["backtest"] and summary["by_period"]
    assert summary["n_test"] == sum(group["n"] for group in summary["by_period"])
    assert {"auroc", "average_precision"} <= set(summary["random_split_would_claim"])


def test_everything_is_in_mlflow(shop_run: tuple[Path, CompletedProcess[str]]) -> None:
    """A run holds parameters, metrics, the data's manifest, plots, and a signed model."""
    import mlflow

    workspace, done = shop_run
    summary = last_json(done)
    client = connect(workspace)
    kept = client.get_run(summary["run_id"])
    assert summary["auroc"] == pytest.approx(kept.data.metrics["test_auroc"])
    assert {"seed", "num_leaves", "split", "n_features"} <= set(kept.data.params)
    assert 64 == len(kept.data.tags["milepost.data_digest"])
    listed = {item.path for item in client.list_artifacts(summary["run_id"], "plots")}
    plots = ("roc", "precision_recall", "reliability", "lift", "shap_beeswarm", "shap_bar")
    assert {f"plots/{name}.png" for name in plots} == listed
    info = mlflow.models.get_model_info(f"models:/shop-churn/{summary['model_version']}")
    assert info.signature is not None
    assert summary["n_features"] == len(info.signature.inputs.inputs)
    assert {"lightgbm", "python_function"} == set(info.flavors)
    needs = mlflow.artifacts.download_artifacts("models:/shop-churn/1/requirements.txt")
    pinned = dict(line.split("==") for line in Path(needs).read_text().split())
    assert {*REQUIREMENTS, "mlflow"} == set(pinned)


def test_the_first_model_is_champion_and_later_ones_challenge(
    shop: Path, second_trained: Trained, tmp_path: Path
) -> None:
    """A second version does not replace the champion until somebody promotes it."""
    workspace, _ = second_trained.copied(tmp_path / "workspace")
    client = connect(workspace)
    aliases = {a: version_at(client, "shop-churn", a) for a in (CHAMPION, CHALLENGER)}
    assert {CHAMPION: "1", CHALLENGER: "2"} == aliases
    refused = run("training", "promote", str(shop), "--workspace", str(workspace))
    assert 2 == refused.returncode
    assert "G02" in refused.stderr
    force = ("--force", "tried by hand")
    promoted = run("training", "promote", str(shop), "--workspace", str(workspace), *force)
    assert "version 2 is the champion" in promoted.stdout
    assert "2" == load_alias(client, "shop-churn").version


def test_nothing_is_written_outside_the_workspace(shop_trained: Trained) -> None:
    """Training leaves no database, folder or log where it was started."""
    assert [WORKSPACE] == [path.name for path in shop_trained.folder.iterdir()]
    workspace = shop_trained.folder / WORKSPACE
    with closing(sqlite3.connect(f"file:{workspace}/mlflow.db?mode=ro", uri=True)) as database:
        query = "select artifact_location from experiments where name = 'shop-churn'"
        places = [row[0] for row in database.execute(query)]
    assert [(workspace / "artifacts" / "shop-churn").as_uri()] == places


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("horizon = ", "horizn = ", "Did you mean 'horizon'"),
        ("day as event_time, 'order'", "day, 'order'", "no column 'event_time'"),
        ("cohort = { active_within", 'cohort = { without = ["order"], active_within', "cohort is"),
        ('silence_of = "order"', 'silence_of = "odrer"', "Did you mean 'order'"),
        ("from 'orders.csv'", "from 'gone.csv'", "'orders' fails"),
        ('horizon = "30d"', 'horizon = "900d"', "too short a history"),
        ("[problems.churn]", "[problems.other]", "no problem 'churn'.*Known: 'other'"),
    ],
)
def test_bad_input_is_one_paragraph_and_exit_code_2(
    old: str, new: str, says: str, shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A person's mistake is named with its place and mend, and shows no traceback."""
    text = shop.read_text()
    assert old in text
    for name in ("orders.csv", "tickets.csv", "customers.csv"):
        (tmp_path / name).symlink_to(shop.parent / name)
    config = tmp_path / "journey.toml"
    config.write_text(text.replace(old, new, 1))
    workspace = str(tmp_path / "ws")
    assert 2 == main(["train", str(config), "--problem", "churn", "--workspace", workspace])
    told = capsys.readouterr().err
    assert "Traceback" not in told
    last = told.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert re.search(says, last), last


def test_a_problem_that_can_not_be_answered_does_not_keep_the_others_waiting(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each says why, the exit code is 2, and preflight has a finding with its code for each."""
    for name in ("orders.csv", "tickets.csv", "customers.csv"):
        (tmp_path / name).symlink_to(shop.parent / name)
    text = shop.read_text()
    first = text[text.index("[problems.churn]") :]
    nobody = first.replace(
        "cohort = { active_within", 'cohort = { without = ["order"], active_within'
    )
    late = first.replace('horizon = "30d"', 'horizon = "900d"')
    config = tmp_path / "journey.toml"
    config.write_text(
        text.replace(first, nobody) + "\n" + late.replace("[problems.churn]", "[problems.late]")
    )
    assert 2 == main(["train", str(config), "--workspace", str(tmp_path / "ws")])
    told = capsys.readouterr().err
    assert "error: churn: P06 the cohort is too small: It is empty" in told
    assert "error: late: P02 too short a history" in told
    assert "error: not trained, for the reasons above: churn, late." in told
    assert 2 == main(["preflight", str(config), "--workspace", str(tmp_path / "ws"), "--json"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [("churn", "P06", "stop"), ("late", "P02", "stop")] == [
        (line["problem"], line["findings"][0]["code"], line["findings"][0]["severity"])
        for line in lines
    ]
    assert all(line["findings"][0]["mends"] for line in lines)


def test_a_csv_with_one_per_cent_of_broken_rows_stops_and_lists_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Broken rows are counted, listed in `rejected.parquet`, and the mend is named."""
    make_shop(tmp_path, 100)
    lines = (tmp_path / "orders.csv").read_text().splitlines()
    lines[100::100] = [line.replace("2023", "20x3") for line in lines[100::100]]
    (tmp_path / "orders.csv").write_text("\n".join(lines) + "\n")
    command = ["train", str(tmp_path / "journey.toml"), "--workspace", str(tmp_path)]
    assert 2 == main(command)
    told = capsys.readouterr().err
    assert "unreadable rows" in told and "max_unreadable" in told
    assert "Traceback" not in told
    assert (tmp_path / "shop" / "rejected.parquet").exists()
    config = tmp_path / "journey.toml"
    config.write_text(
        config.read_text().replace('name = "orders"', 'name = "orders"\nmax_unreadable = 0.02')
    )
    assert 0 == main(command)
    assert "with an event_time that is not a time" in capsys.readouterr().err


def test_a_label_of_one_class_is_refused(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A label table in which nothing differs has nothing to teach."""
    config = tmp_path / "journey.toml"
    labels = "select customer, date '2023-06-01' as cutoff_time, 0 as label from 'customers.csv'"
    config.write_text(
        shop.read_text().partition("[problems")[0] + f'[problems.churn]\nlabels = "{labels}"\n'
    )
    for name in ("orders.csv", "tickets.csv", "customers.csv"):
        (tmp_path / name).symlink_to(shop.parent / name)
    assert 2 == main(["train", str(config), "--workspace", str(tmp_path / "ws")])
    told = capsys.readouterr().err
    assert "nothing to tell apart" in told and "Traceback" not in told


def test_a_label_table_trains_as_well_as_a_declared_outcome(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Labels that the business computes itself, with or without a split, lead to a model."""
    query = """
        select customer, cutoff::date as cutoff_time,
               not exists (select 1 from 'orders.csv' o where o.customer = c.customer
                           and o.day > cutoff and o.day <= cutoff + interval 30 days) as label,
               case when cutoff < date '2023-09-01' then 'train' else 'test' end as split
        from 'customers.csv' c,
             (select unnest(generate_series(date '2023-04-01', date '2023-12-01', interval 15 days))
              as cutoff)
        where exists (select 1 from 'orders.csv' o where o.customer = c.customer
                      and o.day <= cutoff and o.day > cutoff - interval 60 days)"""
    for name in ("orders.csv", "tickets.csv", "customers.csv"):
        (tmp_path / name).symlink_to(shop.parent / name)
    config = tmp_path / "journey.toml"
    config.write_text(
        shop.read_text().partition("[problems")[0]
        + f'[problems.churn]\nlabels = """{query}"""\nhorizon = "30d"\n'
    )
    assert 0 == main(["train", str(config), "--workspace", str(tmp_path / "ws"), "--json"])
    summary = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert summary["auroc"] > 0.75
    assert "as given by the label table" == summary["split"]


def test_grocery_is_predicted_better_than_by_a_rule(
    grocery_run: tuple[Path, CompletedProcess[str]],
) -> None:
    """On the untouched last period, both problems surely beat their best rule and are calibrated;
    churn is as good as it is promised to be."""
    summaries = {
        s["problem"]: s for s in map(json.loads, grocery_run[1].stdout.strip().splitlines())
    }
    churn, conversion = summaries["churn"], summaries["conversion"]
    assert round(churn["auroc"], 2) >= 0.86
    assert churn["average_precision"] >= 0.43
    for one in (churn, conversion):
        better = one["differences"]["best_rule"]
        assert all(better[name][1] > 0 for name in ("auroc", "average_precision"))
        assert one["ece"] <= 0.02
        assert 0.85 < one["calibration_slope"] < 1.1
    assert 0.11 < conversion["base_rate"] < 0.18


@pytest.mark.skipif(not SHARED.is_dir(), reason="the data sets for cross-checks are not here")
def test_noise_labels_of_a_foreign_data_set_are_not_predicted(tmp_path: Path) -> None:
    """Five merged CSV files whose churn labels are chance give an AUROC of about one half."""
    config = raven(tmp_path, SHARED / "ravenstack")
    done = run("training", "train", str(config), "--workspace", str(tmp_path / "ws"), "--json")
    assert 0.35 < last_json(done)["auroc"] < 0.65
