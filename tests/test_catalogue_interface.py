"""What every catalogue does, whatever keeps it: one suite for all of them."""

from __future__ import annotations

import contextlib
import copy
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from abut.tiling import tile
from catalog.collection import make_collection
from catalog.holding import Holding, with_holding
from catalog.item import COLLECTION_ID
from catalog.opening import open_catalogue
from catalog.remote import RemoteCatalogue
from catalog.versions import RELATIONS, told, untold
from tests.catalog_products import START, item, whole
from tests.catalog_scene import COLLECTION as OTHER
from tests.catalog_scene import PLOTS
from tests.postgres import new_database
from tests.writing import REGISTRAR, live, writing_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from catalog.interface import Catalogue
    from tests.postgres import Cluster

type Opener = Callable[[], Catalogue]

THING: dict[str, Any] = {
    "type": "Feature",
    "stac_version": "1.1.0",
    "stac_extensions": [],
    "id": "thing-1",
    "collection": PLOTS,
    "geometry": {"type": "Point", "coordinates": [11.0, 46.5]},
    "bbox": [11.0, 46.5, 11.0, 46.5],
    "properties": {"datetime": "2023-08-15T12:00:00Z"},
    "links": [],
    "assets": {},
}
"""An item that is no product of an archive."""


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A catalogue, and the STAC API that it is behind."""
    file = tmp_path_factory.mktemp("behind") / "catalog.sqlite"
    with live(writing_app(str(file))) as url:
        yield file, url


@pytest.fixture(params=["sqlite", "pgstac", "remote"])
def opener(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opener]:
    """Open the same catalogue, as often as it is called."""
    with contextlib.ExitStack() as stack:
        url = str(tmp_path / "catalog.sqlite")
        if request.param == "pgstac":
            running: Cluster = request.getfixturevalue("postgres")
            url = stack.enter_context(new_database(running))
        elif request.param == "remote":
            monkeypatch.setenv("ABUT_CATALOGUE_TOKEN", REGISTRAR)
            file, url = request.getfixturevalue("behind")
            with open_catalogue(file) as own:
                for collection in own.collections():
                    own.remove_collection(collection["id"])
        yield lambda: open_catalogue(url)


@pytest.fixture
def catalogue(opener: Opener) -> Iterator[Catalogue]:
    with opener() as opened:
        if COLLECTION_ID not in {one["id"] for one in opened.collections()}:
            opened.put_collection(make_collection().to_dict(include_self_link=False))
        opened.put_collection(OTHER)
        yield opened


def revised(
    record: dict[str, Any], revision: int, properties: dict[str, Any] | None = None, *, withdrawn: bool = False
) -> dict[str, Any]:
    """An item at a revision of its ledger."""
    blocks = whole(tile(record["properties"]["grid:code"]))
    updated = START + timedelta(days=2, minutes=revision)
    holding = Holding(revision=revision, held=blocks, holders={}, withdrawn=withdrawn, updated=updated)
    made = with_holding(record, holding)
    made["properties"].update(properties or {})
    return made


def version(record: dict[str, Any], baseline: str, **properties: Any) -> dict[str, Any]:
    """The same product, processed again."""
    made = copy.deepcopy(record)
    made["id"] = record["id"].replace("_N0509_", f"_N{baseline.replace('.', '')}_")
    store = f"{made['id']}.0a.zarr"
    made["properties"].update({"processing:version": baseline, "abut:store": store, **properties})
    return made


def listed(catalogue: Catalogue, name: str) -> dict[str, Any]:
    """An item as it lies in the archive, without what the catalogue tells of its versions."""
    found = catalogue.get(name)
    assert found is not None
    return untold(found)


# --- items ----------------------------------------------------------------------------------------------------------


def test_product_comes_back_as_it_was_given_and_newest_of_its_versions(catalogue: Catalogue) -> None:
    given = item()
    assert catalogue.upsert_many([given]) == 1
    found = catalogue.get(given["id"])
    assert found == told([given])[0]
    assert found is not None
    assert found["properties"]["deprecated"] is False
    assert listed(catalogue, given["id"]) == given
    assert catalogue.ids() == {given["id"]}
    assert catalogue.revision(given["id"]) == 0


@pytest.mark.parametrize(
    "change",
    [
        {"nothing": None},
        {"numbers": [0, -0.0, 1, 1.0, 1e300, -1e-300, 0.1, 2**53 + 1, 123456789012345678, 3.141592653589793]},
        {"empty": {"list": [], "object": {}, "text": "", "nulls": [None, {"a": None}]}},
        {"text": "Grüße, \U0001f6f0 \u2028 \\ \" ' % ; -- /* \t\n\u0001"},
        {"title": "※ 𒍟※"},
        {
            "start_datetime": "2023-08-15T12:00:00Z",
            "end_datetime": "2023-08-16T12:00:00.123456+02:00",
            "datetime": None,
        },
        {"datetime": "2023-08-15T12:00:00.123456Z"},
        {"datetime": "0001-01-01T00:00:00Z"},
        {"datetime": "9999-12-31T23:59:59Z"},
        {"deep": {"a": {"b": {"c": [[[{"d": 1}]]]}}}},
        {"abut:withdrawn": True},
    ],
    ids=lambda change: next(iter(change)),
)
def test_item_comes_back_exactly(catalogue: Catalogue, change: dict[str, Any]) -> None:
    given = {**THING, "properties": {**THING["properties"], **change}, "further": change}
    assert catalogue.upsert_many([given]) == 1
    found = catalogue.get(given["id"], PLOTS)
    assert found == given
    assert found is not None
    assert repr(found["properties"]) == repr(given["properties"])  # 1.0 is not 1, and keys have an order


@pytest.mark.parametrize(
    "geometry",
    [
        None,
        {"type": "Point", "coordinates": [11.000000000000002, -0.1, 1200.5]},
        {
            "type": "MultiPolygon",
            "coordinates": [[[[179, 0], [180, 0], [180, 1], [179, 0]]], [[[-180, 0], [-179, 0], [-180, 1], [-180, 0]]]],
        },
        {
            "type": "GeometryCollection",
            "geometries": [
                {"type": "Point", "coordinates": [1, 2]},
                {"type": "LineString", "coordinates": [[3, 4], [5, 6.5]]},
            ],
        },
        {"type": "LineString", "coordinates": [[0.1, 0.2], [0.30000000000000004, 1e-17]]},
    ],
    ids=lambda geometry: geometry["type"] if geometry else "none",
)
def test_geometry_comes_back_exactly(catalogue: Catalogue, geometry: dict[str, Any] | None) -> None:
    given = {**THING, "geometry": geometry}
    assert catalogue.upsert_many([given]) == 1
    assert catalogue.get(given["id"], PLOTS) == given


def test_items_share_fields_with_their_collection_and_keep_their_own(catalogue: Catalogue) -> None:
    shared = {"a": {"roles": ["data"], "gsd": 10, "bands": [{"name": "B1", "unit": "m"}]}, "b": {"type": "x", "n": 1}}
    catalogue.put_collection({**OTHER, "item_assets": shared})
    given = [
        {**THING, "id": "whole", "assets": {name: {**asset, "href": "h"} for name, asset in shared.items()}},
        {**THING, "id": "none", "assets": {}},
        {
            **THING,
            "id": "part",
            "assets": {"a": {"href": "h", "roles": [], "gsd": None}, "c": {"href": "h", "n": None}},
        },
        {**THING, "id": "list", "assets": {"a": {"href": "h", "bands": [{"name": "B1"}]}, "b": {"href": "h", "n": {}}}},
    ]
    assert catalogue.upsert_many(given) == len(given)
    catalogue.put_collection({**OTHER, "item_assets": {"b": {"type": "y"}, "d": {"type": "z"}}})
    assert {name: catalogue.get(name, PLOTS) for name in ("whole", "none", "part", "list")} == {
        one["id"]: one for one in given
    }
    assert catalogue.upsert_many(given) == len(given)
    assert sorted(catalogue.items(PLOTS), key=lambda one: one["id"]) == sorted(given, key=lambda one: one["id"])


def test_unknown_item_is_none(catalogue: Catalogue) -> None:
    assert catalogue.get("S2X") is None
    assert catalogue.revision("S2X") is None
    assert not catalogue.remove("S2X")
    assert catalogue.ids("nothing") == set()


def test_ids_are_those_of_a_collection(catalogue: Catalogue) -> None:
    product = item()
    assert catalogue.upsert_many([product, THING, {**product, "collection": PLOTS}]) == 3
    assert catalogue.ids() == {product["id"]}
    assert catalogue.ids(PLOTS) == {product["id"], "thing-1"}
    assert catalogue.remove(product["id"])
    assert catalogue.get(product["id"]) is None
    assert catalogue.get(product["id"], PLOTS) is not None


def test_same_or_newer_revision_replaces_and_older_is_refused(catalogue: Catalogue) -> None:
    fresh = item()
    assert catalogue.upsert_many([revised(fresh, 5)]) == 1
    assert catalogue.upsert_many([revised(fresh, 4)]) == 0
    assert catalogue.revision(fresh["id"]) == 5
    for revision in (5, 6):
        assert catalogue.upsert_many([revised(fresh, revision, withdrawn=True)]) == 1
        assert listed(catalogue, fresh["id"]) == revised(fresh, revision, withdrawn=True)


def test_revisions_in_one_go_are_taken_in_order(catalogue: Catalogue) -> None:
    fresh = item()
    assert catalogue.upsert_many([revised(fresh, 2), revised(fresh, 1), revised(fresh, 3)]) == 2
    assert catalogue.revision(fresh["id"]) == 3
    assert listed(catalogue, fresh["id"]) == revised(fresh, 3)


def test_later_attempt_replaces_whatever_its_revision_and_an_earlier_one_does_not(catalogue: Catalogue) -> None:
    fresh = item()
    catalogue.upsert_many([revised(fresh, 9, {"created": "2023-08-24T00:00:00Z"}, withdrawn=True)])
    later = revised(fresh, 0, {"created": "2023-08-25T00:00:00Z", "abut:store": "later.zarr"})
    assert catalogue.upsert_many([later]) == 1
    assert listed(catalogue, fresh["id"]) == later
    earlier = revised(fresh, 20, {"created": "2023-08-23T00:00:00Z", "abut:store": "earlier.zarr"})
    assert catalogue.upsert_many([earlier]) == 0
    assert listed(catalogue, fresh["id"]) == later


def test_item_without_a_store_is_always_replaced(catalogue: Catalogue) -> None:
    for number in (2, 1):
        given = {**THING, "properties": {**THING["properties"], "abut:revision": number}}
        assert catalogue.upsert_many([given]) == 1
        assert catalogue.get("thing-1", PLOTS) == given
        assert catalogue.revision("thing-1", PLOTS) == number


def test_withdrawn_item_is_kept_and_an_older_copy_does_not_bring_it_back(catalogue: Catalogue) -> None:
    fresh = item()
    catalogue.upsert_many([revised(fresh, 3, withdrawn=True)])
    assert catalogue.upsert_many([revised(fresh, 2)]) == 0
    assert catalogue.ids() == {fresh["id"]}
    assert catalogue.revision(fresh["id"]) == 3
    assert list(catalogue.items()) == []
    assert [untold(one) for one in catalogue.items(withdrawn=True)] == [revised(fresh, 3, withdrawn=True)]
    assert catalogue.remove(fresh["id"])
    assert catalogue.upsert_many([revised(fresh, 2)]) == 1


def test_items_come_by_collection_and_id_by_code_point(catalogue: Catalogue) -> None:
    ids = ["b", "B", "a", "A", "a-b", "a_b", "ab", "a.b", "Z", "z", "10", "9"]
    catalogue.upsert_many([{**THING, "id": name} for name in ids] + [item()])
    assert [one["id"] for one in catalogue.items(PLOTS)] == sorted(ids)
    assert [one["collection"] for one in catalogue.items()] == [PLOTS] * len(ids) + [COLLECTION_ID]


def test_more_items_than_one_transaction_takes_are_all_listed(catalogue: Catalogue) -> None:
    many = [{**THING, "id": f"thing-{number:04d}"} for number in range(1201)]
    assert catalogue.upsert_many(iter(many)) == len(many)
    assert list(catalogue.items(PLOTS)) == many
    assert len(catalogue.ids(PLOTS)) == len(many)


def test_what_was_written_is_there_for_others_at_once(catalogue: Catalogue, opener: Opener) -> None:
    catalogue.upsert_many([THING])
    with opener() as other:
        assert other.get("thing-1", PLOTS) == THING
        other.remove("thing-1", PLOTS)
        assert other.url == catalogue.url
    assert catalogue.get("thing-1", PLOTS) is None


# --- versions -------------------------------------------------------------------------------------------------------


def test_versions_are_told_of_each_other_in_any_order(catalogue: Catalogue) -> None:
    old, newest, middle = item(), version(item(), "05.11"), version(item(), "05.10")
    for one in (newest, old, middle):
        assert catalogue.upsert_many([one]) == 1
    assert {one["id"]: one for one in catalogue.items()} == {one["id"]: one for one in told([old, middle, newest])}
    assert [one["properties"]["deprecated"] for one in catalogue.items()] == [True, True, False]


def test_versions_in_one_go_are_told_of_each_other(catalogue: Catalogue) -> None:
    both = [item(), version(item(), "05.11"), item("32TMM")]
    assert catalogue.upsert_many(both) == 3
    assert {one["id"] for one in catalogue.items() if one["properties"]["deprecated"]} == {both[0]["id"]}


@pytest.mark.parametrize("way", ["remove", "withdraw", "leave"])
def test_last_version_that_stays_is_deprecated_no_more(catalogue: Catalogue, way: str) -> None:
    old, new = item(), version(item(), "05.11")
    catalogue.upsert_many([old, new])
    if way == "remove":
        assert catalogue.remove(new["id"])
    elif way == "withdraw":
        assert catalogue.upsert_many([revised(new, 1, withdrawn=True)]) == 1
    else:
        moved = copy.deepcopy(new)
        moved["properties"]["abut:datastrip_start"] = "2023-08-23T11:00:00Z"
        assert catalogue.upsert_many([moved]) == 1
    found = catalogue.get(old["id"])
    assert found is not None
    assert found["properties"]["deprecated"] is False
    assert not [link for link in found["links"] if link["rel"] in RELATIONS]


# --- collections ----------------------------------------------------------------------------------------------------


def test_collections_come_by_id_and_are_replaced(catalogue: Catalogue) -> None:
    for name in ("b-plots", "B-plots", "a_plots"):
        catalogue.put_collection({**OTHER, "id": name})
    catalogue.put_collection({**OTHER, "id": "b-plots", "title": "Other", "keywords": [], "nothing": None})
    found = {one["id"]: one for one in catalogue.collections()}
    assert list(found) == sorted([COLLECTION_ID, PLOTS, "b-plots", "B-plots", "a_plots"])
    assert found["b-plots"] == {**OTHER, "id": "b-plots", "title": "Other", "keywords": [], "nothing": None}
    assert found[COLLECTION_ID] == make_collection().to_dict(include_self_link=False)


def test_removed_collection_takes_its_items_along(catalogue: Catalogue) -> None:
    product = item()
    catalogue.upsert_many(
        [THING, product, {**THING, "id": "gone", "properties": {**THING["properties"], "abut:withdrawn": True}}]
    )
    assert catalogue.remove_collection(PLOTS)
    assert not catalogue.remove_collection(PLOTS)
    assert catalogue.ids(PLOTS) == set()
    assert catalogue.ids() == {product["id"]}
    catalogue.put_collection(OTHER)
    assert catalogue.ids(PLOTS) == set()
    assert catalogue.upsert_many([THING]) == 1


# --- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": "a/b"}, "a/b"),
        ({"id": ""}, "item id ''"),
        ({"id": None}, "item id None"),
        ({"properties": {}}, "datetime"),
        ({"properties": None}, "thing-1"),
        ({"properties": {"datetime": "2023-08-23"}}, "not an RFC 3339 time|should have timezone info"),
        ({"properties": {"datetime": "2023-08-23T00:00:00Z", "platform": ["a"]}}, "platform"),
        ({"properties": {"datetime": "2023-08-23T00:00:00Z", "eo:cloud_cover": "some"}}, "eo:cloud_cover"),
        ({"properties": {"datetime": "2023-08-23T00:00:00Z", "abut:revision": -1}}, "abut:revision"),
        ({"collection": "another"}, "(unknown|no) collection 'another'"),
        ({"collection": None}, "collection"),
        ({"bbox": [float("nan")]}, "is not JSON"),
        ({"further": float("inf")}, "is not JSON"),
        ({"geometry": {"type": "Point"}}, "thing-1"),
        ({"geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}}, "thing-1"),
        ({"geometry": "here"}, "thing-1"),
        ({"assets": {"a": {}}}, "thing-1"),
    ],
    ids=str,
)
def test_item_that_cannot_be_listed_is_refused_with_all_of_its_transaction(
    catalogue: Catalogue, change: dict[str, Any], message: str
) -> None:
    good = {**THING, "id": "good"}
    if isinstance(catalogue, RemoteCatalogue):  # an API takes items of one collection at once
        good["collection"] = change.get("collection") or PLOTS
    with pytest.raises(ValueError, match=message):
        catalogue.upsert_many([good, {**THING, **change}])
    assert catalogue.ids(PLOTS) == set()
    assert catalogue.upsert_many([THING]) == 1


def test_text_that_a_database_cannot_keep_is_refused_or_kept(catalogue: Catalogue) -> None:
    given = {**THING, "properties": {**THING["properties"], "title": "a\0b"}}
    try:
        catalogue.upsert_many([given])
    except ValueError as error:
        assert "\n" not in str(error)  # noqa: PT017 - one line
        assert catalogue.get("thing-1", PLOTS) is None
    else:
        assert catalogue.get("thing-1", PLOTS) == given
