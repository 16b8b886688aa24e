"""A business that is asked once: time can't split its rows, so customers do."""

import json
from pathlib import Path

import pytest
from journeys import make_shop

from training.__main__ import main


def test_a_champion_of_other_customers_is_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The model that judged the champion learnt from none of the test's customers, though from
    rows of the test's time: the gate sets the challenger beside it and finds no gain."""
    config = make_shop(tmp_path / "shop", 400)
    once = config.read_text().replace('every = "15d"', 'every = "370d"').replace("60d", "200d")
    config.write_text(once)
    arguments = ["train", str(config), "--workspace", str(tmp_path / "ws"), "--json"]
    told = []
    for _ in range(2):
        assert 0 == main(arguments)
        told.append(json.loads(capsys.readouterr().out.splitlines()[-1]))
    first, second = told
    assert "champion" in first["aliases"] and "champion" not in first["differences"]
    assert [0.0, 0.0, 0.0] == second["differences"]["champion"]["average_precision"]
    (reason,) = second["gate"]["reasons"]
    assert "G02" == reason["code"]
    assert "its judged model" in reason["says"]
