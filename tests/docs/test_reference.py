"""The reference page says what the features are."""

from conftest import ROOT
from reference_page import reference_page

from features.kinds import KINDS

PAGE = ROOT / "docs" / "features.md"


def test_the_reference_page_is_up_to_date() -> None:
    """The page in the repository is the one that `make reference` writes."""
    assert reference_page() == PAGE.read_text()


def test_every_kind_has_its_line_and_an_example() -> None:
    """Each kind of feature is listed, with a worked example under its family."""
    page = PAGE.read_text()
    assert [] == [kind for kind in KINDS if f"| `{kind}` |" not in page]
