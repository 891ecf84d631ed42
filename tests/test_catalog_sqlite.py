"""The embedded catalogue lists what was committed, finds what a brute-force filter finds, and survives crashes."""

from __future__ import annotations

import itertools
import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import shape

from abut.errors import InvalidArchiveError
from abut.tiling import tile
from catalog import Catalogue, Holding, open_catalogue, with_holding
from catalog.cql2 import from_query
from catalog.schema import SCHEMA_VERSION
from catalog.search import Search
from catalog.versions import untold
from tests.catalog_products import START, item, whole

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    with open_catalogue(tmp_path / "catalog.sqlite") as opened:
        yield opened


def revised(record: dict[str, Any], revision: int, *, withdrawn: bool = False, store: str | None = None) -> Any:
    """Return an item at a revision of its ledger, or of another attempt."""
    place = tile(record["properties"]["grid:code"])
    holding = Holding(
        revision=revision,
        held=whole(place),
        holders={},
        withdrawn=withdrawn,
        updated=START + timedelta(days=2, minutes=revision),
    )
    changed = with_holding(record, holding)
    changed["properties"]["abut:store"] = store or changed["properties"]["abut:store"]
    return changed


def archived(found: dict[str, Any] | None) -> dict[str, Any]:
    """Return an item as it lies in the archive, without what the catalogue tells of its versions."""
    assert found is not None
    return untold(found)


def test_item_comes_back_as_it_was_given(catalogue: Catalogue) -> None:
    given_item = item()
    assert catalogue.upsert(given_item)
    assert archived(catalogue.get(given_item["id"])) == given_item
    assert catalogue.ids() == {given_item["id"]}
    assert catalogue.revision(given_item["id"]) == 0
    assert catalogue.count() == 1
    assert [archived(found) for found in catalogue.search()] == [given_item]


def test_unknown_item_is_none(catalogue: Catalogue) -> None:
    assert catalogue.get("S2X") is None
    assert catalogue.revision("S2X") is None
    assert not catalogue.remove("S2X")


def test_same_or_newer_revision_replaces_and_older_is_refused(catalogue: Catalogue) -> None:
    fresh = item()
    assert catalogue.upsert(revised(fresh, 5))
    assert not catalogue.upsert(revised(fresh, 4))
    assert catalogue.revision(fresh["id"]) == 5
    for revision in (5, 6):
        assert catalogue.upsert(revised(fresh, revision, withdrawn=True))
        assert archived(catalogue.get(fresh["id"])) == revised(fresh, revision, withdrawn=True)
    assert catalogue.count() == 1


def test_later_attempt_replaces_whatever_its_revision(catalogue: Catalogue) -> None:
    fresh = item()
    catalogue.upsert(revised(fresh, 9, withdrawn=True))
    again = revised(fresh, 0, store="another.zarr")
    assert catalogue.upsert(again)
    assert archived(catalogue.get(fresh["id"])) == again


def test_removed_item_is_found_no_more(catalogue: Catalogue) -> None:
    first, second = item(), item("32TMM")
    assert catalogue.upsert_many([first, second]) == 2
    assert catalogue.remove(first["id"])
    assert catalogue.get(first["id"]) is None
    assert [archived(found) for found in catalogue.search(Search(bbox=(-180, -90, 180, 90)))] == [second]


def test_replaced_geometry_is_searched_in_its_new_place(catalogue: Catalogue) -> None:
    fresh = item()
    catalogue.upsert(fresh)
    corner = {(11, 0)}
    place = tile("32TNM")
    holding = Holding(
        revision=1,
        held=frozenset(corner),
        holders=dict.fromkeys(whole(place) - corner, "S2H"),
        withdrawn=False,
        updated=START,
    )
    catalogue.upsert(with_holding(fresh, holding))
    assert not list(catalogue.search(Search(bbox=(9.5, 42, 9.6, 42.1))))
    assert [found["id"] for found in catalogue.search(Search(bbox=(9.0, 41.4, 9.05, 41.5)))] == [fresh["id"]]


