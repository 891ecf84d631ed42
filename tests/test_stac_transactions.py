"""Writing through the API, on either database: who may change what, and what is refused how."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from abut.tiling import tile
from catalog.collection import make_collection
from catalog.holding import Holding, with_holding
from catalog.opening import open_catalogue
from services.backends import backend_of
from services.stac.app import create_stac_app
from tests.catalog_products import item, whole
from tests.postgres import new_database
from tests.writing import PHOTOS, REGISTRAR, WRITER, client_of, photo, places, writing_app

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.testclient import TestClient

    from catalog.interface import Catalogue

L1C, PHOTO = "/collections/sentinel-2-l1c", "/collections/field-photos"
START = datetime(2023, 8, 23, 10, 25, 59, 24_000, tzinfo=UTC)
ID = "S2B_MSIL1C_20230823T102559_N0509_R108_T32TNM_20230823T120234"
MERGE, OPERATIONS = "application/merge-patch+json", "application/json-patch+json"


@pytest.fixture(scope="module", params=["sqlite", "pgstac"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A catalogue on either database."""
    if request.param == "sqlite":
        yield str(tmp_path_factory.mktemp("catalogue") / "catalog.sqlite")
        return
    with new_database(request.getfixturevalue("postgres")) as database:
        yield database


@pytest.fixture(scope="module")
def running(url: str) -> Iterator[TestClient]:
    with client_of(writing_app(url)) as client:
        yield client


@pytest.fixture(autouse=True)
def catalogue(url: str) -> Iterator[Catalogue]:
    """The catalogue with the archive's collection and another, and an item in each."""
    with open_catalogue(url) as opened:
        for collection in opened.collections():
            opened.remove_collection(collection["id"])
        opened.put_collection(make_collection().to_dict(include_self_link=False))
        opened.put_collection(PHOTOS)
        opened.upsert_many([photo(), product()])
        yield opened


@pytest.fixture
def anyone(running: TestClient) -> TestClient:
    running.headers.pop("Authorization", None)
    return running


@pytest.fixture
def writer(anyone: TestClient) -> TestClient:
    anyone.headers["Authorization"] = f"Bearer {WRITER}"
    return anyone


@pytest.fixture
def registrar(anyone: TestClient) -> TestClient:
    anyone.headers["Authorization"] = f"Bearer {REGISTRAR}"
    return anyone


def product(revision: int = 3, *, withdrawn: bool = False, **changes: Any) -> dict[str, Any]:
    """The item of a product as the archive has it."""
    metadata: dict[str, Any] = {"start": START, "id": ID} | changes
    fresh = item("32TNM", **metadata)
    holding = Holding(
        revision=revision,
        held=whole(tile("32TNM")),
        holders={},
        withdrawn=withdrawn,
        updated=datetime(2024, 1, 1, tzinfo=UTC),
    )
    return with_holding(fresh, holding)


def refusal(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"code", "description"}
    return str(answer.json()["description"])


# Without transactions, without a token


def test_an_api_without_the_extensions_is_read_only(url: str) -> None:
    with client_of(create_stac_app(backend_of(url), places=places), REGISTRAR) as client:
        assert client.post(f"{PHOTO}/items", json=photo("new")).status_code == 405
        assert client.delete(f"{PHOTO}/items/photo-1").status_code == 405
        assert client.get("/register").status_code == 404
        assert not [one for one in client.get("/").json()["conformsTo"] if "transaction" in one or "abut" in one]


def test_a_plain_writer_does_not_change_the_collection_of_the_archive(
    writer: TestClient, catalogue: Catalogue, registrar: TestClient
) -> None:
    before = catalogue.collections()
    made = make_collection().to_dict(include_self_link=False)
    writer.headers["Authorization"] = f"Bearer {WRITER}"  # both are one client
    for answer in (
        writer.patch(L1C, json={"license": "proprietary"}, headers={"Content-Type": MERGE}),
        writer.put(L1C, json={**made, "title": "Mine"}),
        writer.post("/collections", json=made),
    ):
        assert "the archive's" in refusal(answer, 403)
    assert catalogue.collections() == before
    registrar.headers["Authorization"] = f"Bearer {REGISTRAR}"
    assert registrar.put(L1C, json={**made, "title": "Level-1C"}).status_code == 200


