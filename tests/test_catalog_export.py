"""Catalogues written out: static STAC that pystac reads offline, and a table that gives back every item."""

from __future__ import annotations

import json
import re
import shutil
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pystac
import pytest
import rustac

import abut
from abut.errors import ExportError, ProductNotFoundError
from abut.store import open_store
from catalog.collection import make_collection
from catalog.export import export_geoparquet, export_static
from catalog.export.extent import Extent
from catalog.export.hrefs import relative_base
from catalog.export.shapes import Shape, Shapes, flat
from catalog.hrefs import absolute
from catalog.opening import open_catalogue
from catalog.versions import RELATIONS
from cli.main import run
from tests.catalog_products import item
from tests.listed import Listed, make_listed
from tests.servers import S3Server, seaweed, web_server

if TYPE_CHECKING:
    from collections.abc import Iterator

# The catalogue says that a superseded version is one; pystac warns of it, as it should.
pytestmark = pytest.mark.filterwarnings("ignore::pystac.errors.DeprecatedWarning")

COLLECTION = "sentinel-2-l1c"


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Listed:
    return make_listed(tmp_path_factory.mktemp("exported") / "archive")


def static(listed: Listed, target: Path | str, **options: Any) -> Any:
    with open_catalogue(listed.archive.catalogue_url) as catalogue:
        return export_static(catalogue, str(target), archive=listed.url, **options)


def table(listed: Listed, target: Path | str, **options: Any) -> Any:
    settings = {"archive": listed.url, "collection": COLLECTION, **options}
    with open_catalogue(listed.archive.catalogue_url) as catalogue:
        return export_geoparquet(catalogue, str(target), **settings)


def listed_items(listed: Listed) -> dict[str, dict[str, Any]]:
    """What the catalogue lists, withdrawn ones left out."""
    with open_catalogue(listed.archive.catalogue_url) as catalogue:
        return {made["id"]: made for made in catalogue.items()}


# Static STAC


@pytest.mark.parametrize("by", ["month", "tile"])
def test_pystac_reads_every_item_from_the_root(listed: Listed, tmp_path: Path, by: Any) -> None:
    done = static(listed, tmp_path, by=by)
    root = pystac.Catalog.from_file(str(tmp_path / "catalog.json"))
    found = {made.id: made for made in root.get_items(recursive=True)}
    assert sorted(found) == listed.live
    assert (done.items, done.collections, done.target) == (len(listed.live), 1, str(tmp_path))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert done.files == len(files)
    assert done.data_bytes == sum(path.stat().st_size for path in files)
    (collection,) = root.get_children()
    groups = {"month": ["2023-08", "2023-10"], "tile": ["01WCS", "32TMM", "32TNM", "32TPM"]}
    assert [child.title for child in collection.get_children()] == groups[by]
    for made in found.values():
        assert made.get_collection() == collection
        assert made.get_root() == root
        assert made.assets["B02"].href.startswith(f"{listed.url}/products/{made.id}")


@pytest.mark.parametrize("by", ["month", "tile"])
def test_every_link_of_a_static_catalogue_leads_to_a_file(listed: Listed, tmp_path: Path, by: Any) -> None:
    static(listed, tmp_path / "stac", by=by)
    seen = set()
    for path in (tmp_path / "stac").rglob("*.json"):
        document = json.loads(path.read_text())
        for link in document["links"]:
            if not link["href"].startswith("https://"):
                target = Path(link["href"]) if link["href"].startswith("/") else path.parent / link["href"]
                assert target.is_file(), (path, link)
                seen.add(link["rel"])
    assert seen == {"root", "parent", "collection", "child", "item", "abut:neighbour", *RELATIONS}


