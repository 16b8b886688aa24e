"""The report and the model card of a real run, on disk and in MLflow."""

import json
from pathlib import Path
from subprocess import CompletedProcess

from report_page import Page
from trained import WORKSPACE, Trained

from models.registry import connect

Run = tuple[Path, CompletedProcess[str]]


def summary(shop_run: Run) -> dict[str, object]:
    return json.loads(shop_run[1].stdout.strip().splitlines()[-1])


def test_a_run_writes_its_report_and_logs_it(shop_run: Run, tmp_path: Path) -> None:
    """The page lies in the problem's folder, its path is told, and MLflow has the same bytes."""
    workspace, told = shop_run[0], summary(shop_run)
    path = workspace.resolve() / "shop" / "churn" / "report.html"
    assert str(path) == told["report"]
    read = Page(path.read_text())
    assert [] == read.faults
    assert f"{told['average_precision']:.3f}" in read.text
    client = connect(workspace)
    logged = client.download_artifacts(told["run_id"], "report.html", str(tmp_path))
    assert path.read_bytes() == Path(logged).read_bytes()


def test_the_version_carries_its_card(shop_run: Run, tmp_path: Path) -> None:
    """The card stands beside the model in its version, among the run's files, and is pointed to."""
    import mlflow

    workspace, told = shop_run[0], summary(shop_run)
    client = connect(workspace)
    version = str(told["model_version"])
    of_version = mlflow.artifacts.download_artifacts(
        f"models:/shop-churn/{version}/MODEL_CARD.md", dst_path=str(tmp_path / "version")
    )
    of_run = client.download_artifacts(told["run_id"], "MODEL_CARD.md", str(tmp_path))
    assert Path(of_version).read_bytes() == Path(of_run).read_bytes()
    assert Path(of_run).read_text().startswith("# churn of shop")
    assert "MODEL_CARD.md" in client.get_model_version("shop-churn", version).description


def test_a_person_is_told_where_the_report_is(second_trained: Trained) -> None:
    """Without `--json` the summary of a problem ends with the path of its page."""
    last = second_trained.done.stdout.strip().splitlines()[-1]
    path = second_trained.folder / WORKSPACE / "shop" / "churn" / "report.html"
    assert f"  report: {path}" == last
    assert path.exists()