def test_whoever_has_no_token_reads_only(anyone: TestClient) -> None:
    assert anyone.get(f"{PHOTO}/items/photo-1").status_code == 200
    requests: list[tuple[str, str, Any]] = [
        ("POST", "/collections", PHOTOS),
        ("PUT", PHOTO, PHOTOS),
        ("PATCH", PHOTO, {"title": "x"}),
        ("DELETE", PHOTO, None),
        ("POST", f"{PHOTO}/items", photo("new")),
        ("PUT", f"{PHOTO}/items/photo-1", photo()),
        ("PATCH", f"{PHOTO}/items/photo-1", {"properties": {"title": "x"}}),
        ("DELETE", f"{PHOTO}/items/photo-1", None),
        ("POST", f"{PHOTO}/bulk_items", {"items": {}}),
        ("GET", "/register", None),
        ("GET", "/register/sentinel-2-l1c", None),
        ("GET", f"/register/sentinel-2-l1c/{ID}", None),
    ]
    for method, path, body in requests:
        answer = anyone.request(method, path, json=body)
        assert "bearer token" in refusal(answer, 401), (method, path)
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="abut"'


def test_the_api_says_that_it_takes_transactions(writer: TestClient) -> None:
    classes = writer.get("/conformance").json()["conformsTo"]
    assert "https://api.stacspec.org/v1.0.0/ogcapi-features/extensions/transaction" in classes
    assert "https://api.stacspec.org/v1.0.0/collections/extensions/transaction" in classes
    described = writer.get("/api").json()["paths"]
    assert set(described["/collections/{collection_id}/items/{item_id}"]) == {"get", "put", "patch", "delete"}


# Other collections: whoever may write may do all


def test_an_item_is_created_read_replaced_and_deleted(writer: TestClient) -> None:
    created = writer.post(f"{PHOTO}/items", json=photo("new"))
    assert created.status_code == 201
    assert created.headers["Location"] == f"http://abut.test{PHOTO}/items/new"
    shown = writer.get(f"{PHOTO}/items/new")
    assert shown.json() == created.json()
    assert shown.headers["ETag"] == created.headers["ETag"]
    assert [one["rel"] for one in shown.json()["links"]] == ["self", "parent", "collection", "root", "license"]

    changed = shown.json() | {"properties": {"datetime": "2024-01-01T00:00:00Z", "crop": "maize"}}
    replaced = writer.put(f"{PHOTO}/items/new", json=changed)
    assert replaced.status_code == 200
    assert replaced.json() == changed == writer.get(f"{PHOTO}/items/new").json()

    assert writer.delete(f"{PHOTO}/items/new").status_code == 204
    assert writer.get(f"{PHOTO}/items/new").status_code == 404
    assert refusal(writer.delete(f"{PHOTO}/items/new"), 404) == "no item 'new' in collection 'field-photos'"


def test_what_was_sent_is_what_is_stored(writer: TestClient, catalogue: Catalogue) -> None:
    sent = photo("exact", height=1.0, count=3, empty=None, text="Gemüse \U0001f33d", nested={"a": [1, 2.5, None]})
    assert writer.post(f"{PHOTO}/items", json=sent).status_code == 201
    assert catalogue.get("exact", "field-photos") == sent


def test_links_that_the_api_makes_are_not_stored(writer: TestClient, catalogue: Catalogue) -> None:
    shown = writer.get(f"{PHOTO}/items/photo-1").json()
    assert writer.put(f"{PHOTO}/items/photo-1", json=shown).status_code == 200
    assert catalogue.get("photo-1", "field-photos") == photo()


def test_an_item_that_is_there_is_not_created_again(writer: TestClient, catalogue: Catalogue) -> None:
    assert refusal(writer.post(f"{PHOTO}/items", json=photo(title="other")), 409) == "listed already: photo-1"
    assert catalogue.get("photo-1", "field-photos") == photo()