def test_exported_items_say_what_the_catalogue_says(listed: Listed, tmp_path: Path) -> None:
    static(listed, tmp_path)
    for name, stored in listed_items(listed).items():
        (path,) = tmp_path.rglob(f"{name}.json")
        made = json.loads(path.read_text())
        expected = absolute(stored, listed.url)
        assert {**made, "links": []} == {**expected, "links": []}
        kept = {"abut:neighbour", "cite-as", *RELATIONS}
        assert [link["rel"] for link in made["links"] if link["rel"] in kept] == [
            link["rel"] for link in stored["links"] if link["rel"] in kept
        ]


def test_a_tile_of_a_static_catalogue_is_completed_even_by_a_withdrawn_holder(listed: Listed, tmp_path: Path) -> None:
    static(listed, tmp_path, by="tile")
    (first,), (later,) = listed.named("N0509", "20230823T0955", "32TMM"), listed.named("20231002T0955", "32TNM")
    given = [pystac.Item.from_file(str(next(tmp_path.rglob(f"{name}.json")))) for name in (first, later)]
    whole = abut.complete(given)
    east, hidden = listed.named("20230823T0955", "32TNM") + listed.named("20231002T0955", "32TMM")
    assert [made.id for made in whole] == [first, later, east, hidden]
    assert (tmp_path / COLLECTION / "32TNM" / f"{east}.json").samefile(whole[2].self_href)
    assert Path(listed.url, "products", f"{hidden}.json").samefile(whole[3].self_href)


def test_hrefs_of_assets_can_be_relative_or_of_a_server(listed: Listed, tmp_path: Path) -> None:
    static(listed, tmp_path / "a" / "stac", relative=True)
    with open_catalogue(listed.archive.catalogue_url) as catalogue:
        export_static(catalogue, str(tmp_path / "web"), archive="https://example.org/zarr/")
    name = listed.live[0]
    (path,), (web,) = ((tmp_path / part).rglob(f"{name}.json") for part in ("a", "web"))
    made = pystac.Item.from_file(str(path))
    assert not made.assets["B02"].href.startswith("/")
    found = Path(str(made.assets["product"].get_absolute_href())).resolve()
    assert found.parent == Path(listed.url, "products")
    assert json.loads(web.read_text())["assets"]["product"]["href"] == f"https://example.org/zarr/products/{found.name}"


def test_no_relative_hrefs_lead_to_another_machine(tmp_path: Path) -> None:
    assert relative_base("/data/l1c", "/data/export/stac", 2) == "../../../../l1c/products"
    assert relative_base("s3://bucket/l1c", "s3://bucket/stac", 2) == "../../../l1c/products"
    for archive in ("s3://bucket/l1c", "https://example.org"):
        with pytest.raises(ExportError, match=f"{tmp_path}: no relative links lead from there to {archive}"):
            relative_base(archive, str(tmp_path), 2)
    with pytest.raises(ExportError, match="no relative links"):
        relative_base("s3://bucket/l1c", "s3://other/stac", 2)


def test_collections_get_the_extent_of_their_items(listed: Listed, tmp_path: Path) -> None:
    static(listed, tmp_path)
    made = json.loads((tmp_path / COLLECTION / "collection.json").read_text())
    assert made["extent"]["temporal"]["interval"] == [["2023-08-23T09:55:59.024000Z", "2023-10-02T09:55:59.024000Z"]]
    ((west, south, east, north),) = made["extent"]["spatial"]["bbox"]
    assert (west, east) == (-180.0, 180.0), "one tile lies across 180 degrees"
    assert 41 < south < 42
    assert 69 < north < 70


def test_extent_is_left_where_nothing_is_seen() -> None:
    given = {"extent": {"spatial": {"bbox": [[0, 0, 1, 1]]}, "temporal": {"interval": [["a", None]]}}}
    made = json.loads(json.dumps(given))
    Extent().apply(made)
    assert made == given
    extent = Extent()
    extent.add({"properties": {"start_datetime": "2020", "end_datetime": "2022", "datetime": None}})
    extent.add({"bbox": [1, 2, 0, 3, 4, 9], "properties": {"datetime": "2021"}})
    extent.apply(made)
    assert made["extent"] == {"spatial": {"bbox": [[1, 2, 3, 4]]}, "temporal": {"interval": [["2020", "2022"]]}}


