"""What is written into the embedded catalogue: which item stays, what versions are told, and files of version 1."""

from __future__ import annotations

import itertools
import json
import sqlite3
import zlib
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abut.errors import InvalidArchiveError
from catalog import writing
from catalog.collection import make_collection
from catalog.migration import upgrade
from catalog.schema import SCHEMA_VERSION
from catalog.sqlite import Catalogue, open_catalogue
from catalog.versions import family, told, untold
from tests.catalog_products import START, item
from tests.catalog_scene import COLLECTION, L1C, PLOTS, SCENE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TABLES = ("items", "details", "documents", "extents")


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    with open_catalogue(tmp_path / "catalog.sqlite") as opened:
        opened.put_collection(COLLECTION)
        yield opened


def version(
    baseline: str, properties: dict[str, Any] | None = None, *, day: int = 0, tile: str = "32TNM"
) -> dict[str, Any]:
    """A version of a product."""
    made = item(tile, processing_baseline=baseline, start=START + timedelta(days=day))
    made["id"] = f"{made['id'].replace('N0509', 'N' + baseline.replace('.', ''))}"
    made["properties"].update(properties or {})
    return made


def listed(catalogue: Catalogue) -> dict[str, dict[str, Any]]:
    return {one["id"]: one for one in catalogue.items(withdrawn=True)}


def assert_told(catalogue: Catalogue, *families: list[dict[str, Any]]) -> None:
    assert listed(catalogue) == {one["id"]: one for family in families for one in told(family)}


# --- versions -------------------------------------------------------------------------------------------------------

OLD, MIDDLE, NEW = (version(baseline) for baseline in ("02.04", "03.01", "05.00"))
OTHER_DAY, OTHER_TILE = version("02.04", day=3), version("02.04", tile="32TMM")


@pytest.mark.parametrize("order", list(itertools.permutations([OLD, MIDDLE, NEW])))
@pytest.mark.parametrize("together", [True, False])
def test_versions_are_told_of_each_other_in_any_order(
    catalogue: Catalogue, order: list[dict[str, Any]], together: bool
) -> None:
    if together:
        catalogue.upsert_many([*order, OTHER_DAY, OTHER_TILE])
    else:
        for one in [*order, OTHER_DAY, OTHER_TILE]:
            catalogue.upsert(one)
    assert_told(catalogue, [OLD, MIDDLE, NEW], [OTHER_DAY], [OTHER_TILE])


def test_versions_that_remain_are_told_when_one_goes(catalogue: Catalogue) -> None:
    catalogue.upsert_many([OLD, MIDDLE, NEW])
    assert catalogue.remove(NEW["id"])
    assert_told(catalogue, [OLD, MIDDLE])
    assert catalogue.remove(OLD["id"])
    assert_told(catalogue, [MIDDLE])


def test_withdrawn_version_is_the_newest_no_more(catalogue: Catalogue) -> None:
    catalogue.upsert_many([OLD, NEW])
    gone = version("05.00", {"abut:withdrawn": True, "abut:revision": 1})
    assert catalogue.upsert(gone)
    assert_told(catalogue, [OLD, gone])
    again = version("05.00", {"abut:withdrawn": False, "abut:revision": 2})
    assert catalogue.upsert(again)
    assert_told(catalogue, [OLD, again])


def test_item_that_changes_its_family_is_forgotten_by_the_old_one(catalogue: Catalogue) -> None:
    catalogue.upsert_many([OLD, NEW])
    moved = {**NEW, "properties": {**NEW["properties"], "platform": "sentinel-2a"}}
    assert catalogue.upsert(moved)
    assert_told(catalogue, [OLD], [moved])


def test_items_that_were_told_may_be_written_again(catalogue: Catalogue) -> None:
    catalogue.upsert_many([OLD, MIDDLE, NEW])
    before = listed(catalogue)
    assert catalogue.upsert_many(before.values()) == 3
    assert listed(catalogue) == before
    catalogue.upsert(untold(before[OLD["id"]]))
    assert listed(catalogue) == before