def test_item_that_holds_nothing_is_listed_but_in_no_box(catalogue: Catalogue) -> None:
    place = tile("32TNM")
    released = dict.fromkeys(whole(place), "S2H")
    holding = Holding(revision=1, held=frozenset(), holders=released, withdrawn=False, updated=START)
    catalogue.upsert(with_holding(item(), holding))
    assert len(list(catalogue.search(search_of({"tile": "32TNM"})))) == 1
    assert not list(catalogue.search(Search(bbox=(-180, -90, 180, 90))))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": "a/b"}, "item id 'a/b'"),
        ({"id": ""}, "item id ''"),
        ({"properties": {}}, "has no datetime"),
        ({"properties": {"datetime": "2023-08-23"}}, "not an RFC 3339 time"),
        ({"properties": {"datetime": "2023-08-23T00:00:00Z", "platform": ["a"]}}, "platform"),
        ({"collection": "another"}, "unknown collection 'another'"),
        ({"bbox": [float("nan")]}, "is not JSON"),
    ],
)
def test_item_that_cannot_be_listed_is_refused(catalogue: Catalogue, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        catalogue.upsert({**item(), **change})
    assert catalogue.count() == 0


def test_error_in_the_middle_keeps_the_finished_batches_only(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catalog.sqlite.BATCH", 2)
    records = [{**item(), "id": f"S2-{number}"} for number in range(5)]
    with pytest.raises(ValueError, match="item id 'no name'"):
        catalogue.upsert_many([*records[:3], {**item(), "id": "no name"}, records[4]])
    assert catalogue.ids() == {"S2-0", "S2-1"}


def test_new_catalogue_has_the_collection_and_takes_others(catalogue: Catalogue) -> None:
    assert [found["id"] for found in catalogue.collections()] == ["sentinel-2-l1c"]
    catalogue.put_collection({"id": "clouds", "type": "Collection"})
    catalogue.put_collection({"id": "clouds", "type": "Collection", "title": "Clouds"})
    assert catalogue.collections()[0] == {"id": "clouds", "type": "Collection", "title": "Clouds"}
    assert catalogue.upsert({**item(), "collection": "clouds"})


def test_catalogue_stays_when_it_is_closed(tmp_path: Path) -> None:
    with open_catalogue(tmp_path / "c.sqlite") as first:
        first.upsert(item())
    with open_catalogue(tmp_path / "c.sqlite", create=False) as second:
        assert [archived(found) for found in second.search()] == [item()]


def test_missing_catalogue_is_not_made_unasked(tmp_path: Path) -> None:
    with pytest.raises(InvalidArchiveError, match=r"c\.sqlite: no catalogue"):
        open_catalogue(tmp_path / "c.sqlite", create=False)
    with pytest.raises(InvalidArchiveError, match="no folder"):
        open_catalogue(tmp_path / "nowhere" / "c.sqlite")
    assert not list(tmp_path.iterdir())


def test_catalogue_that_has_gone_is_not_made_anew_by_a_search(tmp_path: Path) -> None:
    path = tmp_path / "odd name?#%.sqlite"
    with open_catalogue(path) as opened:
        opened.upsert(item())
        assert len(list(opened.search())) == 1
        path.unlink()
        with pytest.raises(sqlite3.OperationalError, match="unable to open"):
            list(opened.search())
        assert not path.exists()


def test_newer_catalogue_is_refused(tmp_path: Path) -> None:
    open_catalogue(tmp_path / "c.sqlite").close()
    raw = sqlite3.connect(tmp_path / "c.sqlite")
    raw.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    raw.close()
    with pytest.raises(InvalidArchiveError, match=f"catalogue of version {SCHEMA_VERSION + 1}, too new: .* up to"):
        open_catalogue(tmp_path / "c.sqlite")


def test_other_files_are_refused_and_left_alone(tmp_path: Path) -> None:
    text, other = tmp_path / "text.sqlite", tmp_path / "other.sqlite"
    text.write_text("not a database, but long enough to look at its first page\n" * 100)
    raw = sqlite3.connect(other)
    raw.execute("CREATE TABLE t (x)")
    raw.close()
    for path in (text, other):
        before = path.read_bytes()
        with pytest.raises(InvalidArchiveError, match=path.name):
            open_catalogue(path)
        assert path.read_bytes() == before


# --- search ---------------------------------------------------------------------------------------------------------


def scene() -> list[dict[str, Any]]:
    """Items all over: several tiles, some at 180 degrees, days, clouds, withdrawn or not, some with parts released."""
    chance = random.Random(7)  # noqa: S311 - a fixed sample
    records = []
    places = ["32TNM", "32TMM", "53HNA", "01CCV", "60XWR", "01WCS", "60KXF", "01KAB"]
    for number, (name, day) in enumerate(itertools.product(places, range(5))):
        start = START + timedelta(days=day, microseconds=number)
        cloud = None if number % 7 == 0 else float(chance.randrange(101))
        fresh = item(name, start=start, cloud_percentage=cloud)
        blocks = whole(tile(name))
        held = frozenset(block for block in blocks if chance.random() < 0.4)
        holding = Holding(
            revision=1 + number,
            held=held,
            holders=dict.fromkeys(blocks - held, "S2H"),
            withdrawn=number % 5 == 3,
            updated=start,
        )
        records.append(with_holding(fresh, holding) if number % 3 else fresh)
    return records


SCENE = scene()
MOMENTS = [datetime.fromisoformat(record["properties"]["datetime"]) for record in SCENE]

longitudes = st.one_of(st.floats(-180, 180), st.floats(176, 180), st.floats(-180, -176), st.floats(8, 11))
latitudes = st.one_of(st.floats(-90, 90), st.floats(41, 43), st.floats(-19, -16), st.floats(67, 83))
boxes = st.tuples(longitudes, st.tuples(latitudes, latitudes).map(sorted), longitudes).map(
    lambda drawn: [drawn[0], drawn[1][0], drawn[2], drawn[1][1]]
)
moments = st.one_of(
    st.sampled_from(MOMENTS),
    st.datetimes(datetime(2023, 8, 22), datetime(2023, 8, 30), timezones=st.just(UTC)),  # noqa: DTZ001 - see timezones
)
intervals = st.one_of(
    moments.map(lambda moment: (moment, moment)),
    st.tuples(moments, moments).map(lambda pair: tuple(sorted(pair))),
    st.tuples(st.none(), moments),
    st.tuples(moments, st.none()),
)


EQUAL = {"tile": "grid:code", "layer": "abut:layer", "datastrip": "s2:datastrip_id"}


def search_of(asked: dict[str, Any]) -> Search:
    """The same as `matches` looks for."""
    start, stop = asked.get("datetime", (None, None))
    query = {
        EQUAL[name]: {"eq": f"MGRS-{one}" if name == "tile" else one} for name, one in asked.items() if name in EQUAL
    }
    if "cloud_cover_max" in asked:
        query["eo:cloud_cover"] = {"lte": asked["cloud_cover_max"]}
    return Search(
        ids=tuple(asked["ids"]) if "ids" in asked else None,
        bbox=tuple(asked["bbox"]) if "bbox" in asked else None,
        start=start,
        stop=stop,
        filter=from_query(query) if query else None,
    )


def matches(record: dict[str, Any], asked: dict[str, Any]) -> bool:
    """Whether an item matches a search: the slow, obvious way."""
    properties = record["properties"]
    moment = datetime.fromisoformat(properties["datetime"])
    start, stop = asked.get("datetime", (None, None))
    cloud = properties.get("eo:cloud_cover")
    conditions = [
        "ids" not in asked or record["id"] in asked["ids"],
        start is None or moment >= start,
        stop is None or moment <= stop,
        "tile" not in asked or properties["grid:code"] == f"MGRS-{asked['tile']}",
        "layer" not in asked or properties["abut:layer"] == asked["layer"],
        "datastrip" not in asked or properties["s2:datastrip_id"] == asked["datastrip"],
        "cloud_cover_max" not in asked or (cloud is not None and cloud <= asked["cloud_cover_max"]),
        asked.get("withdrawn", False) in (None, properties["abut:withdrawn"]),
        "bbox" not in asked or touches(record["geometry"], asked["bbox"]),
    ]
    return all(conditions)


def touches(geometry: dict[str, Any] | None, bbox: list[float]) -> bool:
    """Whether a geometry touches a box that may cross 180 degrees."""
    west, south, east, north = bbox
    parts = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
    return geometry is not None and any(shape(geometry).intersects(shapely.box(w, south, e, north)) for w, e in parts)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalogue]:
    with open_catalogue(tmp_path_factory.mktemp("filled") / "catalog.sqlite") as opened:
        assert opened.upsert_many(random.Random(1).sample(SCENE, len(SCENE))) == len(SCENE)  # noqa: S311
        yield opened


searches = st.fixed_dictionaries(
    {},
    optional={
        "ids": st.lists(st.sampled_from([*(record["id"] for record in SCENE), "S2X", "' OR 1=1 --"])),
        "bbox": boxes,
        "datetime": intervals,
        "tile": st.sampled_from(["32TNM", "01WCS", "33UUP"]),
        "layer": st.sampled_from([record["properties"]["abut:layer"] for record in SCENE]),
        "datastrip": st.sampled_from([record["properties"]["s2:datastrip_id"] for record in SCENE]),
        "cloud_cover_max": st.floats(0, 100),
        "withdrawn": st.sampled_from([True, False, None]),
    },
)


@settings(deadline=None, max_examples=120)
@given(asked=searches)
def test_search_finds_what_a_plain_filter_finds_by_time_and_id(filled: Catalogue, asked: dict[str, Any]) -> None:
    expected = [record for record in SCENE if matches(record, asked)]
    expected.sort(key=lambda record: (datetime.fromisoformat(record["properties"]["datetime"]), record["id"]))
    found = filled.search(search_of(asked), withdrawn=asked.get("withdrawn", False))
    assert [archived(one) for one in found] == expected


@settings(deadline=None, max_examples=50)
@given(bbox=boxes)
def test_boxes_alone_find_what_a_plain_filter_finds(filled: Catalogue, bbox: list[float]) -> None:
    found = {record["id"] for record in filled.search(search_of({"bbox": bbox}), withdrawn=None)}
    assert found == {record["id"] for record in SCENE if touches(record["geometry"], bbox)}


def test_box_across_180_degrees_finds_both_sides(filled: Catalogue) -> None:
    tiles = {record["properties"]["grid:code"] for record in filled.search(Search(bbox=(175, -90, -175, 90)))}
    assert tiles == {f"MGRS-{name}" for name in ("01CCV", "60XWR", "01WCS", "60KXF", "01KAB")}


def test_withdrawn_products_are_left_out_unless_asked_for(filled: Catalogue) -> None:
    hidden = {record["id"] for record in SCENE if record["properties"]["abut:withdrawn"]}
    assert hidden
    assert not hidden & {record["id"] for record in filled.search()}
    assert {record["id"] for record in filled.search(withdrawn=True)} == hidden
    assert len(list(filled.search(withdrawn=None))) == len(SCENE) == filled.count()


def test_writing_while_results_are_read_does_not_change_them(catalogue: Catalogue) -> None:
    records = [{**item(), "id": f"S2-{number}"} for number in range(3)]
    catalogue.upsert_many(records)
    results = catalogue.search()
    first = next(results)
    catalogue.remove("S2-1")
    catalogue.upsert({**item(), "id": "S2-9"})
    assert [first["id"], *(found["id"] for found in results)] == ["S2-0", "S2-1", "S2-2"]
    assert [found["id"] for found in catalogue.search()] == ["S2-0", "S2-2", "S2-9"]


# --- several processes and crashes ----------------------------------------------------------------------------------


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a Python program that may import this checkout and its tests."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)]
    return subprocess.Popen(command, env=environment, cwd=ROOT, text=True, stdout=subprocess.PIPE)


def assert_consistent(catalogue: Catalogue) -> None:
    """All tables list the same items, and nothing half."""
    (state,) = catalogue.connection.execute("PRAGMA integrity_check").fetchone()
    assert state == "ok"
    rows = {rid for (rid,) in catalogue.connection.execute("SELECT rid FROM items")}
    for table in ("details", "documents", "extents"):
        assert {rid for (rid,) in catalogue.connection.execute(f"SELECT rid FROM {table}")} == rows  # noqa: S608
    assert {found["id"] for found in catalogue.search()} == catalogue.ids()


def test_killed_writer_loses_nothing_committed_and_leaves_nothing_half(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    writer = start(
        """
        import sys
        import catalog.sqlite
        from tests.catalog_products import item

        catalog.sqlite.BATCH = 10
        fresh = item()

        def endless():
            number = 0
            while True:
                if number and number % 10 == 0:
                    print(number, flush=True)  # asked for one more: these are committed
                yield {**fresh, "id": f"S2-{number:06d}"}
                number += 1

        with catalog.sqlite.open_catalogue(sys.argv[1]) as catalogue:
            catalogue.upsert_many(endless())
        """,
        path,
    )
    assert writer.stdout is not None
    with writer:
        lines = [writer.stdout.readline() for _ in range(5)]
        time.sleep(0.05)
        writer.send_signal(signal.SIGKILL)
        lines += writer.stdout.readlines()
    committed = int(lines[-1])
    with open_catalogue(path, create=False) as catalogue:
        assert catalogue.ids() >= {f"S2-{number:06d}" for number in range(committed)}
        assert catalogue.count() % 10 == 0
        assert_consistent(catalogue)
        assert catalogue.upsert(item())


def test_several_processes_may_make_and_write_one_catalogue(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    program = """
        import sys
        from catalog.sqlite import open_catalogue
        from tests.catalog_products import item

        fresh = item()
        print("ready", flush=True)
        with open_catalogue(sys.argv[1]) as catalogue:
            for number in range(20):
                catalogue.upsert({**fresh, "id": f"S2-{sys.argv[2]}-{number}"})
                assert catalogue.upsert({**fresh, "id": "S2-shared"})
        """
    writers = [start(program, path, name) for name in range(3)]
    for writer in writers:
        writer.communicate()
        assert writer.returncode == 0
    with open_catalogue(path, create=False) as catalogue:
        assert catalogue.count() == 3 * 20 + 1
        assert_consistent(catalogue)