def test_nothing_but_an_export_is_replaced_and_only_if_asked(listed: Listed, tmp_path: Path) -> None:
    target = tmp_path / "stac"
    static(listed, target)
    with pytest.raises(ExportError, match=rf"{target}: is not empty \(--force"):
        static(listed, target)
    (target / COLLECTION / "2001-01").mkdir()
    (target / COLLECTION / "2001-01" / "gone.json").write_text("{}")
    (target / "README.md").write_text("mine")
    static(listed, target, force=True, by="tile")
    assert not list(target.rglob("gone.json")), "files of the earlier export go"
    assert not (target / COLLECTION / "2023-08").exists() or not list((target / COLLECTION / "2023-08").iterdir())
    assert (target / "README.md").read_text() == "mine"
    for content in (None, "[]", "{}", "?"):
        other = tmp_path / "other"
        other.mkdir(exist_ok=True)
        (other / "precious.txt").write_text("?")
        if content is not None:
            (other / "catalog.json").write_text(content)
        with pytest.raises(ExportError, match="no export of a catalogue"):
            static(listed, other, force=True)
        assert (other / "precious.txt").exists()


def test_an_export_that_was_interrupted_can_be_replaced(listed: Listed, tmp_path: Path) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        static(listed, tmp_path, on_item=stop)
    assert json.loads((tmp_path / "catalog.json").read_text())["abut:export"] == "unfinished"
    static(listed, tmp_path, force=True)
    assert json.loads((tmp_path / "catalog.json").read_text())["abut:export"] == "finished"


def test_a_web_server_makes_it_a_catalogue(listed: Listed, tmp_path: Path) -> None:
    static(listed, tmp_path)
    with web_server(tmp_path, listings=False) as url:
        root = pystac.Catalog.from_file(f"{url}/catalog.json")
        assert sorted(made.id for made in root.get_items(recursive=True)) == listed.live


# One table


def rows(path: Path | str) -> dict[str, dict[str, Any]]:
    found: dict[str, Any] = rustac.read_sync(str(path))
    return {made["id"]: made for made in found["features"]}


def plain(value: Any) -> Any:
    """A value without differences that are none: how instants, lists and what is absent are written, kinds of areas."""
    if isinstance(value, dict):
        if value.get("type") == "Polygon":
            return plain({"type": "MultiPolygon", "coordinates": [value["coordinates"]]})
        return {name: plain(found) for name, found in value.items() if found is not None}
    if isinstance(value, list | tuple):
        return [plain(found) for found in value]
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)", value):
        return datetime.fromisoformat(value)
    return value


def test_a_table_gives_back_every_item(listed: Listed, tmp_path: Path) -> None:
    done = table(listed, tmp_path / "l1c.parquet")
    found = rows(tmp_path / "l1c.parquet")
    assert sorted(found) == listed.live
    assert (done.items, done.files) == (len(listed.live), 1)
    assert done.data_bytes == (tmp_path / "l1c.parquet").stat().st_size
    for name, stored in listed_items(listed).items():
        expected = flat(absolute({**stored, "links": links_kept(stored)}, listed.url))
        assert plain(found[name]) == plain(expected)


def links_kept(stored: dict[str, Any]) -> list[Any]:
    return [link for link in stored["links"] if link["rel"] != "collection"]


def test_only_what_no_table_can_show_differs_in_its_rows(listed: Listed) -> None:
    for stored in listed_items(listed).values():
        made = flat(stored)
        outline, original = (one["properties"].pop("abut:footprint") for one in (made, json.loads(json.dumps(stored))))
        assert outline["type"] == "MultiPolygon"
        assert original["coordinates"] in (outline["coordinates"], outline["coordinates"][0])
        if stored["geometry"] is None:
            assert made["geometry"] == {"type": "MultiPolygon", "coordinates": []}
    assert flat({"id": "a", "properties": {"x": None, "y": {}, "z": [{"w": None}]}, "links": None, "assets": {}}) == {
        "id": "a",
        "properties": {"z": [None]},
        "links": [],
        "assets": {},
        "geometry": {"type": "MultiPolygon", "coordinates": []},
    }