def test_two_families_of_one_number_are_kept_apart(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catalog.rows.family_number", lambda _item: 5)
    catalogue.upsert_many([OLD, OTHER_DAY, NEW, OTHER_TILE, MIDDLE])
    assert_told(catalogue, [OLD, MIDDLE, NEW], [OTHER_DAY], [OTHER_TILE])


def test_deprecated_of_what_is_no_product_is_left_alone(catalogue: Catalogue) -> None:
    things = [one for one in SCENE if one["collection"] == PLOTS]
    catalogue.upsert_many(things)
    assert list(listed(catalogue).values()) == sorted(things, key=lambda one: one["id"])


steps = st.lists(
    st.tuples(
        st.sampled_from(["upsert", "remove"]),
        st.sampled_from(["02.04", "03.01", "05.00"]),
        st.integers(0, 3),
        st.booleans(),
        st.sampled_from(["a.zarr", "b.zarr"]),
        st.integers(0, 2),
    ),
    max_size=12,
)


@settings(deadline=None, max_examples=50)
@given(steps=steps, batches=st.integers(1, 5))
def test_any_history_ends_as_a_plain_dictionary_would(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Any], batches: int
) -> None:
    """Items by id with the rule of the interface, told at the end."""
    kept: dict[str, dict[str, Any]] = {}
    with open_catalogue(tmp_path_factory.mktemp("history") / "c.sqlite") as catalogue:
        for start in range(0, len(steps), batches):
            rows: list[dict[str, Any]] = []
            for action, baseline, revision, withdrawn, store, day in steps[start : start + batches]:
                properties = {"abut:revision": revision, "abut:withdrawn": withdrawn, "abut:store": store}
                made = version(baseline, {**properties, "created": f"2025-08-0{1 + day}T00:00:00Z"})
                if action == "remove":
                    catalogue.upsert_many(rows)
                    rows = []
                    assert catalogue.remove(made["id"]) == (kept.pop(made["id"], None) is not None)
                    continue
                rows.append(made)
                if replaces(kept.get(made["id"]), made):
                    kept[made["id"]] = made
            catalogue.upsert_many(rows)
        assert_told(catalogue, list(kept.values()))
        assert_in_step(catalogue)


def replaces(old: dict[str, Any] | None, new: dict[str, Any]) -> bool:
    """Whether an item is written over another."""
    if old is None:
        return True
    before, after = old["properties"], new["properties"]
    if before["abut:store"] == after["abut:store"]:
        return bool(after["abut:revision"] >= before["abut:revision"])
    return bool(after["created"] >= before["created"])


def assert_in_step(catalogue: Catalogue) -> None:
    """All tables have the same rows; the R*Tree those that are found somewhere."""
    rids = [{rid for (rid,) in catalogue.connection.execute(f"SELECT rid FROM {table}")} for table in TABLES]  # noqa: S608
    assert rids[0] == rids[1] == rids[2]
    found = "SELECT rid FROM items WHERE west IS NOT NULL AND NOT withdrawn"
    assert rids[3] == {rid for (rid,) in catalogue.connection.execute(found)}


# --- which item stays -----------------------------------------------------------------------------------------------


def attempt(store: str, created: str, revision: int) -> dict[str, Any]:
    """A product as one attempt wrote it."""
    return version("05.00", {"created": created, "abut:store": store, "abut:revision": revision})


def test_older_attempt_that_comes_late_is_refused(catalogue: Catalogue) -> None:
    newer = attempt("b.zarr", "2025-08-02T00:00:00Z", 0)
    older = attempt("a.zarr", "2025-08-01T00:00:00Z", 9)
    assert catalogue.upsert(newer)
    assert not catalogue.upsert(older)
    assert listed(catalogue)[newer["id"]] == told([newer])[0]
    untimed = {**older, "properties": {name: value for name, value in older["properties"].items() if name != "created"}}
    assert catalogue.upsert(untimed), "can't be told to be older"


def test_item_without_a_store_replaces_and_is_replaced(catalogue: Catalogue) -> None:
    thing = next(one for one in SCENE if one["collection"] == PLOTS)
    assert catalogue.upsert(thing)
    changed = {**thing, "properties": {**thing["properties"], "label": "changed"}}
    assert catalogue.upsert(changed)
    assert catalogue.get(thing["id"], PLOTS) == changed


def test_one_id_may_be_in_two_collections(catalogue: Catalogue) -> None:
    twin = {**NEW, "collection": PLOTS}
    catalogue.upsert_many([NEW, twin])
    assert catalogue.count() == 2
    assert catalogue.ids(PLOTS) == catalogue.ids(L1C) == {NEW["id"]}
    assert catalogue.revision(NEW["id"], PLOTS) == 0
    assert catalogue.remove(NEW["id"], PLOTS)
    assert catalogue.get(NEW["id"], PLOTS) is None
    assert catalogue.get(NEW["id"]) is not None