def test_all_items_of_a_feature_collection_are_created_or_none(writer: TestClient, catalogue: Catalogue) -> None:
    def features(*names: str) -> dict[str, Any]:
        return {"type": "FeatureCollection", "features": [photo(name) for name in names]}

    assert refusal(writer.post(f"{PHOTO}/items", json=features("a", "photo-1", "b")), 409) == "listed already: photo-1"
    broken = features("a", "b")
    del broken["features"][1]["properties"]["datetime"]
    assert refusal(writer.post(f"{PHOTO}/items", json=broken), 400) == "features.1.properties.datetime: missing"
    assert "sent twice" in refusal(writer.post(f"{PHOTO}/items", json=features("a", "a")), 400)
    assert catalogue.ids("field-photos") == {"photo-1"}

    created = writer.post(f"{PHOTO}/items", json=features("a", "b"))
    assert created.status_code == 201
    assert [one["id"] for one in created.json()["features"]] == ["a", "b"]
    assert catalogue.ids("field-photos") == {"photo-1", "a", "b"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": "a/b"}, "id: 'a/b': not a name of letters"),
        ({"id": ""}, "id: '': not a name"),
        ({"id": "x" * 256}, "255 at most"),
        ({"id": 7}, "id: 7: not a name"),
        ({"id": ".."}, "id: '..': not a name"),
        ({"collection": "sentinel-2-l1c"}, "collection: 'sentinel-2-l1c': the item was sent to 'field-photos'"),
        ({"type": "Point"}, "type: 'Point'"),
        ({"properties": {}}, "properties.datetime: missing"),
        ({"properties": {"datetime": "yesterday"}}, "properties.datetime: 'yesterday'"),
        ({"properties": {"datetime": 1_600_000_000}}, "properties.datetime: 1600000000: not a time in RFC 3339"),
        ({"properties": {"datetime": None}}, "start_datetime and end_datetime must be specified"),
        ({"properties": []}, "properties: []"),
        ({"geometry": {"type": "Point", "coordinates": ["a", 1]}}, "geometry.coordinates.0: 'a'"),
        ({"geometry": {"type": "Point", "coordinates": ["11", "46"]}}, "geometry: "),
        ({"geometry": {"type": "Point", "coordinates": [200, 46]}}, "geometry: [200, 46]: not longitude and latitude"),
        ({"geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}}, "geometry.coordinates.0"),
        ({"geometry": {"type": "Circle", "coordinates": [0, 0]}}, "geometry: "),
        ({"geometry": [1, 2]}, "geometry: "),
        ({"bbox": None}, "bbox is required if geometry is not null"),
        ({"bbox": [1, 2]}, "bbox"),
        ({"bbox": [11, 47, 12, 46]}, "bbox: [11, 47, 12, 46]: its south is north of its north"),
        ({"bbox": ["11", "46", "12", "47"]}, "bbox"),
        ({"assets": {"image": {}}}, "assets.image.href: missing"),
        ({"links": [{"rel": "self"}]}, "links.0.href: missing"),
        ({"links": {}}, "links: {}"),
        ({"stac_version": "one"}, "stac_version: 'one'"),
    ],
)
def test_what_is_no_item_is_refused_with_the_field(writer: TestClient, change: dict[str, Any], message: str) -> None:
    assert message in refusal(writer.post(f"{PHOTO}/items", json=photo("new") | change), 400)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "body: missing"),
        (b"{", "body: not JSON"),
        (b'{"type": NaN}', "body: not JSON"),
        (b"\xff\xfe", "body: not JSON"),
        (b"[]", "not an item"),
        (b"7", "not an item"),
        (b'{"type": "FeatureCollection"}', "features: null: not a list of items"),
        (b'{"type": "FeatureCollection", "features": []}', "0 items"),
        (b'{"type": "FeatureCollection", "features": [1]}', "features.0.: 1: not an item"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "nested more than 64 deep"),
        (json.dumps(photo("new", title="a\0b")).encode(), "null character"),
        (b'{"id": "\\ud800"}', "body: not JSON"),
    ],
)
def test_what_is_no_json_that_can_be_stored_is_refused(writer: TestClient, body: bytes, message: str) -> None:
    answer = writer.post(f"{PHOTO}/items", content=body, headers={"Content-Type": "application/json"})
    assert message in refusal(answer, 400)


def test_an_item_goes_where_the_url_says(writer: TestClient) -> None:
    assert "the item of this URL is 'photo-1'" in refusal(writer.put(f"{PHOTO}/items/photo-1", json=photo("x")), 400)
    assert refusal(writer.put(f"{PHOTO}/items/none", json=photo("none")), 404)
    assert "no collection 'none'" in refusal(writer.post("/collections/none/items", json=_in("none")), 404)
    without = photo("new")
    del without["collection"]
    assert writer.post(f"{PHOTO}/items", json=without).json()["collection"] == "field-photos"


def _in(collection: str) -> dict[str, Any]:
    return photo("new") | {"collection": collection}