@pytest.mark.parametrize("late", [1, 270])
def test_what_only_a_late_item_has_is_in_the_table_too(tmp_path: Path, late: int) -> None:
    """The columns follow from the first rows: a whole number first would cut the fractions of all others."""
    made = make_listed(tmp_path / "archive")
    with open_catalogue(made.archive.catalogue_url) as catalogue:
        for name in made.items:
            catalogue.remove(name)
        catalogue.upsert_many(numbered(280, late))
    table(made, tmp_path / "l1c.parquet")
    found = rows(tmp_path / "l1c.parquet")
    assert len(found) == 280
    odd = found[f"P{late:04d}"]["properties"]
    assert (odd["eo:cloud_cover"], odd["abut:new"], odd["deprecated"]) == (5.75, {"x": ["y"]}, False)
    assert found["P0000"]["properties"]["eo:cloud_cover"] == 5
    assert found["P0000"]["properties"].get("abut:new") is None


def numbered(count: int, late: int) -> Iterator[dict[str, Any]]:
    pattern = item()
    pattern["properties"] |= {"eo:cloud_cover": 5, "abut:store": None}
    for number in range(count):
        made = {**pattern, "id": f"P{number:04d}"}
        if number == late:
            new = {"eo:cloud_cover": 5.75, "abut:new": {"x": ["y"]}, "deprecated": False}
            made["properties"] = {**pattern["properties"], **new}
        yield made


def test_shapes_are_learned_once() -> None:
    shapes = Shapes()
    assert shapes.learn({"a": 1, "b": ["x"], "c": {"d": None}}, "first")
    assert not shapes.learn({"a": 2, "b": ["y", 'q"\\'], "c": {"d": None}}, "second")
    assert not shapes.learn({"a": -7, "b": [], "c": {}}, "third")
    assert shapes.learn({"a": 2.5}, "fourth")
    assert shapes.learn({"a": 2, "e": True}, "fifth")
    assert shapes.learn({"c": {"d": 1e-9}}, "sixth")
    assert not shapes.learn({"c": {"d": 1.5}, "geometry": {"new": 1}}, "seventh")


def test_values_of_two_kinds_are_refused_with_both_items() -> None:
    shape = Shape()
    shape.learn({"properties": {"x": [{"y": 1}]}}, "first")
    with pytest.raises(ExportError, match=r"properties.x\[\].y is integer in first and text in second: not one column"):
        shape.learn({"properties": {"x": [{"y": "1"}]}}, "second")


def test_a_table_says_what_it_can_not_hold(listed: Listed, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="the catalogue has no collection 'other'"):
        table(listed, tmp_path / "a.parquet", collection="other")
    with pytest.raises(ExportError, match=r"l1c.txt: the name of a table ends with .parquet or .geoparquet"):
        table(listed, tmp_path / "l1c.txt")
    made = make_listed(tmp_path / "archive")
    with open_catalogue(made.archive.catalogue_url) as catalogue:
        for name in made.items:
            catalogue.remove(name)
    with pytest.raises(ExportError, match="collection 'sentinel-2-l1c' has no items"):
        table(made, tmp_path / "a.parquet")
    with open_catalogue(made.archive.catalogue_url) as catalogue:
        catalogue.upsert_many([{**item(), "id": "odd", "properties": {**item()["properties"], "id": "other"}}])
    with pytest.raises(ExportError, match=r"a.parquet: "):
        table(made, tmp_path / "a.parquet")
    assert not (tmp_path / "a.parquet").exists()


