"""The journey map over HTTP: what training stored with the champion is what is told and shown."""

import json
from pathlib import Path

import pytest
from conftest import Service

from models.files import JOURNEY_MAP, load, save
from models.shelf import Shelf
from serving.charts import tag


def stored(run: tuple[Path, object]) -> dict[str, object]:
    return dict(json.loads((run[0] / "shop" / "churn" / "model" / JOURNEY_MAP).read_bytes()))


def test_the_api_gives_what_training_stored(
    shop_service: Service, shop_run: tuple[Path, object]
) -> None:
    """All customers unless a part is named; the same stages, flows and touchpoints."""
    whole = stored(shop_run)["parts"][0]  # type: ignore[index]
    with shop_service.client() as client:
        told = client.get("/v1/journey-map", params={"problem": "churn"}).json()
    for name in ("customers", "rate", "stages", "transitions", "leaks", "paths", "touchpoints"):
        assert whole[name] == told[name], name
    assert ("all", None, False) == (told["by"], told["value"], told["wanted"])


def test_every_part_can_be_asked_for_and_nothing_else(shop_service: Service) -> None:
    """Each choice that is told has a map; an unknown one and two at a time are 404."""
    with shop_service.client() as client:
        choices = client.get("/v1/journey-map").json()["choices"]
        asked = 0
        for name, values in choices.items():
            for value in values:
                told = client.get("/v1/journey-map", params={name.rstrip("s"): value})
                assert value == told.json()["value"]
                asked += 1
        assert asked >= 2
        nobody = client.get("/v1/journey-map", params={"persona": "nobody's"})
        assert (404, "part_unknown") == (nobody.status_code, nobody.json()["code"])
        period = choices["periods"][0]
        both = client.get("/v1/journey-map", params={"persona": "x", "period": period})
        assert 404 == both.status_code
        assert 404 == client.get("/v1/journey-map", params={"problem": "?"}).status_code


def test_the_page_shows_the_same_numbers(shop_service: Service) -> None:
    """The drawing has a title and words, every way stands in a table, the sentence is said."""
    with shop_service.client() as client:
        told = client.get("/v1/journey-map").json()
        page = client.get("/journey-map")
    assert 200 == page.status_code
    assert told["label"] in page.text
    assert str(tag("title", "How customers move between stages"))[:7] in page.text
    for move in told["transitions"]:
        assert f"{move['times']:,}" in page.text
    for one in told["touchpoints"]:
        assert one["says"][1:] in page.text
    assert "<script" not in page.text


def test_a_model_without_a_map_serves_and_says_so(
    shop_run: tuple[Path, object], tmp_path: Path
) -> None:
    """An older model loads; with a map that was altered it does not."""
    from dataclasses import replace

    from features.errors import ModelFilesError

    model = load(shop_run[0] / "shop" / "churn" / "model")
    assert model.journey_map is not None
    digest = save(replace(model, journey_map=None), tmp_path / "old")
    assert load(tmp_path / "old", digest).journey_map is None
    digest = save(model, tmp_path / "new")
    assert model.journey_map == load(tmp_path / "new", digest).journey_map
    path = tmp_path / "new" / JOURNEY_MAP
    path.write_bytes(path.read_bytes().replace(b"churn", b"chxrn") + b" ")
    with pytest.raises(ModelFilesError, match=JOURNEY_MAP):
        load(tmp_path / "new", digest)
    path.unlink()
    with pytest.raises(ModelFilesError, match=JOURNEY_MAP):
        load(tmp_path / "new", digest)
    assert Shelf(shop_run[0], "shop-churn").pointer() is not None
