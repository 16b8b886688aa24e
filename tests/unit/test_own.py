"""A business's own features: the file, and what is wrong with it."""

from pathlib import Path

import pytest

from features.errors import ConfigError
from features.language import events
from features.own import own_features

IMPORT = "from features.language import events\n"


def test_a_good_file_gives_its_features(tmp_path: Path) -> None:
    """The list `FEATURES` is taken in its order; without a file there is nothing."""
    (tmp_path / "own.py").write_text(IMPORT + "FEATURES = [events('a').count(), events().tenure()]")
    expected = (events("a").count(), events().tenure())
    assert expected == own_features(str(tmp_path / "own.py"))
    assert () == own_features(None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, r"but there is no such file"),
        ("", r"defines no list FEATURES; write, for example"),
        ("FEATURES = 3", r"defines no list FEATURES"),
        (IMPORT + "FEATURES = [events().count(), events('a')]", r"item 2 of FEATURES is .* not a"),
        ("1 / 0", r"fails: ZeroDivisionError: division by zero"),
        ("def", r"fails: SyntaxError"),
        ("raise SystemExit(3)", r"fails: SystemExit: 3"),
        (IMPORT + "FEATURES = [events().trend(0)]", r"fails: ValueError: trend takes no window"),
    ],
)
def test_a_bad_file_is_an_error_that_names_the_mend(
    tmp_path: Path, text: str | None, says: str
) -> None:
    """Whatever the file does wrong is said in a sentence with its path."""
    path = tmp_path / "own.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=says):
        own_features(str(path))