def test_a_table_is_replaced_only_if_asked_and_appears_whole(listed: Listed, tmp_path: Path) -> None:
    path = tmp_path / "l1c.parquet"
    path.write_bytes(b"mine")
    with pytest.raises(ExportError, match=rf"{path}: exists \(--force"):
        table(listed, path)

    def look() -> None:
        assert path.read_bytes() == b"mine"

    table(listed, path, force=True, on_item=look)
    assert sorted(rows(path)) == listed.live


class Changing:
    """A catalogue in which something happens between the first look and the second."""

    def __init__(
        self, collections: list[dict[str, Any]], first: list[dict[str, Any]], second: list[dict[str, Any]]
    ) -> None:
        self._collections, self._looks = collections, iter([first, second])

    def collections(self) -> list[dict[str, Any]]:
        return self._collections

    def items(self, *_: Any) -> Iterator[dict[str, Any]]:
        return iter(next(self._looks))


def test_items_that_change_meanwhile_are_left_out_or_said(listed: Listed, tmp_path: Path) -> None:
    with open_catalogue(listed.archive.catalogue_url) as catalogue:
        before, collections = list(catalogue.items(COLLECTION)), catalogue.collections()
    before += [{**before[0], "id": "last"}]

    def export(after: list[dict[str, Any]]) -> Any:
        source: Any = Changing(collections, before, after)
        target = str(tmp_path / "l1c.parquet")
        return export_geoparquet(source, target, archive=listed.url, collection=COLLECTION, force=True)

    assert export([*before, {**before[0], "id": "new"}]).items == len(before)
    *others, last = before
    assert export(others).items == len(others)
    for change in ({"eo:cloud_cover": 1.25}, {"abut:new": 1}):
        changed = {**last, "properties": {**last["properties"], "updated": "2030-01-01T00:00:00Z", **change}}
        if "abut:new" in change:
            with pytest.raises(ExportError, match="last: was changed while it was exported; export again"):
                export([*others, changed])
        else:
            assert export([*others, changed]).items == len(before)
            assert rows(tmp_path / "l1c.parquet")["last"]["properties"]["eo:cloud_cover"] == 1.25


# S3


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with seaweed(tmp_path_factory.mktemp("weed")) as server:
        yield server


def test_exports_to_s3(listed: Listed, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    target = f"s3://{s3.bucket}/some/stac"
    done = static(listed, target)
    store = open_store(target)
    keys = [entry.key for entry in store.entries("")]
    assert done.files == len(keys)
    for key in keys:
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).write_bytes(store.get(key))
    root = pystac.Catalog.from_file(str(tmp_path / "catalog.json"))
    assert sorted(made.id for made in root.get_items(recursive=True)) == listed.live
    (west,), (east,) = listed.named("N0509", "20230823T0955", "32TMM"), listed.named("20230823T0955", "32TNM")
    key = f"{COLLECTION}/2023-08/{west}.json"
    given = pystac.Item.from_dict(json.loads(store.get(key)), href=f"{target}/{key}", migrate=False)
    assert [made.id for made in abut.complete([given])] == [west, east], "holders are read from S3"
    store.delete([f"{COLLECTION}/2023-08/{east}.json"])
    with pytest.raises(
        ProductNotFoundError, match=f"{west}: product {east}, which holds blocks of it, is not at s3://"
    ):
        abut.complete([given])
    with pytest.raises(ExportError, match="is not empty"):
        static(listed, target)
    static(listed, target, force=True)
    assert [made.id for made in abut.complete([given])] == [west, east]
    done = table(listed, f"s3://{s3.bucket}/some/l1c.parquet")
    (tmp_path / "l1c.parquet").write_bytes(open_store(f"s3://{s3.bucket}/some").get("l1c.parquet"))
    assert done.data_bytes == (tmp_path / "l1c.parquet").stat().st_size
    assert sorted(rows(tmp_path / "l1c.parquet")) == listed.live
    with pytest.raises(ExportError, match="exists"):
        table(listed, f"s3://{s3.bucket}/some/l1c.parquet")


