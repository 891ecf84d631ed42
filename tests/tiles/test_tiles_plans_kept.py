"""What is planned for a request, and what is kept of it: no more zones than needed, and within bounds."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from abut.errors import InvalidArchiveError
from abut.lattice import Zone
from services.tiles.faces import SETS
from services.tiles.scenes import Limits, Scenes
from services.tiles.source import options_of
from services.tiles.wish import Wish
from tests.tiles.pictures import BORDER, FOUR, archive_of, dates
from tests.tiles.serving import BAND, tiles

if TYPE_CHECKING:
    from pathlib import Path

    from abut.archive import Archive
    from abut.store import Store

FAR = "/mosaic/tiles/WebMercatorQuad/10/0/0.png"


@pytest.fixture(name="archive", scope="module")
def _archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return archive_of(tmp_path_factory.mktemp("kept") / "archive", FOUR[0], *BORDER)


@pytest.fixture(name="planned")
def _planned(monkeypatch: pytest.MonkeyPatch) -> list[Zone]:
    """The zones that are planned."""
    zones: list[Zone] = []
    plan = Scenes._planned

    def noted(self: Scenes, wish: Wish, zone: Zone) -> Any:
        zones.append(zone)
        return plan(self, wish, zone)

    monkeypatch.setattr(Scenes, "_planned", noted)
    return zones


def test_an_empty_tile_plans_no_more_than_tells_why(archive: Archive, planned: list[Zone]) -> None:
    with tiles(archive) as client:
        far = client.get(FAR, params=BAND)
    assert far.headers["abut-reason"] == "outside of what there is"
    assert planned == [Zone(32632)]


def test_the_zoom_that_is_promised_is_one_from_which_tiles_answer(tmp_path: Path) -> None:
    archive, bands = archive_of(tmp_path / "archive", *FOUR, *BORDER), {"bands": "B01,B02,B09"}
    with tiles(archive, tile_objects=13) as client:
        wide = client.get("/mosaic/tiles/WebMercatorQuad/0/0/0.png", params=bands)
        found = re.search(r"^too wide: .*tiles answer from zoom (\d+) on$", wide.headers["abut-reason"])
        assert found is not None
        here = SETS.get("WebMercatorQuad").tile(10.3, 44.3, int(found[1]))
        answer = client.get(f"/mosaic/tiles/WebMercatorQuad/{here.z}/{here.x}/{here.y}.png", params=bands)
    assert here.z > 0
    assert answer.status_code == 200


def test_no_zoom_is_promised_where_dates_lie_above_each_other(tmp_path: Path) -> None:
    archive = archive_of(tmp_path / "archive", *(one for group in dates() for one in group))
    with tiles(archive, tile_objects=14) as client:
        answer = client.get("/mosaic/tiles/WebMercatorQuad/8/135/92.png", params={"bands": "B01,B02,B03,B04,B09"})
    reason = answer.headers["abut-reason"]
    assert reason.startswith("too wide: ")
    assert reason.endswith("ask for a higher zoom or a shorter period")


def test_the_first_zoom_is_not_searched_for_each_tile(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    searched = []

    def found(*_: Any, **asked: Any) -> int:
        searched.append(asked)
        return 9

    monkeypatch.setattr("services.tiles.reader.first_zoom", found)
    with tiles(archive, tile_objects=1) as client:
        for x in (67, 67, 68):
            answer = client.get(f"/mosaic/tiles/WebMercatorQuad/7/{x}/46.png", params={"bands": "B01,B09"})
            assert answer.status_code == 204
    assert len(searched) == 1


def test_plans_that_fail_are_bounded_and_long_wishes_count(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise InvalidArchiveError("broken")

    scenes = Scenes(archive, limits=Limits(plan_bytes=200_000), find=lambda _: frozenset())
    monkeypatch.setattr(Scenes, "_planned", fail)
    for number in range(50):
        with pytest.raises(InvalidArchiveError):
            scenes.plan(Wish(filter=f"{number}" + "x" * 10_000), Zone(32632))
    assert 10_000 <= scenes.planned <= 200_000


def test_the_number_of_plans_is_bounded(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.tiles.scenes._PLANS", 5)
    scenes = Scenes(archive)
    for day in range(1, 20):
        assert scenes.plan(Wish(period=f"1999-01-{day:02}"), Zone(32632)) is None
    assert len(scenes._plans) == 5


def test_zones_of_ids_without_a_tile_are_read_once(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def noted(_: Store, name: str) -> None:
        read.append(name)

    monkeypatch.setattr("services.tiles.scenes.read_item", noted)
    scenes = Scenes(archive)
    for _ in range(3):
        assert scenes.zones(Wish(ids=("one", "two"))) == ()
    assert sorted(read) == ["one", "two"]


def test_series_and_grids_use_the_match_that_tiles_use(archive: Archive) -> None:
    asked: list[str] = []

    def find(text: str) -> frozenset[str]:
        asked.append(text)
        return frozenset([FOUR[0].id])

    scenes, wish = Scenes(archive, find=find), Wish(filter='{"op": "="}')
    context: Any = type("Context", (), {"scenes": scenes})
    assert len(scenes.open(wish).products) == 1
    assert options_of(context, wish)["ids"] == [FOUR[0].id]
    assert options_of(context, replace(wish, ids=(FOUR[0].id, "x")))["ids"] == [FOUR[0].id]
    assert len(asked) == 1