def test_collection_goes_with_its_items(catalogue: Catalogue) -> None:
    catalogue.upsert_many(SCENE)
    left = list(catalogue.items(L1C, withdrawn=True))
    assert catalogue.remove_collection(PLOTS)
    assert not catalogue.remove_collection(PLOTS)
    assert list(catalogue.items(withdrawn=True)) == left
    assert [one["id"] for one in catalogue.collections()] == [L1C]
    assert_in_step(catalogue)
    catalogue.put_collection(COLLECTION)
    things = [one for one in SCENE if one["collection"] == PLOTS]
    assert catalogue.upsert_many(things) == len(things)
    assert sorted(catalogue.ids(PLOTS)) == sorted(one["id"] for one in things)


def test_all_items_come_by_collection_and_id(catalogue: Catalogue) -> None:
    catalogue.upsert_many(SCENE)
    keys = [(one["collection"], one["id"]) for one in catalogue.items(withdrawn=True)]
    assert keys == sorted((one["collection"], one["id"]) for one in SCENE)
    hidden = {one["id"] for one in SCENE if one["properties"].get("abut:withdrawn")}
    visible = [(one["collection"], one["id"]) for one in catalogue.items()]
    assert visible == [key for key in keys if key[1] not in hidden or key[0] == PLOTS]
    assert {one["collection"] for one in catalogue.items(PLOTS)} == {PLOTS}
    assert catalogue.url.endswith("catalog.sqlite")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"links": [{"rel": "self"}]}, "is not a STAC item: 'href'"),
        ({"links": [{"rel": "self", "href": 5}]}, "has no rel and href"),
        ({"links": 5}, "is not a STAC item"),
        ({"assets": {"a": {}}}, "is not a STAC item: 'href'"),
        ({"assets": {"a": {"href": None}}}, "href null is not text"),
        ({"assets": []}, "is not a STAC item"),
        ({"properties": None}, "is not a STAC item"),
        ({"properties": []}, "is not a STAC item"),
        ({"geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1]]]}}, "geometry .* is none"),
        ({"geometry": {"type": "Blob"}}, "geometry .* is none"),
        ({"geometry": 5}, "geometry 5 is none"),
        ({"geometry": {"type": "Point", "coordinates": [1e999, 0]}}, "is not finite"),
        ({"collection": 5}, "unknown collection 5"),
        ({"collection": ["a"]}, "unknown collection"),
        ({"properties": {"datetime": 5}}, "5 is not an RFC 3339 time"),
        ({"properties": {"datetime": None}}, "has no datetime"),
        ({"properties": {"datetime": None, "start_datetime": "2025-01-01T00:00:00Z"}}, "has no datetime"),
        (
            {"properties": {"start_datetime": "2025-01-02T00:00:00Z", "end_datetime": "2025-01-01T00:00:00Z"}},
            "ends before it starts",
        ),
    ],
)
def test_item_that_is_none_is_refused(catalogue: Catalogue, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        catalogue.upsert({**NEW, **change})
    assert catalogue.count() == 0


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("eo:cloud_cover", "low", "eo:cloud_cover 'low' is not a number"),
        ("eo:cloud_cover", True, "eo:cloud_cover true is not a number"),
        ("sat:relative_orbit", 2**70, "is too large"),
        ("platform", 5, "platform 5 is not text"),
        ("created", "today", "created: 'today' is not an RFC 3339 time"),
        ("deprecated", 1, "deprecated 1 is not true or false"),
        ("abut:revision", -1, "abut:revision -1 is not a revision"),
        ("abut:revision", 1.5, "abut:revision 1.5 is not a revision"),
        ("label", "\ud800", "is not JSON"),
    ],
)
def test_property_of_the_wrong_type_is_refused(catalogue: Catalogue, name: str, value: Any, message: str) -> None:
    thing = next(one for one in SCENE if one["collection"] == PLOTS)
    with pytest.raises(ValueError, match=message):
        catalogue.upsert({**thing, "properties": {**thing["properties"], name: value}})


@pytest.mark.parametrize("collection", [{}, {"id": ""}, {"id": 5}, {"id": "x", "title": float("nan")}])
def test_collection_that_is_none_is_refused(catalogue: Catalogue, collection: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"collection id|not JSON compliant"):
        catalogue.put_collection(collection)
    assert [one["id"] for one in catalogue.collections()] == [PLOTS, L1C]


