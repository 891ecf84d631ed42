"""Parts that the benchmark of map tiles relies on: its tiles, the truth it holds pictures against, its counterpart."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from abut.archive import create_archive
from abut.layout import BAND
from abut.tiling import tile
from benchmarks.cubes import scene as cubes
from benchmarks.cubes.make import ingest_one, write_cogs
from benchmarks.cubes.scene import DATE, MIDDLE, TILES, ground
from benchmarks.tiles import peer
from benchmarks.tiles.ask import tile_path
from benchmarks.tiles.figures import cpu_rows
from benchmarks.tiles.jobs import alike, numbers
from benchmarks.tiles.load import MissingError, require_wrk
from benchmarks.tiles.scene import (
    FULL,
    QUICK,
    MapTile,
    against_truth,
    box_of,
    exact_indices,
    inner_tiles,
    places,
    some_tiles,
)
from benchmarks.tiles.service import RefusedError, Service

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

ZOOM = QUICK.native[0]


@pytest.fixture(autouse=True)
def pattern(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers of which neighbours differ: the texture takes seconds."""
    numbers = np.random.default_rng(1).integers(1, 60_000, (347, 347), np.uint16)
    monkeypatch.setattr(cubes, "_patterns", lambda: dict.fromkeys(BAND, numbers))


def test_tiles_are_the_same_in_each_process_each_once_and_touch_the_products() -> None:
    assert places() == [*TILES, "33TUJ"]
    for zoom in FULL.zooms:
        tiles = some_tiles(zoom, FULL.tiles)
        assert tiles == some_tiles(zoom, FULL.tiles)
        assert len(set(tiles)) == len(tiles)
        assert len(tiles) == FULL.tiles if zoom > 8 else len(tiles) >= 10
        for one in tiles:
            assert any(peer.touch(box_of(place), one.box) for place in places())
    assert some_tiles(12, 5) != some_tiles(12, 5, seed=2)


def test_inner_tiles_have_pixels_of_the_tile_in_the_middle_alone() -> None:
    foot = tile(MIDDLE).footprint
    for zoom in FULL.native:
        tiles = inner_tiles(zoom, FULL.tiles)
        assert len(tiles) == FULL.tiles
        for one in tiles:
            around, rows, columns = exact_indices(one, 10)
            assert foot.contains(around)
            assert rows.min() >= 1
            assert columns.min() >= 1
            assert rows.max() < around.shape(10)[0] - 1
            assert columns.max() < around.shape(10)[1] - 1


def test_a_picture_is_held_against_the_source_pixel_under_each_centre() -> None:
    [one] = inner_tiles(ZOOM, 1)
    around, rows, columns = exact_indices(one, 60)
    source = np.stack([ground(BAND[name], around) for name in QUICK.rgb])
    assert against_truth(source[:, rows, columns], one, QUICK.rgb).other == 0
    beside = against_truth(source[:, rows, columns + 1], one, QUICK.rgb)
    assert beside.other > 0.99
    assert beside.far == 0
    assert against_truth(source[:, rows - 2, columns], one, QUICK.rgb).far > 0.99
    one_band = source[:, rows, columns].copy()
    one_band[2] += 1
    assert against_truth(one_band, one, QUICK.rgb).far > 0.99


def test_the_counterpart_shows_the_ground_whether_files_stay_open_or_not(tmp_path: Path) -> None:
    [one] = inner_tiles(ZOOM, 1)
    write_cogs(tmp_path, MIDDLE, QUICK.rgb)
    pictures = []
    for kept in (False, True):
        cogs = peer.Cogs(str(tmp_path), (MIDDLE,), QUICK.rgb, kept)
        image = cogs.read(one)
        found = against_truth(image.data, one, QUICK.rgb)
        assert found.far == 0
        assert found.other < 0.05
        pictures.append(image.data)
        assert cogs.render(one, "png").startswith(b"\x89PNG")
    np.testing.assert_array_equal(pictures[0], pictures[1])


def test_the_service_shows_the_ground_of_a_product_and_the_counterpart_the_same(tmp_path: Path) -> None:
    folder, [one] = tmp_path / "archive", inner_tiles(ZOOM, 1)
    create_archive(folder)
    ingest_one(folder, cubes.Product(MIDDLE, tile(MIDDLE).footprint, band_names=QUICK.rgb))
    with Service(str(folder)) as service:
        body = service.picture(tile_path(one, QUICK.rgb, "npy"))
        ours, nothing = numbers(body)
        assert not nothing.any()
        found = against_truth(ours, one, QUICK.rgb)
        assert found.other < 0.001
        assert found.far == 0
        known = service.get(tile_path(one, QUICK.rgb))
        assert known.body.startswith(b"\x89PNG")
        assert service.get(tile_path(one, QUICK.rgb), {"if-none-match": known.headers["etag"]}).status == 304
    write_cogs(tmp_path, MIDDLE, QUICK.rgb)
    cogs = peer.Cogs(str(tmp_path), (MIDDLE,), QUICK.rgb, kept=True)
    assert alike(body, cogs, one)["only_one"] == 0
    half = ours.copy()
    half[:, :128] = 0
    assert alike(npy(half), cogs, one)["only_one"] == 0.5


def npy(data: NDArray[np.uint16]) -> bytes:
    """Pixels as the service answers them, with a mask as the last layer."""
    out = io.BytesIO()
    np.save(out, np.concatenate([data, np.where(data[:1], 65_535, 0).astype(np.uint16)]))
    return out.getvalue()


def test_costs_are_held_against_the_counterpart_at_the_finest_zooms_and_against_each_other() -> None:
    names = ("Abut", "rio-tiler", "files kept", "first sight", "rio-t. first", "abut serve")
    table = [
        {"zoom": z, "tiles": 1, **dict.fromkeys(names, 40.0), "Abut": mine} for z, mine in enumerate((5, 10, 8, 11, 16))
    ]
    rows = {row.what: row for row in cpu_rows(table)}
    held = [row for row in rows.values() if row.target == "<= 0.25"]
    assert [(row.figure, row.verdict) for row in held] == [(0.2, "met"), (0.275, "missed"), (0.4, "missed")]
    [spread] = [row for row in rows.values() if row.target == "<= 3"]
    assert (spread.figure, spread.verdict) == (3.2, "missed")


def test_both_are_asked_to_show_the_same() -> None:
    parts = urlsplit(tile_path(MapTile(12, 5, 7), ("B04", "B03", "B02"), "jpg", cloud="20"))
    assert parts.path == "/tiles/mosaic/tiles/WebMercatorQuad/12/5/7.jpg"
    assert parse_qs(parts.query) == {
        "bands": ["B04", "B03", "B02"],
        "datetime": [DATE],
        "resampling": ["nearest"],
        "rescale": ["0.03,0.1"],  # of DN 1300 ... 2000, of which 1000 are the offset
        "cloud": ["20"],
    }


def test_the_service_is_asked_in_this_process(tmp_path: Path) -> None:
    create_archive(tmp_path / "archive")
    with Service(str(tmp_path / "archive")) as service:
        assert service.get("/healthz").status == 200
        assert service.get("/", {"accept": "application/json"}).headers["content-type"] == "application/json"
        service.many(["/healthz"] * 5, 2)
        with pytest.raises(RefusedError, match="/nothing: 404"):
            service.picture("/nothing")
        with pytest.raises(RefusedError, match="/nothing: 404"):
            service.many(["/healthz", "/nothing"], 2)


def test_without_wrk_it_is_said_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingError, match="apt-get install wrk"):
        require_wrk()