def test_a_place_that_is_unknown_is_fine(writer: TestClient) -> None:
    nowhere = photo("nowhere") | {"geometry": None}
    del nowhere["bbox"]
    assert writer.post(f"{PHOTO}/items", json=nowhere).status_code == 201
    assert writer.get(f"{PHOTO}/items/nowhere").json()["geometry"] is None


# Patches


def patch(client: TestClient, path: str, body: Any, kind: str = MERGE, **headers: str) -> Any:
    return client.patch(path, content=json.dumps(body), headers={"Content-Type": kind, **headers})


def test_a_merge_patch_changes_and_removes(writer: TestClient, catalogue: Catalogue) -> None:
    body = {"properties": {"title": None, "crop": "maize"}, "assets": {"more": {"href": "https://example.org/2.jpg"}}}
    answer = patch(writer, f"{PHOTO}/items/photo-1", body)
    assert answer.status_code == 200
    expected = photo()
    del expected["properties"]["title"]
    expected["properties"]["crop"] = "maize"
    expected["assets"]["more"] = {"href": "https://example.org/2.jpg"}
    assert catalogue.get("photo-1", "field-photos") == expected


def test_a_json_patch_is_applied_wholly_or_not_at_all(writer: TestClient, catalogue: Catalogue) -> None:
    operations = [
        {"op": "test", "path": "/properties/title", "value": "A field"},
        {"op": "add", "path": "/properties/a~1b", "value": [1]},
        {"op": "add", "path": "/properties/a~1b/-", "value": 2},
        {"op": "copy", "from": "/properties/title", "path": "/properties/label"},
        {"op": "move", "from": "/properties/title", "path": "/properties/name"},
        {"op": "replace", "path": "/properties/a~1b/0", "value": {"x": 1}},
    ]
    assert patch(writer, f"{PHOTO}/items/photo-1", operations, OPERATIONS).status_code == 200
    expected = photo()
    del expected["properties"]["title"]
    expected["properties"] |= {"label": "A field", "name": "A field", "a/b": [{"x": 1}, 2]}
    assert catalogue.get("photo-1", "field-photos") == expected

    failing = [{"op": "remove", "path": "/properties/name"}, {"op": "test", "path": "/properties/label", "value": "x"}]
    message = refusal(patch(writer, f"{PHOTO}/items/photo-1", failing, OPERATIONS), 409)
    assert message == "patch, operation 1: /properties/label is not what the test says"
    assert catalogue.get("photo-1", "field-photos") == expected


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"id": "other"}, 400, "id: 'other': the item of this URL is 'photo-1'"),
        ({"collection": "sentinel-2-l1c"}, 400, "collection"),
        ({"properties": {"datetime": "x"}}, 400, "properties.datetime: 'x'"),
        ({"geometry": None}, 400, "geometry: missing"),
        ([{"op": "replace", "path": "/geometry", "value": None}], 200, ""),
        (7, 400, "body: 7: not a merge patch"),
        ([{"op": "remove", "path": "/properties/datetime"}], 400, "properties.datetime: missing"),
        ([{"op": "remove", "path": "/nothing"}], 409, "there is no /nothing"),
        ([{"op": "remove", "path": "nothing"}], 400, "path 'nothing' does not start with /"),
        ([{"op": "fly", "path": "/id"}], 400, "not one of add, replace, test, remove, move, copy"),
        ([{"op": "add", "path": "/properties/x"}], 400, "add needs value"),
        ([{"op": "move", "from": "/properties", "path": "/properties/x"}], 400, "into itself"),
        ([{"op": "replace", "path": "", "value": 7}], 400, "what it makes is no item"),
        ([{"op": "remove", "path": ""}], 400, "what it makes is no item"),
        ([7], 400, "operation 0"),
        ([{"op": "test", "path": "/properties/title", "value": "A field"}] * 1_001, 400, "1000 are the most"),
    ],
)
def test_patches_that_make_no_item_are_refused(writer: TestClient, body: Any, status: int, message: str) -> None:
    answer = patch(writer, f"{PHOTO}/items/photo-1", body, OPERATIONS if isinstance(body, list) else MERGE)
    assert answer.status_code == status
    assert message in answer.text


# If-Match