# The command


def test_the_command_says_what_it_wrote(listed: Listed, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = ["catalog", "export", "--archive", listed.url]
    assert run([*base, str(tmp_path / "stac"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["items"], said["target"]) == (len(listed.live), str(tmp_path / "stac"))
    assert run([*base, str(tmp_path / "l1c.parquet"), "--asset-hrefs", "https://example.org/zarr"]) == 0
    assert capsys.readouterr().out.startswith(f"{len(listed.live)} items in 1 file, ")
    for made in rows(tmp_path / "l1c.parquet").values():
        assert made["assets"]["B02"]["href"].startswith("https://example.org/zarr/products/")
    assert run([*base, str(tmp_path / "b"), "--asset-hrefs", "relative", "--by", "tile"]) == 0
    capsys.readouterr()
    for options, message in (
        ([str(tmp_path / "stac")], "is not empty"),
        ([str(tmp_path / "c.parquet"), "--asset-hrefs", "relative"], "a table has no relative hrefs"),
        ([str(tmp_path / "c"), "--asset-hrefs", "sideways"], "'sideways' is neither absolute, relative nor a URL"),
        ([str(tmp_path / "c.parquet"), "--collection", "none"], "no collection 'none'"),
    ):
        assert run([*base, *options]) == 2
        err = capsys.readouterr().err
        assert message in err
        assert len(err.splitlines()) == 1


def test_an_archive_without_catalogue_is_exported_by_its_items(listed: Listed, tmp_path: Path) -> None:
    copy = shutil.copytree(listed.url, tmp_path / "copy")
    for file in copy.glob("catalog.sqlite*"):
        file.unlink()
    assert run(["catalog", "export", "--archive", str(copy), str(tmp_path / "stac")]) == 0
    root = pystac.Catalog.from_file(str(tmp_path / "stac" / "catalog.json"))
    assert sorted(made.id for made in root.get_items(recursive=True)) == listed.live


# Many items


class Ground(dict[str, Any]):
    """A geometry that is counted for as long as anything refers to it."""

    alive = 0
    most = 0

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        Ground.alive += 1
        Ground.most = max(Ground.most, Ground.alive)

    def __del__(self) -> None:
        Ground.alive -= 1


class Many:
    """A catalogue of many small items, made as they are read."""

    def __init__(self, count: int) -> None:
        Ground.alive = Ground.most = 0
        self.count = count

    def collections(self) -> list[dict[str, Any]]:
        return [make_collection().to_dict(include_self_link=False, transform_hrefs=False)]

    def items(self, _: str | None = None) -> Iterator[dict[str, Any]]:
        for number in range(self.count):
            yield {
                "type": "Feature",
                "stac_version": "1.1.0",
                "id": f"S2-{number:06d}",
                "collection": COLLECTION,
                "geometry": Ground({"type": "Point", "coordinates": [number % 180, 0.5]}),
                "bbox": [number % 180, 0.5, number % 180, 0.5],
                "properties": {"datetime": f"2025-{number % 12 + 1:02d}-01T00:00:00Z"},
                "links": [],
                "assets": {"B02": {"href": f"./S2-{number:06d}.zarr/b02"}},
            }


@pytest.mark.parametrize("kind", ["static", "table"])
def test_items_are_written_some_at_a_time(tmp_path: Path, kind: str) -> None:
    catalogue: Any = Many(4_000)
    if kind == "static":
        made = export_static(catalogue, str(tmp_path / "stac"), archive="/l1c")
    else:
        made = export_geoparquet(catalogue, str(tmp_path / "l1c.parquet"), archive="/l1c", collection=COLLECTION)
    assert made.items == 4_000
    assert 0 < Ground.most <= 1_100, "two batches at most"
    assert Ground.alive <= 2
