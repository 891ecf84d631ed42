"""What pictures may take of a process: values in memory, threads and time; of whom."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from abut.archive import open_archive
from services.cubes.execution import Stop, StoppedError
from services.settings import Settings
from services.tiles.budget import Budget
from services.tiles.objects import Objects
from services.tiles.scenes import Scenes
from services.tiles.wish import Wish
from tests.tiles.pictures import FOUR, archive_of, tile_at
from tests.tiles.serving import BAND, TILE, tiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from abut.archive import Archive

HERE = tile_at(10, 10.3, 44.3)
_BYTES = 60
"""Of a value of a picture, about."""


@pytest.fixture(name="archive", scope="module")
def _archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return open_archive(archive_of(tmp_path_factory.mktemp("limits") / "archive", *FOUR).store.url)


def _stopped() -> Stop:
    stop = Stop()
    stop.event.set()
    return stop


def test_the_largest_picture_and_all_of_them_fit_into_little_memory() -> None:
    told = {name: field.default for name, field in Settings.model_fields.items()}
    assert told["tile_values"] * _BYTES <= 500_000_000
    assert told["tile_values_at_once"] * _BYTES <= 1_000_000_000
    assert told["tile_pixels"] <= told["tile_values"]


def test_a_picture_that_would_be_too_many_waits_for_others() -> None:
    budget = Budget(10)
    budget.take(6, Stop())
    begun = threading.Event()

    def other() -> None:
        budget.take(5, Stop())
        begun.set()

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(other)
        assert not begun.wait(0.3)
        budget.give(6)
        done.result(10)
    assert budget.used == 5


def test_who_waits_for_others_can_be_stopped_and_takes_nothing() -> None:
    budget = Budget(10)
    budget.take(8, Stop(), most=8)
    with pytest.raises(StoppedError):
        budget.take(1, _stopped(), most=8)
    budget.take(2, _stopped())
    assert budget.used == 10


def test_a_picture_that_has_begun_ends_at_the_next_object(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    stop, get, asked = Stop(), Objects.get, []

    def leave(self: Objects, wants: Sequence[Any]) -> Any:
        asked.append(len(wants))
        stop.event.set()
        return get(self, wants)

    monkeypatch.setattr(Objects, "get", leave)
    with pytest.raises(StoppedError):
        Scenes(archive).open(Wish()).read(HERE, ["B01", "B09"], stop=stop)
    assert len(asked) == 1


def test_what_pictures_took_is_given_back_whatever_they_become(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Budget] = []

    def remember(values: int) -> Budget:
        made.append(Budget(values))
        return made[-1]

    monkeypatch.setattr("services.tiles.app.Budget", remember)
    taken: list[int] = []
    take = Budget.take

    def noted(self: Budget, values: int, stop: Stop, *, most: int | None = None) -> None:
        taken.append(values)
        take(self, values, stop, most=most)

    monkeypatch.setattr(Budget, "take", noted)
    with tiles(archive) as client:
        assert client.get(f"/mosaic/tiles/{TILE}.png", params=BAND).status_code == 200
        assert client.get("/mosaic/preview.jp2?max_size=16", params={"bands": "B01,B09"}).status_code in (200, 400)
    assert len(taken) == 2
    assert made[0].used == 0


def test_a_client_has_a_limit_and_map_tiles_do_not_wait_for_crops(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    door, inside = threading.Event(), threading.Event()
    from services.tiles.reader import SceneReader  # noqa: PLC0415 - what is patched

    preview = SceneReader.preview

    def slow(self: SceneReader, **asked: Any) -> Any:
        inside.set()
        door.wait(30)
        return preview(self, **asked)

    monkeypatch.setattr(SceneReader, "preview", slow)
    with tiles(archive, tile_crop_threads=1, tile_requests_per_client=1) as client, ThreadPoolExecutor(1) as pool:
        try:
            first = pool.submit(client.get, "/mosaic/preview.png?max_size=16", params=BAND)
            assert inside.wait(10)
            second = client.get("/mosaic/preview.png?max_size=16", params=BAND)
            assert (second.status_code, second.headers["retry-after"]) == (429, "5")
            began = time.monotonic()
            assert client.get(f"/mosaic/tiles/{TILE}.png", params=BAND).status_code == 200
            assert time.monotonic() - began < 20
            assert not first.done()
        finally:
            door.set()
        assert first.result(30).status_code == 200