def test_a_change_of_what_someone_else_changed_is_refused(writer: TestClient) -> None:
    path = f"{PHOTO}/items/photo-1"
    tag = writer.get(path).headers["ETag"]
    first = patch(writer, path, {"properties": {"title": "first"}}, **{"If-Match": tag})
    assert first.status_code == 200

    for answer in (
        patch(writer, path, {"properties": {"title": "second"}}, **{"If-Match": tag}),
        writer.put(path, json=photo(title="second"), headers={"If-Match": tag}),
        writer.delete(path, headers={"If-Match": tag}),
    ):
        assert "no longer what If-Match says" in refusal(answer, 412)
    assert writer.get(path).json()["properties"]["title"] == "first"
    new = first.headers["ETag"]
    assert writer.get(path).headers["ETag"] == new
    assert writer.delete(path, headers={"If-Match": f'"other", {new}'}).status_code == 204


# Items of the archive: those who register say what they are, all others put items of their own beside them


@pytest.mark.parametrize(
    "change",
    [
        {"properties": {"title": "Alps"}},
        {"properties": {"eo:cloud_cover": 12.5}},
        {"properties": {"abut:revision": 4}},
        {"properties": {"datetime": "2020-01-01T00:00:00Z"}},
        {"assets": {"B02": {"href": "https://example.org/b02"}}},
        {"links": []},
        {},
    ],
)
def test_a_writer_changes_nothing_of_a_product(
    writer: TestClient, catalogue: Catalogue, change: dict[str, Any]
) -> None:
    """The store has no place for it: the next registration of the product would undo it."""
    before = catalogue.get(ID)
    path = f"{L1C}/items/{ID}"
    whole_item = writer.get(path).json()
    for answer in (patch(writer, path, change), writer.put(path, json=whole_item | change)):
        message = refusal(answer, 403)
        assert message.startswith("items of 'sentinel-2-l1c' are the archive's own"), message
        assert message.endswith("needs a token of scope abut:register")
        assert 'error="insufficient_scope", scope="abut:register"' in answer.headers["WWW-Authenticate"]
    assert catalogue.get(ID) == before


def test_a_writer_neither_adds_nor_removes_products(writer: TestClient, catalogue: Catalogue) -> None:
    other = product(id=ID.replace("120234", "120235"))
    assert "come from the archive" in refusal(writer.post(f"{L1C}/items", json=other), 403)
    collection = {"type": "FeatureCollection", "features": [other]}
    assert "come from the archive" in refusal(writer.post(f"{L1C}/items", json=collection), 403)
    bulk = {"items": {other["id"]: other}, "method": "upsert"}
    assert "come from the archive" in refusal(writer.post(f"{L1C}/bulk_items", json=bulk), 403)
    assert "`abut withdraw`" in refusal(writer.delete(f"{L1C}/items/{ID}"), 403)
    assert "the archive's" in refusal(writer.delete(L1C), 403)
    assert refusal(writer.get("/register"), 403)
    assert catalogue.ids() == {ID}


def test_a_writer_changes_no_withdrawn_product(writer: TestClient, catalogue: Catalogue) -> None:
    catalogue.upsert_many([product(4, withdrawn=True)])
    before = catalogue.get(ID)
    assert refusal(patch(writer, f"{L1C}/items/{ID}", {"properties": {"abut:withdrawn": False}}), 403)
    assert catalogue.get(ID) == before


def test_a_registrar_adds_products_as_the_archive_has_them(registrar: TestClient, catalogue: Catalogue) -> None:
    other = product(id=ID.replace("R108", "R008"), relative_orbit=8, start=START.replace(day=24))
    created = registrar.post(f"{L1C}/items", json=other)
    assert created.status_code == 201
    listed = catalogue.get(other["id"])
    assert listed is not None
    assert {key: listed[key] for key in ("links", "assets", "geometry")} == {
        key: other[key] for key in ("links", "assets", "geometry")
    }
    assert created.json()["assets"]["B02"]["href"].startswith("http://abut.test/zarr/products/")
    assert "listed already" in refusal(registrar.post(f"{L1C}/items", json=other), 409)


def test_a_registrar_replaces_what_is_older_only(registrar: TestClient, catalogue: Catalogue) -> None:
    path = f"{L1C}/items/{ID}"
    assert registrar.put(path, json=product(5)).status_code == 200
    assert refusal(registrar.put(path, json=product(4)), 409) == f"{ID}: revision 4 is stale, the catalogue has 5"
    assert catalogue.revision(ID) == 5
    assert registrar.put(path, json=product(5)).status_code == 200


