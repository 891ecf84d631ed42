"""Parts that the benchmark of cubes relies on: a delaying proxy that counts, what it asks for, and what it counts."""

from __future__ import annotations

import time
from functools import partial
from http.server import ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest

from abut.lattice import BlockRange
from abut.layout import BAND
from abut.tiling import tile
from abut.window import tile_window
from benchmarks.cubes import scene
from benchmarks.cubes.cogs import shares
from benchmarks.cubes.jobs import JOBS, Given, digest
from benchmarks.cubes.measure import UnequalError, compare, lines_of_code
from benchmarks.cubes.proxy import COUNTS, delayed
from benchmarks.cubes.scene import BUFFER, FULL, LATER, MIDDLE, QUICK, SEEN, TILES, around_corner, blocks, ground, later
from benchmarks.table import EXACT, SHOWN, Row
from tests.servers import _Files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DELAY = 0.02


@pytest.fixture(autouse=True)
def pattern(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pattern of small numbers: the texture takes seconds."""
    numbers = np.random.default_rng(1).integers(1, 1000, (347, 347), np.uint16)
    monkeypatch.setattr(scene, "_patterns", lambda: dict.fromkeys(BAND, numbers))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A web server of one file."""
    (tmp_path / "file").write_bytes(bytes(3_000_000))
    listening = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, directory=str(tmp_path)))
    thread = Thread(target=listening.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.server_port}"
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()


def test_every_request_of_a_kept_connection_waits_and_is_counted(server: str) -> None:
    with delayed(server, DELAY) as far, httpx.Client(base_url=far, trust_env=False) as client:
        start = time.perf_counter()
        answers = [client.get("/file") for _ in range(3)]
        assert time.perf_counter() - start >= 3 * DELAY
        assert [len(answer.content) for answer in answers] == [3_000_000] * 3
        assert client.get("/file", headers={"Range": "bytes=5-8"}).headers["content-range"] == "bytes 5-8/3000000"
        assert client.get("/absent").status_code == 404
        counts = client.get(COUNTS).json()
        assert (counts["requests"], counts["depth"]) == (5, 5)
        assert 9_000_004 < counts["bytes"] < 9_010_000
        assert client.get(COUNTS).json() == {"requests": 0, "bytes": 0, "depth": 0}


def test_a_window_is_shared_out_to_tiles_that_have_their_part_whole() -> None:
    window = tile_window(MIDDLE, BUFFER)
    parts = list(shares(window))
    assert sum(part.area for _, part in parts) == window.area
    assert sorted(place.id for place, _ in parts) == sorted(TILES)
    assert all(place.footprint.contains(part) for place, part in parts)


def test_the_series_is_512_pixels_wide_around_four_blocks_that_all_dates_see() -> None:
    window = around_corner(FULL)
    assert window.shape(FULL.finest) == (512, 512)
    assert len(BlockRange.around(window)) == 4
    assert all(product.place.contains(window) for product in later(FULL))
    first, last = LATER.split("/")
    assert all(first < f"{product.datatake:%Y-%m-%d}" < last for product in later(FULL))


def test_the_ground_is_the_same_whichever_product_sees_it() -> None:
    band, one, other = BAND["B09"], tile("32TPP").footprint, tile("32TQQ").footprint
    shared = one.intersection(other)
    assert shared is not None
    expected = ground(band, shared)
    assert len(np.unique(expected)) > 100
    for foot in (one, other):
        np.testing.assert_array_equal(ground(band, foot)[foot.slices(shared, 60)], expected)


def test_a_product_is_the_ground_where_it_sees_it_and_nothing_elsewhere() -> None:
    [product, *_] = later(QUICK)
    foot, seen = product.tile.footprint, blocks(*SEEN)
    rows = np.concatenate(list(product.strips(BAND["B01"])))
    assert rows.shape == foot.shape(60)
    np.testing.assert_array_equal(rows[foot.slices(seen, 60)], ground(BAND["B01"], seen))
    assert np.count_nonzero(rows) == seen.area // 3600


def test_code_is_counted_without_what_is_said_about_it(tmp_path: Path) -> None:
    path = tmp_path / "snippet.py"
    path.write_text(
        '"""Says\n\nmore."""\n\nimport abut\n\n\ndef read():\n    """Says."""\n    # says\n    return abut\n'
    )
    assert lines_of_code(path) == 3


def test_jobs_that_read_other_pixels_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    window = (600_000, 4_800_000, 600_600, 4_800_600)
    given = Given("", window, ("B09",), 32632)
    whole = JOBS["truth"](given)
    other = {"B09": whole["B09"] + 1}

    def cost(job: str, _: Given) -> dict[str, float | str]:
        figures: dict[str, float | str] = dict.fromkeys(("cpu", "wall", "peak", "requests", "bytes"), 1.0)
        return {**figures, "pixels": digest(whole if job == "truth" else other)}

    monkeypatch.setattr("benchmarks.cubes.measure.run", cost)
    assert compare({"one": ("truth", given), "two": ("truth", given)}, 2)["two"].wall == 1
    with pytest.raises(UnequalError, match="two and one gave different pixels"):
        compare({"one": ("truth", given), "two": ("by_hand", given)}, 1)


def test_a_target_is_met_or_missed() -> None:
    assert [Row("", figure, "<= 1.6", "").verdict for figure in (1.6, 1.61)] == ["met", "missed"]
    assert [Row("", figure, EXACT, "").verdict for figure in (1.0, 1.02)] == ["met", "missed"]
    assert Row("", 9.0, SHOWN, "").verdict == ""