def test_ids_that_are_taken_are_told(catalogue: Catalogue) -> None:
    catalogue.upsert(OLD)
    assert writing.taken(catalogue.connection, [NEW, OLD, MIDDLE, {**OLD, "collection": PLOTS}]) == [OLD["id"]]
    assert writing.taken(catalogue.connection, [NEW, NEW]) == [NEW["id"]]
    assert writing.taken(catalogue.connection, [{}, {"id": 5, "collection": []}]) == []


# --- version 1 ------------------------------------------------------------------------------------------------------

_VERSION_1 = """
CREATE TABLE collections (id TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE items (rid INTEGER PRIMARY KEY, collection TEXT NOT NULL REFERENCES collections (id),
    id TEXT NOT NULL UNIQUE, datetime INTEGER NOT NULL, grid_code TEXT, cloud_cover REAL, platform TEXT,
    relative_orbit INTEGER, orbit_state TEXT, baseline TEXT, datatake TEXT, datastrip TEXT, layer TEXT, store TEXT,
    revision INTEGER NOT NULL, withdrawn INTEGER NOT NULL CHECK (withdrawn IN (0, 1)), updated INTEGER);
CREATE INDEX items_by_time ON items (datetime, id);
CREATE INDEX items_by_tile ON items (grid_code, datetime);
CREATE INDEX items_by_layer ON items (layer);
CREATE INDEX items_by_datastrip ON items (datastrip);
CREATE TABLE documents (rid INTEGER PRIMARY KEY REFERENCES items (rid) ON DELETE CASCADE, geometry BLOB,
    document BLOB NOT NULL);
CREATE VIRTUAL TABLE extents USING rtree (rid, west, east, south, north, first_day, last_day);
PRAGMA application_id = 1094866260;
PRAGMA user_version = 1;
"""


def version_1(path: Path, items: list[dict[str, Any]]) -> None:
    """Write a catalogue as the first version of the tables had it."""
    connection = sqlite3.connect(path)
    connection.executescript(f"PRAGMA journal_mode = WAL; PRAGMA foreign_keys = 1; {_VERSION_1}")
    collection = {**make_collection().to_dict(include_self_link=False), "title": "Changed by someone"}
    connection.execute("INSERT INTO collections VALUES (?, ?)", (L1C, json.dumps(collection)))
    for rid, one in enumerate(items, 1):
        connection.execute(
            "INSERT INTO items (rid, collection, id, datetime, revision, withdrawn) VALUES (?, ?, ?, 0, 0, 0)",
            (rid, L1C, one["id"]),
        )
        document = zlib.compress(json.dumps(one, ensure_ascii=False, separators=(",", ":")).encode())
        connection.execute("INSERT INTO documents VALUES (?, NULL, ?)", (rid, document))
        connection.execute("INSERT INTO extents VALUES (?, 0, 1, 0, 1, 0, 1)", (rid,))
    connection.commit()
    connection.close()


def test_file_of_version_1_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    products = [one for one in SCENE if one["collection"] == L1C]
    version_1(path, [OLD, *products, NEW])
    with pytest.raises(InvalidArchiveError, match=r"catalogue of version 1, .* needs \d: `abut catalog upgrade`"):
        open_catalogue(path)
    assert upgrade(path)
    assert not upgrade(path)
    with open_catalogue(path, create=False) as opened:
        together = [one for one in products if family(one) == family(OLD)]
        alone = [told([one])[0] for one in products if one not in together]
        assert listed(opened) == {one["id"]: one for one in [*alone, *told([OLD, NEW, *together])]}
        assert opened.collections()[0]["title"] == "Changed by someone"
        assert opened.connection.execute("PRAGMA user_version").fetchone()[0] == SCHEMA_VERSION
        assert opened.connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert opened.connection.execute("PRAGMA foreign_key_check").fetchall() == []
        names = {name for (name,) in opened.connection.execute("SELECT name FROM sqlite_schema")}
        assert not {name for name in names if name.startswith("old_")}
        assert_in_step(opened)
    with open_catalogue(path, create=False) as again:
        assert again.count() == len(products) + 2


def test_file_of_version_1_that_can_not_be_brought_up_to_date_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    odd = {**OLD, "properties": {**OLD["properties"], "platform": 5}}
    version_1(path, [odd, NEW])
    before = path.read_bytes()
    with pytest.raises(InvalidArchiveError, match=rf"catalog\.sqlite: .*{OLD['id']}: platform 5 is not text"):
        upgrade(path)
    assert path.read_bytes() == before