def test_a_registrar_withdraws_and_then_removes(registrar: TestClient, catalogue: Catalogue) -> None:
    path = f"{L1C}/items/{ID}"
    assert "only withdrawn ones can be removed" in refusal(registrar.delete(path), 409)
    assert registrar.put(path, json=product(4, withdrawn=True)).status_code == 200
    assert registrar.get(path).json()["properties"]["abut:withdrawn"]
    assert registrar.get(f"/register/sentinel-2-l1c/{ID}").json() == catalogue.get(ID)
    assert "listed already" in refusal(registrar.post(f"{L1C}/items", json=product()), 409)
    assert registrar.delete(path).status_code == 204
    assert catalogue.get(ID) is None


def test_the_archive_s_collection_is_not_deleted_with_its_items(registrar: TestClient, catalogue: Catalogue) -> None:
    assert "has items" in refusal(registrar.delete(L1C), 409)
    catalogue.upsert_many([product(4, withdrawn=True)])
    assert "has items" in refusal(registrar.delete(L1C), 409)
    assert registrar.delete(f"{L1C}/items/{ID}").status_code == 204
    assert registrar.delete(L1C).status_code == 204


# Many at once


def bulk(client: TestClient, path: str, items: dict[str, Any], method: str = "insert") -> dict[str, Any]:
    answer = client.post(f"{path}/bulk_items", json={"items": items, "method": method})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def refused_bulk(client: TestClient, items: dict[str, Any], method: str, status: int) -> tuple[str, dict[str, str]]:
    """What is said of a bulk that is refused, and of each bad item."""
    answer = client.post(f"{PHOTO}/bulk_items", json={"items": items, "method": method})
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"code", "description", "errors"}
    return body["description"], {error["id"]: error["msg"] for error in body["errors"]}


@pytest.mark.parametrize("method", ["insert", "upsert"])
def test_of_many_items_none_is_written_if_one_is_bad(writer: TestClient, catalogue: Catalogue, method: str) -> None:
    items: dict[str, Any] = {name: photo(name) for name in ("a", "bad", "b", "late", "typed")}
    items["bad"]["properties"]["datetime"] = "x"
    items["typed"]["properties"]["platform"] = 5  # which can't be searched by
    items["late"]["properties"] |= {"start_datetime": "2024-01-02T00:00:00Z", "end_datetime": "2024-01-01T00:00:00Z"}
    items["named"] = photo("otherwise")
    items["seven"] = 7
    said, errors = refused_bulk(writer, items, method, 400)
    assert said.startswith("item 'bad': properties.datetime: 'x'")
    assert said.endswith("(5 items are refused); nothing was written")
    assert {name: message.split(":")[0] for name, message in errors.items()} == {
        "bad": "properties.datetime",
        "late": "item late ends before it starts",
        "named": "id",
        "seven": "body",
        "typed": "properties.platform",
    }
    assert catalogue.ids("field-photos") == {"photo-1"}


def test_of_many_new_items_none_is_added_if_one_is_listed(writer: TestClient, catalogue: Catalogue) -> None:
    said, errors = refused_bulk(writer, {name: photo(name) for name in ("a", "photo-1", "b")}, "insert", 409)
    assert said == "item 'photo-1': is listed already; nothing was written"
    assert errors == {"photo-1": "is listed already"}
    assert catalogue.ids("field-photos") == {"photo-1"}


def test_many_items_are_added_or_replaced_at_once(writer: TestClient, catalogue: Catalogue) -> None:
    made = bulk(writer, PHOTO, {name: photo(name) for name in ("a", "b")})
    assert made == {"received": 2, "success": 2, "skipped": 0, "errors": []}
    again = bulk(writer, PHOTO, {"a": photo("a", title="new"), "c": photo("c")}, "upsert")
    assert again == {"received": 2, "success": 2, "skipped": 0, "errors": []}
    assert catalogue.ids("field-photos") == {"a", "b", "c", "photo-1"}
    assert catalogue.get("a", "field-photos") == photo("a", title="new")
    assert bulk(writer, PHOTO, {}) == {"received": 0, "success": 0, "skipped": 0, "errors": []}


