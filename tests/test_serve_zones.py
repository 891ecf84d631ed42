"""Zones as Zarr over HTTP: what is served, how it may be kept, and what becomes of it while products come and go."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest
from starlette.testclient import TestClient

from abut.codec import decode_block
from abut.finding import ArchiveFinder
from abut.lattice import BlockRange, Zone
from abut.ledger import load as load_ledger
from abut.period import parse_period
from abut.view import select
from abut.zone_layout import ZoneLayout, zone_blocks
from abut.zone_snapshot import digest_of
from ingest.ingest import ingest
from ingest.purge import purge
from ingest.settle import settle
from ingest.withdraw import withdraw
from services import zone_axes, zone_views
from services.app import create_app
from services.settings import load_settings
from services.zarr import GONE, IMMUTABLE, REVALIDATED
from services.zone_snapshots import KEPT, Known, Snapshots
from services.zone_views import Place
from services.zones import zones_app
from tests.pasted import pasted
from tests.shots import shot_days_later
from tests.toy import CORNER
from tests.zone_scene import B01, B09, BETWEEN, PERIOD, SHOTS, copied, make_archive, truth

if TYPE_CHECKING:
    from pathlib import Path

    from abut.archive import Archive
    from abut.view import View

ZONE = Zone(32632)
TIMES = PERIOD.replace("/", "--")
PLAIN = f"32632/{TIMES}.zarr"
LAYOUT = ZoneLayout(ZONE, 2)


class Zones:
    """The service of an archive, as clients see it."""

    def __init__(self, archive: Archive, **options: Any) -> None:
        self.archive = archive
        self.app = zones_app(archive, **options)

    def ask(self, path: str, method: str = "GET", **headers: str) -> httpx.Response:
        names = {name.replace("_", "-"): value for name, value in headers.items()}

        async def call() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://abut") as one:
                url = httpx.URL("http://abut", raw_path=b"/" + path.encode())
                return await one.request(method, url, headers=names)

        return asyncio.run(call())

    def snapshot(self) -> str:
        """Path of the snapshot that the plain URL tells of now."""
        answer = self.ask(f"{PLAIN}/zarr.json")
        assert answer.status_code == 200
        return str(answer.json()["attributes"]["abut:zone"]["snapshot"])

    def block(self, path: str, slot: int, block: Any, band: Any = B01) -> httpx.Response:
        return self.ask(f"{path}/{LAYOUT.key(f'{band.group}/{band.key}', slot, block)}")


def view_of(archive: Archive, period: str = PERIOD) -> View:
    return select(archive, ArchiveFinder(), zone_blocks(ZONE).bounds, parse_period(period))


@pytest.fixture(name="made", scope="module")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """Unsettled; not to be changed."""
    return make_archive(tmp_path_factory.mktemp("made"), "unsettled")


@pytest.fixture(name="zones", scope="module")
def _zones(made: Archive) -> Zones:
    return Zones(made)


@pytest.fixture(name="changing")
def _changing(made: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """A copy that may be changed; views are looked at again with each request."""
    monkeypatch.setattr(zone_views, "FRESH", 0.0)
    monkeypatch.setattr(zone_views, "EFFORT", 0.0)
    return copied(made, tmp_path)


def held(view: View, slot: int = 0, number: int | None = None) -> list[Any]:
    """Blocks of the corner that as many products hold; by default any number but none."""
    counts = {block: len(view.parts(slot, block)) for block in BlockRange.around(CORNER)}
    return [block for block, count in counts.items() if count and number in (None, count)]


# What there is


def test_answers_of_the_plain_url_tell_of_the_snapshot_that_they_are_of(zones: Zones) -> None:
    digest = digest_of(view_of(zones.archive))
    assert zones.snapshot() == f"32632/{TIMES}@{digest}.zarr"
    view = view_of(zones.archive)
    blocks = [LAYOUT.key("r60m/b01", 0, held(view, 0, number)[0]) for number in (1, 2)]
    for key in ("zarr.json", "r60m/zarr.json", "r60m/b01/zarr.json", *blocks, "r60m/x/c/0", "source/c/0/0/0"):
        answer = zones.ask(f"{PLAIN}/{key}")
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == REVALIDATED
        assert zones.ask(f"{PLAIN}/{key}", if_none_match=answer.headers["etag"]).status_code == 304
        target = httpx.URL(f"http://abut/{PLAIN}/{key}").join(answer.headers["content-location"])
        assert target.path == f"/32632/{TIMES}@{digest}.zarr/{key}"
        same = zones.ask(target.path.removeprefix("/"))
        assert (same.content, same.headers["etag"]) == (answer.content, answer.headers["etag"])


def test_metadata_tells_of_the_snapshot_and_is_asked_for_again(zones: Zones) -> None:
    path = zones.snapshot()
    answer = zones.ask(f"{path}/zarr.json")
    document = answer.json()
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == REVALIDATED
    assert document["attributes"]["abut:zone"]["snapshot"] == path
    nodes = document["consolidated_metadata"]["metadata"]
    assert nodes["r10m/b02"]["shape"] == [2, *zone_blocks(ZONE).bounds.shape(10)]
    for name, node in nodes.items():
        single = zones.ask(f"{path}/{name}/zarr.json")
        assert single.status_code == 200
        assert single.json()["attributes"] == node["attributes"]
    assert zones.ask(f"{path}/zarr.json", if_none_match=answer.headers["etag"]).status_code == 304


def test_blocks_of_one_holder_are_its_objects_and_blocks_of_several_are_merged(zones: Zones) -> None:
    path, view = zones.snapshot(), view_of(zones.archive)
    for number in (1, 2):
        for block in held(view, 0, number):
            answer = zones.block(path, 0, block, B09)
            assert answer.status_code == 200
            assert answer.headers["cache-control"] == IMMUTABLE
            assert answer.headers["content-type"] == "application/octet-stream"
            if number == 1:
                assert answer.content == zones.archive.store.get(view.parts(0, block)[0].key(B09))
            expected = pasted(truth(SHOTS[0]), block.bounds, B09)
            assert np.array_equal(decode_block(answer.content, 160), expected)
    assert held(view, 0, 1)
    assert held(view, 0, 2)


def test_parts_conditions_and_head_hold_for_objects_and_merged_blocks(zones: Zones) -> None:
    path, view = zones.snapshot(), view_of(zones.archive)
    for block in (held(view, 0, 1)[0], held(view, 0, 2)[0]):
        url = f"{path}/{LAYOUT.key('r60m/b01', 0, block)}"
        whole = zones.ask(url)
        assert zones.ask(url, range="bytes=3-16").content == whole.content[3:17]
        assert zones.ask(url, range="bytes=-7").content == whole.content[-7:]
        assert zones.ask(url, range="bytes=99999999-").status_code == 416
        assert zones.ask(url, if_none_match=whole.headers["etag"]).status_code == 304
        head = zones.ask(url, "HEAD")
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(whole.content))


def test_masks_and_coordinates_are_served(zones: Zones) -> None:
    path, view = zones.snapshot(), view_of(zones.archive)
    [block, *_] = held(view)
    for key in (LAYOUT.key("r60m/l1c_classification", 0, block), "r60m/x/c/0", "r60m/time/c/0", "source/c/1/0/0"):
        answer = zones.ask(f"{path}/{key}")
        assert answer.status_code == 200, key
        assert answer.headers["cache-control"] == IMMUTABLE


def test_blocks_that_nobody_holds_are_absent_and_not_kept(zones: Zones) -> None:
    path = zones.snapshot()
    for key in ("r60m/b01/c/0/0/0", "r60m/b01_quality/c/1/0/0"):
        answer = zones.ask(f"{path}/{key}")
        assert (answer.status_code, answer.headers["cache-control"]) == (404, GONE)
        assert "nobody holds this block" in answer.json()["description"]


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("32632/2025-07.zarr/zarr.json", 404, "no product of EPSG:32632 in 2025-07"),
        ("32633/2023-08.zarr/zarr.json", 404, "no product of EPSG:32633"),
        ("32661/2023-08.zarr/zarr.json", 404, "'32661' is not the EPSG code"),
        ("4326/2023-08.zarr/zarr.json", 404, "'4326' is not the EPSG code"),
        ("32632/2023-13.zarr/zarr.json", 400, "2023-13"),
        ("32632/2023-02-30.zarr/zarr.json", 400, "2023-02-30"),
        ("32632/2023-09--2023-08.zarr/zarr.json", 400, "ends before it starts"),
        ("32632/2020--2023.zarr/zarr.json", 400, "longer than 400 days"),
        ("32632/0000.zarr/zarr.json", 400, "0000"),
        ("32632/2023-08.zarr", 404, "a path is such as"),
        ("32632/2023-08.zarr/", 404, "a path is such as"),
        ("32632/..%2f..%2farchive.json", 404, "a path is such as"),
        ("32632/2023-08.zarr/../../archive.json", 404, "a path is such as"),
        ("32632/2023-08.zarr//zarr.json", 404, "a path is such as"),
        ("32632/2023-08.zarr/r60m/%00/zarr.json", 404, "a path is such as"),
        ("32632/2023-08.zarr/" + "a/" * 300, 404, "a path is such as"),
        ("32632/2023-08@1234.zarr/zarr.json", 404, "a path is such as"),
        ("%D9%A3%D9%A26323/2023-08.zarr/zarr.json", 404, "a path is such as"),
        ("", 404, "a path is such as"),
    ],
)  # fmt: skip
def test_what_is_not_there_or_has_no_meaning_is_refused_in_one_line(
    zones: Zones, path: str, status: int, reason: str
) -> None:
    answer = zones.ask(path)
    assert answer.status_code == status
    assert answer.headers["cache-control"] == GONE
    body = answer.json()
    assert body["code"] in {"NotFound", "BadRequest"}
    assert reason in body["description"]
    assert "\n" not in body["description"]


@pytest.mark.parametrize(
    "key",
    ["r60m/b01/c/2/0/0", "r60m/b01/c/0/0/75", "r60m/b01/c/0/0", "r60m/b99/zarr.json", "r60m", "c/0", "r60m/x/c/7"],
)
def test_keys_of_nothing_are_absent(zones: Zones, key: str) -> None:
    answer = zones.ask(f"{zones.snapshot()}/{key}")
    assert (answer.status_code, answer.headers["cache-control"]) == (404, GONE)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_zones_are_read_only(zones: Zones, method: str) -> None:
    answer = zones.ask(f"{PLAIN}/zarr.json", method)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


def test_zones_are_mounted_beside_the_objects_for_pages_of_any_site(made: Archive) -> None:
    app = create_app(load_settings(archive=made.store.url))
    with TestClient(app) as client:
        answer = client.get(f"/zarr/zones/{PLAIN}/zarr.json", headers={"origin": "https://a.b"})
        assert answer.status_code == 200
        assert answer.headers["content-location"] == f"../{TIMES}@{digest_of(view_of(made))}.zarr/zarr.json"
        assert answer.headers["access-control-allow-origin"] == "*"
        assert client.get("/zarr/archive.json").status_code == 200
        assert client.get("/zarr/zones").status_code == 404
        asked = {"origin": "https://a.b", "access-control-request-method": "GET"}
        assert client.options(f"/zarr/zones/{PLAIN}/zarr.json", headers=asked).status_code == 200


# While products come and go


def test_a_snapshot_stays_what_it_is_while_products_arrive(changing: Archive) -> None:
    zones, before = Zones(changing), view_of(changing)
    path = zones.snapshot()
    first = {block: zones.block(path, 1, block).content for block in held(before, 1)}
    ingest(changing, BETWEEN, threads=1)
    assert len(view_of(changing).slots) == 3
    other = zones.snapshot()
    assert other != path
    assert zones.ask(f"{other}/r60m/b01/zarr.json").json()["shape"][0] == 3
    assert zones.ask(f"{path}/r60m/b01/zarr.json").json()["shape"][0] == 2
    for block, data in first.items():
        assert zones.block(path, 1, block).content == data
        assert zones.block(other, 2, block).content == data
    [new, *_] = held(view_of(changing), 1)
    expected = pasted(truth([BETWEEN]), new.bounds, B01)
    assert np.array_equal(decode_block(zones.block(other, 1, new).content, 160), expected)


def test_the_plain_url_never_gives_another_step_than_it_told_of(
    changing: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    zones, before = Zones(changing), view_of(changing)
    path = zones.snapshot()
    [block, *_] = held(before, 1)
    key = LAYOUT.key("r60m/b01", 1, block)
    assert zones.ask(f"{PLAIN}/{key}").status_code == 200
    ingest(changing, BETWEEN, threads=1)
    other = zones.snapshot()
    for ambiguous in (key, "r60m/time/c/0"):
        answer = zones.ask(f"{PLAIN}/{ambiguous}")
        assert (answer.status_code, answer.headers["cache-control"]) == (409, GONE)
        assert answer.json()["snapshot"] == other.removeprefix("32632/")
        assert zones.ask(f"{path}/{ambiguous}").status_code == zones.ask(f"{other}/{ambiguous}").status_code == 200
    for clear in (LAYOUT.key("r60m/b01", 0, block), "r60m/x/c/0", "zarr.json"):
        assert zones.ask(f"{PLAIN}/{clear}").status_code == 200
    monkeypatch.setattr(zone_axes, "TOLD_AXES", 0.0)
    assert zones.ask(f"{PLAIN}/r60m/time/c/0").status_code == 200
    monkeypatch.setattr(zone_axes, "TOLD", 0.0)
    assert zones.ask(f"{PLAIN}/{key}").status_code == 200


NEWER = tuple(replace(shot, offset=-1000, baseline="05.11") for shot in SHOTS[1])
"""The second step, processed again: the same datatake, but another offset."""


def test_the_plain_url_never_gives_pixels_of_another_offset_or_product_than_it_told_of(changing: Archive) -> None:
    zones, before = Zones(changing), view_of(changing)
    zones.snapshot()
    [block, *_] = held(before, 1)
    mine = LAYOUT.key("r60m/b01", 1, block)
    for shot in NEWER:
        ingest(changing, shot, threads=1)
    assert [slot.datatakes for slot in view_of(changing).slots] == [slot.datatakes for slot in before.slots]
    assert view_of(changing).slots[1].radio_add_offset["B01"] == -1000
    later = (mine, "r60m/radio_add_offset/c/0/0", "source/c/1/0/0", "product_step/c/0", "r60m/b01_quality" + mine[8:])
    for key in later:
        assert zones.ask(f"{PLAIN}/{key}").status_code == 409, key
    for key in (LAYOUT.key("r60m/b01", 0, block), "source/c/0/0/0", "r60m/x/c/0"):
        assert zones.ask(f"{PLAIN}/{key}").status_code == 200, key


def test_products_that_come_to_a_step_change_its_sources_and_no_offset(
    changing: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    zones = Zones(changing)
    zones.snapshot()
    ingest(changing, replace(SHOTS[1][0], tile_id="32TNQ"), threads=1)
    monkeypatch.setattr(zone_axes, "TOLD_AXES", 0.0)
    for key, status in {
        "source/c/0/0/0": 200, "source/c/1/0/0": 409, "product_step/c/0": 409,
        "r60m/radio_add_offset/c/0/0": 200, "product/c/0": 200, "r60m/time/c/0": 200,
    }.items():  # fmt: skip
        assert zones.ask(f"{PLAIN}/{key}").status_code == status, key


def test_steps_that_come_last_leave_those_before_as_they_were_told(
    changing: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    zones = Zones(changing)
    zones.snapshot()
    ingest(changing, shot_days_later(12, "32TNQ"), threads=1)
    keys = ("source/c/1/0/0", "product_step/c/0", "r60m/radio_add_offset/c/0/0", "r60m/time/c/0")
    assert [zones.ask(f"{PLAIN}/{key}").status_code for key in keys] == [200, 200, 409, 409]
    monkeypatch.setattr(zone_axes, "TOLD_AXES", 0.0)
    assert [zones.ask(f"{PLAIN}/{key}").status_code for key in keys] == [200] * 4


def test_processes_know_what_others_told_and_what_they_told_before_they_were_started_again(
    changing: Archive, tmp_path: Path
) -> None:
    shared = Snapshots(tmp_path)
    Zones(changing, snapshots=shared).snapshot()
    [block, *_] = held(view_of(changing), 1)
    ingest(changing, BETWEEN, threads=1)
    second = Zones(changing, snapshots=shared)
    for key in (LAYOUT.key("r60m/b01", 1, block), "r60m/time/c/0"):
        assert second.ask(f"{PLAIN}/{key}").status_code == 409
        assert Zones(changing).ask(f"{PLAIN}/{key}").status_code == 200
    [told] = tmp_path.glob("*.told/*.json")
    long_ago = time.time() - 2 * zone_axes.TOLD
    os.utime(told, (long_ago, long_ago))
    assert second.ask(f"{PLAIN}/{LAYOUT.key('r60m/b01', 1, block)}").status_code == 200
    shared.tell(Place(ZONE, "2023-08"), zone_axes.Axis(("a",), ("b",)))
    assert not told.parent.exists()
    second.snapshot()
    [told] = tmp_path.glob(f"*-{TIMES}.told/*.json")
    for wrong in ("[]", '{"steps": [1], "products": []}', "no JSON"):
        (told.parent / f"{'0' * len(wrong)}.json").write_text(wrong)
        assert second.ask(f"{PLAIN}/{LAYOUT.key('r60m/b01', 1, block)}").status_code == 200


def test_a_step_that_vanished_is_refused_not_filled(changing: Archive) -> None:
    zones = Zones(changing)
    zones.snapshot()
    for shot in SHOTS[1]:
        withdraw(changing, shot.id)
    for key in ("r60m/b01/c/1/0/0", "source/c/1/0/0", "r60m/b01_quality/c/1/0/0"):
        assert zones.ask(f"{PLAIN}/{key}").status_code == 409, key


def test_a_snapshot_is_the_same_after_settling_and_purging(changing: Archive) -> None:
    zones, before = Zones(changing), view_of(changing)
    path = zones.snapshot()
    several = held(before, 0, 2)
    first = {block: decode_block(zones.block(path, 0, block, B09).content, 160) for block in held(before)}
    settle(changing)
    assert sum(one.objects for one in purge(changing, grace=timedelta(0))) > 0
    assert zones.snapshot() == path
    assert len(held(view_of(changing), 0, 2)) < len(several)
    for block, pixels in first.items():
        assert np.array_equal(decode_block(zones.block(path, 0, block, B09).content, 160), pixels)


def test_objects_that_were_purged_since_the_plan_are_found_anew(
    changing: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zone_views, "FRESH", 3600.0)
    zones, before = Zones(changing), view_of(changing)
    path = zones.snapshot()
    settle(changing)
    assert sum(one.objects for one in purge(changing, grace=timedelta(0))) > 0
    for block in held(before):
        expected = pasted(truth(SHOTS[0]), block.bounds, B01)
        assert np.array_equal(decode_block(zones.block(path, 0, block).content, 160), expected)


def test_a_product_that_was_ingested_anew_is_served_from_where_it_is_now(
    changing: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zone_views, "FRESH", 3600.0)
    zones, before = Zones(changing), view_of(changing)
    path, lost = zones.snapshot(), SHOTS[1][0]
    [block, *_] = [block for block in held(before, 1, 1) if before.parts(1, block)[0].product == lost.id]
    withdraw(changing, lost.id)
    assert sum(one.objects for one in purge(changing, grace=timedelta(0))) > 0
    assert zones.block(path, 1, block).status_code == 410
    assert zones.block(PLAIN, 1, block).status_code == 503
    ingest(changing, lost, threads=1)
    answer = zones.block(path, 1, block)
    assert answer.status_code == 200
    assert np.array_equal(decode_block(answer.content, 160), pasted(truth([lost]), block.bounds, B01))


def test_merged_blocks_and_masks_of_a_product_that_was_withdrawn_are_gone(
    changing: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zone_views, "FRESH", 3600.0)
    zones, before = Zones(changing), view_of(changing)
    path, lost = zones.snapshot(), SHOTS[1][0]
    [block, *_] = [one for one in held(before, 1, 2) if lost.id in [part.product for part in before.parts(1, one)]]
    withdraw(changing, lost.id)
    assert sum(one.objects for one in purge(changing, grace=timedelta(0))) > 0
    for array in ("r60m/b01", "r60m/b01_quality"):
        for _ in range(2):
            assert zones.ask(f"{path}/{LAYOUT.key(array, 1, block)}").status_code == 410
            assert zones.ask(f"{PLAIN}/{LAYOUT.key(array, 1, block)}").status_code == 503


def test_a_lost_object_is_an_error_never_fill(changing: Archive) -> None:
    zones, view = Zones(changing), view_of(changing)
    path = zones.snapshot()
    for number in (1, 2):
        block = held(view, 0, number)[0]
        changing.store.delete([view.parts(0, block)[0].key(B01)])
        answer = zones.block(path, 0, block)
        assert (answer.status_code, answer.headers["cache-control"]) == (503, GONE)
        assert answer.json()["description"] == "the archive does not answer; try again"


def test_a_snapshot_with_a_withdrawn_product_is_gone(changing: Archive) -> None:
    zones, before = Zones(changing), view_of(changing)
    path = zones.snapshot()
    [block, *_] = held(before, 1)
    withdraw(changing, SHOTS[1][0].id)
    for key in ("zarr.json", LAYOUT.key("r60m/b01", 1, block)):
        answer = zones.ask(f"{path}/{key}")
        assert (answer.status_code, answer.headers["cache-control"]) == (410, GONE)
        assert answer.json()["code"] == "Gone"
        assert answer.json()["current"] == f"{TIMES}.zarr"
        assert "open" in answer.json()["description"]
    assert zones.snapshot() != path


def test_a_snapshot_that_nobody_knows_is_gone(zones: Zones) -> None:
    answer = zones.ask(f"32632/{TIMES}@{'0' * 32}.zarr/zarr.json")
    assert answer.status_code == 410
    assert answer.json()["current"] == f"{TIMES}.zarr"


def test_another_process_serves_a_snapshot_of_the_present_and_told_ones_of_the_past(
    changing: Archive, tmp_path: Path
) -> None:
    shared = Snapshots(tmp_path)
    first, path = Zones(changing, snapshots=shared), ""
    path = first.snapshot()
    assert Zones(changing).ask(f"{path}/zarr.json").status_code == 200
    ingest(changing, BETWEEN, threads=1)
    assert Zones(changing).ask(f"{path}/zarr.json").status_code == 410
    second = Zones(changing, snapshots=shared)
    assert second.ask(f"{path}/zarr.json").content == first.ask(f"{path}/zarr.json").content
    [file] = [file for file in tmp_path.glob("*.json") if path.partition("@")[2][:32] in file.name]
    lists: tuple[list[str], ...] = ([], [SHOTS[1][0].id], [BETWEEN.id])
    others = (json.dumps({"products": some, "notes": []}) for some in lists)
    for wrong in ("[]", "{}", "no JSON", '{"products": [1], "notes": []}', *others):
        file.write_text(wrong)
        assert Zones(changing, snapshots=shared).ask(f"{path}/zarr.json").status_code == 410


def test_snapshots_are_forgotten_in_the_end_and_need_no_folder(tmp_path: Path) -> None:
    place, shared = Place(ZONE, "2023-08"), Snapshots(tmp_path)
    for number in range(KEPT, -1, -500):
        (tmp_path / f"{number}.json").touch()
    known = Known(("x",), ("a note",))
    shared.write(place, "a" * 32, known)
    assert shared.read(place, "a" * 32) == known
    assert shared.read(place, "b" * 32) is None
    nowhere = Snapshots(tmp_path / "nowhere")
    nowhere.write(place, "a" * 32, known)
    nowhere.tell(place, zone_axes.Axis(("a",), ("b",)))
    assert nowhere.told(place) == []
    assert nowhere.read(place, "a" * 32) is None


def test_a_process_keeps_few_views(changing: Archive) -> None:
    zones = Zones(changing, views=1)
    path = zones.snapshot()
    ingest(changing, BETWEEN, threads=1)
    other = zones.snapshot()
    assert zones.ask(f"{path}/zarr.json").status_code == 410
    assert zones.ask(f"{other}/zarr.json").status_code == 200


def test_many_requests_at_once_are_answered_or_told_to_come_back(
    made: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, count = zones_app(made, threads=1), 40
    view = view_of(made)
    [block, *_] = held(view, 0, 2)
    key = LAYOUT.key("r60m/b01", 0, block)

    async def burst(number: int) -> list[httpx.Response]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://abut") as one:
            return await asyncio.gather(*(one.get(f"/{PLAIN}/{key}") for _ in range(number)))

    answers = asyncio.run(burst(count))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    monkeypatch.setattr("services.zones.WAITING", 2)
    flooded = asyncio.run(burst(count))
    refused = [answer for answer in flooded if answer.status_code != 200]
    assert refused
    assert {answer.status_code for answer in refused} == {503}
    assert {answer.headers["retry-after"] for answer in refused} == {"5"}


def test_a_view_is_planned_once_however_many_ask(made: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    plans = list[str]()

    def select_counted(*arguments: Any, **options: Any) -> View:
        plans.append("plan")
        return select(*arguments, **options)

    monkeypatch.setattr(zone_views, "select", select_counted)
    app = zones_app(made)

    async def all_at_once() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://abut") as one:
            return await asyncio.gather(*(one.get(f"/{PLAIN}/zarr.json") for _ in range(20)))

    assert {answer.status_code for answer in asyncio.run(all_at_once())} == {200}
    assert {answer.status_code for answer in asyncio.run(all_at_once())} == {200}
    assert len(plans) == 1
    monkeypatch.setattr(zone_views, "FRESH", 0.0)
    monkeypatch.setattr(zone_views, "EFFORT", 0.0)
    zones = Zones(made)
    zones.snapshot()
    zones.snapshot()
    assert len(plans) == 3


def test_digests_that_mean_nothing_are_planned_once(
    made: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = list[str]()

    def select_counted(*arguments: Any, **options: Any) -> View:
        plans.append("plan")
        return select(*arguments, **options)

    monkeypatch.setattr(zone_views, "select", select_counted)
    shared = Snapshots(tmp_path)
    zones = Zones(made, snapshots=shared)
    for number in range(5):
        assert zones.ask(f"32632/{TIMES}@{number:032x}.zarr/zarr.json").status_code == 410
    assert len(plans) == 1
    assert zones.ask(f"32632/{TIMES}@{digest_of(view_of(made))}.zarr/zarr.json").status_code == 200
    shared.write(Place(ZONE, TIMES), "a" * 32, Known((SHOTS[1][0].id,), ()))
    for _ in range(3):
        assert zones.ask(f"32632/{TIMES}@{'a' * 32}.zarr/zarr.json").status_code == 410
    assert len(plans) == 2


def test_a_product_that_is_withdrawn_once_others_rely_on_it_is_shown_for_them_alone(changing: Archive) -> None:
    settle(changing)
    lost = next(shot for shot in SHOTS[0] if any(to == shot.id for to in released_to(changing, shot.layer)))
    withdraw(changing, lost.id)
    live, digests = [shot for shot in SHOTS[0] if shot != lost], set()
    for _ in range(2):
        zones, view = Zones(changing), view_of(changing)
        path, cropped = zones.snapshot(), 0
        digests.add(path)
        for block in BlockRange.around(CORNER):
            cropped += any(part.crop is not None for part in view.parts(0, block))
            answer, expected = zones.block(path, 0, block, B09), pasted(truth(live), block.bounds, B09)
            pixels = decode_block(answer.content, 160) if answer.status_code == 200 else np.zeros_like(expected)
            assert np.array_equal(pixels, expected)
        assert cropped > 0
        purge(changing, grace=timedelta(0))
    assert len(digests) == 1


def released_to(archive: Archive, layer: str) -> set[str]:
    """Products on which others of a layer rely."""
    ledger, _ = load_ledger(archive.store, layer)
    return {release.to for member in ledger.members.values() for release in member.released.values()}


@pytest.mark.filterwarnings("ignore::abut.errors.MixedBaselinesWarning")
def test_strips_of_a_datatake_whose_offsets_differ_are_steps_of_their_own(changing: Archive) -> None:
    """Before, all of the month was refused."""
    other = replace(SHOTS[1][0], datastrip_start=SHOTS[1][0].datatake + timedelta(seconds=9), offset=-7, label="X")
    ingest(changing, other, threads=1)
    zones, view = Zones(changing), view_of(changing)
    assert [slot.radio_add_offset["B01"] for slot in view.slots] == [-1000, -7, 0]
    attributes = zones.ask(f"{zones.snapshot()}/zarr.json").json()["attributes"]["abut:zone"]
    assert attributes["notes"] == [
        f"datatake {other.slot}: its products differ in radio_add_offset (of B01: -7, 0), and are 2 steps"
    ]
    layout = ZoneLayout(ZONE, 3)
    for step, shots in ((1, [other]), (2, SHOTS[1])):
        for block in BlockRange.around(CORNER):
            answer = zones.ask(f"{PLAIN}/{layout.key('r60m/b09', step, block)}")
            expected = pasted(truth(shots), block.bounds, B09)
            assert answer.status_code == (200 if view.parts(step, block) else 404)
            pixels = decode_block(answer.content, 160) if answer.status_code == 200 else np.zeros_like(expected)
            assert np.array_equal(pixels, expected)


@pytest.mark.filterwarnings("ignore::abut.errors.OlderVersionWarning")
def test_what_only_an_older_version_has_is_said(changing: Archive, tmp_path: Path) -> None:
    ingest(changing, NEWER[0], threads=1)
    first = Zones(changing, snapshots=Snapshots(tmp_path))
    path = first.snapshot()
    [note] = first.ask(f"{path}/zarr.json").json()["attributes"]["abut:zone"]["notes"]
    assert "32TPQ" in note
    assert "versions are not mixed" in note
    ingest(changing, BETWEEN, threads=1)
    second = Zones(changing, snapshots=Snapshots(tmp_path))
    assert second.ask(f"{path}/zarr.json").content == first.ask(f"{path}/zarr.json").content


def test_periods_without_products_are_planned_once_too(made: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    zones = Zones(made)
    assert zones.ask("32632/2021-01.zarr/zarr.json").status_code == 404
    monkeypatch.setattr(zone_views, "select", None)
    assert zones.ask("32632/2021-01.zarr/zarr.json").status_code == 404


def test_a_store_that_fails_is_said_without_its_place(changing: Archive, tmp_path: Path) -> None:
    zones = Zones(changing)
    for ledger in changing.layers():
        (tmp_path / "archive" / "layers" / f"{ledger}.json").write_text("no ledger")
    answer = zones.ask(f"{PLAIN}/zarr.json")
    assert answer.status_code == 503
    assert not re.search(r"archive/|ledger", answer.text.replace("the archive does", ""))
