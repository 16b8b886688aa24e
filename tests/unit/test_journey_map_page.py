"""The journey map's page: hostile names stay text, and it says what the numbers say."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from features.config import Business
from serving.examples import JOURNEY_MAP
from serving.journey_map import map_answer, map_view, spell
from serving.pages import journey_map_page
from serving.refusals import NotFoundError

HOSTILE = "<script>alert('x')</script> & \"q\""
BUSINESS = Business.model_validate(
    {
        "name": "shop",
        "events": [{"sql": "x"}],
        "problems": {"churn": {"outcome": {"silence_of": "order"}, "horizon": "28d"}},
    }
)
PART = (
    "customers",
    "rate",
    "stages",
    "transitions",
    "leaks",
    "paths",
    "other_paths",
    "touchpoints",
)


def a_map(name: str, surely: bool, **more: Any) -> dict[str, Any]:
    """A map whose every name is the given one."""
    shown = {key: JOURNEY_MAP[key] for key in PART}
    part = {
        **shown,
        "by": "all",
        "value": None,
        "stages": [{**shown["stages"][0], "stage": name}],
        "transitions": [{**shown["transitions"][0], "source": name, "target": name}],
        "leaks": [{**shown["leaks"][0], "stage": name}],
        "paths": [{**shown["paths"][0], "path": [name, name]}],
        "touchpoints": [{**shown["touchpoints"][0], "says": name, "surely": surely, **more}],
    }
    parts = [part, {**part, "by": "channel", "value": name}]
    return {
        "format": 1, "outcome": name, "wanted": False, "from": JOURNEY_MAP["since"],
        "until": JOURNEY_MAP["until"], "stages_are": "stages", "compared": "moments",
        "looked_at": 1, "parts": parts,
    }  # fmt: skip


def loaded(found: dict[str, Any] | None) -> Any:
    return SimpleNamespace(model=SimpleNamespace(journey_map=found), name="shop-churn", version="1")


def page(found: dict[str, Any], **chosen: str) -> str:
    view = map_view(map_answer("churn", loaded(found), chosen))
    return bytes(journey_map_page(None, BUSINESS, view).body).decode()


@pytest.mark.parametrize("surely", [True, False])
def test_hostile_names_stay_text(surely: bool) -> None:
    """Of stages, touchpoints, outcomes and channels, in tables, the drawing and addresses."""
    told = page(a_map(HOSTILE, surely), channel=HOSTILE)
    assert "<script" not in told and "alert(&#39;x&#39;)" in told
    assert f"channel={HOSTILE}" not in told


def test_only_what_is_sure_and_harmful_is_said_to_hurt() -> None:
    """A touchpoint that is not sure stands among the others, and nothing is blamed for it."""
    assert "Surely harmful" in page(a_map("slow page", surely=True))
    assert "No touchpoint is surely harmful" in page(a_map("slow page", surely=False))
    helps = page(a_map("slow page", surely=True, hurts=False))
    assert "No touchpoint is surely harmful" in helps


def test_who_a_plain_comparison_would_blame_is_told() -> None:
    """A difference that adjustment takes away is named, as the page's warning."""
    assert "one would have blamed" in page(a_map("survey", surely=False, unadjusted=0.2))
    assert "one would have blamed" not in page(a_map("survey", surely=True, unadjusted=0.2))
    assert "one would have blamed" not in page(a_map("survey", surely=False, unadjusted=-0.2))


def test_too_few_to_compare_is_said() -> None:
    """An effect that is not known is no number."""
    nothing = dict.fromkeys(("effect", "low", "high", "unadjusted"))
    assert "too few to compare" in page(a_map("slow page", surely=False, **nothing))


def test_a_model_without_a_map_says_what_to_do() -> None:
    """It was trained by an older version."""
    with pytest.raises(NotFoundError, match="Train it again"):
        map_answer("churn", loaded(None), {})


def test_lengths_are_said_as_people_say_them() -> None:
    """From no time to days."""
    assert [
        "no time",
        "under a minute",
        "5 minutes",
        "1 hour",
        "3.2 hours",
        "1 day",
        "12 days",
    ] == [spell(days) for days in (0, 1e-6, 5 / 1440, 1 / 24, 3.2 / 24, 1, 12.2)]


def test_the_page_loads_nothing_from_elsewhere() -> None:
    """Its template names no other host and no style of its own."""
    text = (Path("serving") / "templates" / "journey_map.html").read_text()
    assert "http" not in text and "style=" not in text and "<script" not in text