def test_many_products_are_registered_by_the_rule_of_revisions(registrar: TestClient, catalogue: Catalogue) -> None:
    other = product(id=ID.replace("R108", "R008"), relative_orbit=8)
    done = bulk(registrar, L1C, {ID: product(2), other["id"]: other}, "upsert")
    assert (done["received"], done["success"], done["skipped"], done["errors"]) == (2, 1, 1, [])
    assert catalogue.revision(ID) == 3
    assert bulk(registrar, L1C, {ID: product(3), other["id"]: other}, "upsert")["success"] == 2


@pytest.mark.parametrize(
    "body",
    [{}, {"items": []}, {"items": {"a": 1}, "method": "replace"}, [], 7, {"items": None}],
)
def test_what_is_no_bulk_is_refused(writer: TestClient, body: Any) -> None:
    assert refusal(writer.post(f"{PHOTO}/bulk_items", json=body), 400)
    assert refusal(writer.post("/collections/none/bulk_items", json={"items": {}}), 404)


# Collections


def test_a_collection_is_created_changed_and_deleted_with_its_items(writer: TestClient, catalogue: Catalogue) -> None:
    maps = PHOTOS | {"id": "maps", "links": [{"rel": "license", "href": "https://example.org/licence"}]}
    created = writer.post("/collections", json=maps)
    assert created.status_code == 201
    assert created.headers["Location"] == "http://abut.test/collections/maps"
    assert refusal(writer.post("/collections", json=maps), 409) == "collection 'maps' is there already"

    shown = writer.get("/collections/maps").json()
    assert writer.put("/collections/maps", json=shown | {"title": "Maps"}).json()["title"] == "Maps"
    stored = next(one for one in catalogue.collections() if one["id"] == "maps")
    assert stored == maps | {"title": "Maps"}

    assert patch(writer, "/collections/maps", {"title": None, "keywords": ["x"]}).json()["keywords"] == ["x"]
    operations = [{"op": "add", "path": "/keywords/-", "value": "y"}]
    assert patch(writer, "/collections/maps", operations, OPERATIONS).json()["keywords"] == ["x", "y"]

    assert writer.post("/collections/maps/items", json=_in("maps")).status_code == 201
    assert writer.delete("/collections/maps").status_code == 204
    assert writer.get("/collections/maps/items/new").status_code == 404
    assert refusal(writer.delete("/collections/maps"), 404)
    assert catalogue.ids("maps") == set()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": "a b"}, "id: 'a b': not a name"),
        ({"type": "Catalog"}, "type: 'Catalog'"),
        ({"license": None}, "license: null"),
        ({"extent": {}}, "extent.spatial: missing"),
        ({"links": 1}, "links: 1"),
    ],
)
def test_what_is_no_collection_is_refused(writer: TestClient, change: dict[str, Any], message: str) -> None:
    assert message in refusal(writer.post("/collections", json=PHOTOS | {"id": "new"} | change), 400)
    assert writer.get("/collections/new").status_code == 404


def test_a_collection_keeps_its_id(writer: TestClient) -> None:
    assert "the collection of this URL is 'field-photos'" in refusal(writer.put(PHOTO, json=PHOTOS | {"id": "x"}), 400)
    assert "the collection of this URL is 'field-photos'" in refusal(patch(writer, PHOTO, {"id": "x"}), 400)
    assert refusal(writer.put("/collections/none", json=PHOTOS | {"id": "none"}), 404)


# What those who register from elsewhere read


def test_the_register_has_all_items_as_they_are_stored(registrar: TestClient, catalogue: Catalogue) -> None:
    names = sorted(ID.replace("T32TNM", f"T32TN{letter}") for letter in "MNPQR")
    catalogue.upsert_many(product(7, id=name, withdrawn=name.endswith("Q")) for name in names)
    found: list[dict[str, Any]] = []
    after: str | None = ""
    while after is not None:
        page = registrar.get("/register/sentinel-2-l1c", params={"after": after, "limit": 2}).json()
        found, after = found + page["items"], page["next"]
    assert [one["id"] for one in found] == names
    assert found == list(catalogue.items("sentinel-2-l1c", withdrawn=True))

    ids = registrar.get("/register/sentinel-2-l1c", params={"names": "true"}).json()
    assert ids == {"ids": names, "next": None}
    assert registrar.get("/register").json()["collections"] == catalogue.collections()
    assert refusal(registrar.get("/register/none"), 404)
    assert refusal(registrar.get("/register/sentinel-2-l1c/none"), 404)
    assert refusal(registrar.get("/register/sentinel-2-l1c", params={"limit": 0}), 400)
