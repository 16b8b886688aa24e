"""What a remembered audit was asked about."""

from pathlib import Path

from features.config import read_config
from training.audited import question_of

CONFIG = """
name = "shop"

[[events]]
name = "orders"
sql = "select customer, day as event_time, 'order' as event from 'orders.csv'"

[features]
own = "own.py"

[problems.churn]
labels = "select customer, day as cutoff_time, label from 'labels.csv'"
"""


def test_an_audit_is_asked_anew_when_anything_that_it_read_has_changed(tmp_path: Path) -> None:
    """A label, a column of the business's own, the histories; not the order of the labels."""

    def asked(digest: str = "d") -> str:
        return question_of(read_config(tmp_path / "journey.toml"), "churn", digest)

    (tmp_path / "journey.toml").write_text(CONFIG)
    (tmp_path / "orders.csv").write_text("customer,day\na,2024-01-01\n")
    (tmp_path / "own.py").write_text("FEATURES = ()\n")
    labels = tmp_path / "labels.csv"
    labels.write_text("customer,day,label\na,2024-02-01,1\nb,2024-02-01,0\n")
    first = asked()
    labels.write_text("customer,day,label\nb,2024-02-01,0\na,2024-02-01,1\n")
    assert first == asked()
    labels.write_text("customer,day,label\na,2024-02-01,0\nb,2024-02-01,0\n")
    other = asked()
    (tmp_path / "own.py").write_text("FEATURES = ()\n# changed\n")
    assert 4 == len({first, other, asked(), asked("e")})
