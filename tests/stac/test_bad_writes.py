"""Bodies that writers send by mistake or with bad intent are refused; what is there stays as it was."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.stac.databases import filled
from tests.stac.fuzzing import as_bytes, fuzzed, proper, texts, trees
from tests.stac.items import OTHER
from tests.writing import REGISTRAR, client_of, photo, writing_app

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.testclient import TestClient

PATH = f"/collections/{OTHER}"
PHOTO = f"{PATH}/items/photo-1"
JSON, MERGE, OPERATIONS = "application/json", "application/merge-patch+json", "application/json-patch+json"


@pytest.fixture(scope="module", params=["sqlite", "pgstac"])
def writer(request: pytest.FixtureRequest) -> Iterator[TestClient]:
    """Client with a token for everything, on each of the databases."""
    with filled(request) as url, client_of(writing_app(url), REGISTRAR) as client:
        yield client


def sent(client: TestClient, method: str, path: str, body: bytes | str, kind: str = JSON) -> tuple[int, str]:
    answer = client.request(method, path, content=body, headers={"Content-Type": kind})
    assert set(answer.json()) == {"code", "description"}, answer.text
    assert "\n" not in answer.json()["description"]
    return answer.status_code, answer.json()["description"]


@pytest.mark.parametrize("path", [PATH, PHOTO])
@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        (MERGE, "[]", "body: []: not a merge patch"),
        (OPERATIONS, "{}", "body: {}: not a list of operations"),
        (JSON, '"title"', "body: 'title': not a patch"),
    ],
)
def test_a_patch_is_what_its_media_type_says(writer: TestClient, path: str, kind: str, body: str, said: str) -> None:
    before = writer.get(path).content
    assert sent(writer, "PATCH", path, body, kind) == (400, said)
    assert writer.get(path).content == before


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("POST", f"{PATH}/items", "text/plain"),
        ("POST", f"{PATH}/items", MERGE),
        ("PUT", PHOTO, OPERATIONS),
        ("PATCH", PHOTO, "application/geo+json"),
        ("POST", "/collections", "application/x-www-form-urlencoded"),
        ("POST", f"{PATH}/bulk_items", "text/plain"),
    ],
)
def test_bodies_of_other_types_are_415(writer: TestClient, method: str, path: str, kind: str) -> None:
    status, said = sent(writer, method, path, "{}", kind)
    assert status == 415
    assert kind in said


@pytest.mark.parametrize("path", [PATH, PHOTO])
def test_copies_of_copies_do_not_fill_the_memory(writer: TestClient, path: str) -> None:
    doubling = [{"op": "add", "path": "/x", "value": {"text": "x" * 1000}}]
    doubling += [{"op": "copy", "from": "/x", "path": f"/x/{number}"} for number in range(200)]
    before = writer.get(path).content
    status, said = sent(writer, "PATCH", path, json.dumps(doubling), OPERATIONS)
    assert (status, "copied is larger" in said or "deep" in said) == (400, True)
    wide = [{"op": "add", "path": "/x", "value": ["x" * 100_000] * 10}]
    wide += [{"op": "copy", "from": "/x", "path": f"/y{number}"} for number in range(200)]
    status, said = sent(writer, "PATCH", path, json.dumps(wide), OPERATIONS)
    assert (status, "copied is larger" in said) == (400, True)
    assert writer.get(path).content == before


@pytest.mark.parametrize("operation", ['{"op": []}', '{"op": {}}', '{"op": null}', "{}", "7", "[]", '{"op": "Add"}'])
def test_operations_that_are_none_are_refused(writer: TestClient, operation: str) -> None:
    status, said = sent(writer, "PATCH", PHOTO, f"[{operation}]", OPERATIONS)
    assert status == 400
    assert "patch, operation 0: " in said
    assert "not one of add, replace" in said


@pytest.mark.parametrize("path", [PATH, PHOTO])
def test_patches_do_not_nest_without_end(writer: TestClient, path: str) -> None:
    deep: list[dict[str, Any]] = [{"op": "add", "path": "/x", "value": {}}]
    deep += [{"op": "add", "path": "/x" * number, "value": {"x": {}}} for number in range(2, 500)]
    before = writer.get(path).content
    status, said = sent(writer, "PATCH", path, json.dumps(deep), OPERATIONS)
    assert status == 400
    assert "nested more than" in said
    assert writer.get(path).content == before


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("[]", "body: []"),
        ("{}", "items: null"),
        ('{"items": []}', "items: []"),
        ('{"items": {}, "method": "replace"}', "method: 'replace'"),
        ('{"items": {}, "method": ["insert"]}', 'method: ["insert"]'),
        ('{"items": {}, "chunk": 5}', "'chunk': unknown"),
        ('{"items": {"a": NaN}}', "not JSON"),
        ("[" * 100_000, "body"),
        ('{"items": ' + '{"a":' * 200 + "0" + "}" * 201, "nested more than"),
        ("", "body: missing"),
    ],
    ids=range(10),
)
def test_bulks_that_are_none_are_refused(writer: TestClient, body: str, said: str) -> None:
    status, description = sent(writer, "POST", f"{PATH}/bulk_items", body)
    assert status == 400
    assert said in description


@st.composite
def spoilt(draw: st.DrawFn) -> dict[str, Any]:
    """An item, a part of which is something else."""
    item = photo("spoilt")
    part: Any = item
    name: Any = draw(st.sampled_from([*item]))
    while isinstance(part[name], dict | list) and part[name] and draw(st.booleans()):
        part = part[name]
        name = draw(st.sampled_from([*part] if isinstance(part, dict) else range(len(part))))
    part[name] = draw(trees)
    if draw(st.booleans()):
        item["properties"] = {**photo()["properties"], draw(texts): draw(trees)}
    return item


@given(item=spoilt())
@fuzzed
def test_items_that_are_spoilt_are_stored_as_they_are_or_refused(writer: TestClient, item: dict[str, Any]) -> None:
    body, kind = as_bytes(item), {"Content-Type": JSON}
    made = writer.post(f"{PATH}/items", content=body, headers=kind)
    if proper(made) == 201:
        stored = writer.get(f"{PATH}/items/{item['id']}")
        assert stored.status_code == 200
        assert stored.json()["properties"] == json.loads(body)["properties"]
        assert proper(writer.get("/search", params={"ids": item["id"], "sortby": "title,crop,gsd"})) == 200
        assert proper(writer.put(f"{PATH}/items/{item['id']}", content=body, headers=kind)) == 200
        assert writer.delete(f"{PATH}/items/{item['id']}").status_code == 204
    done = writer.post(f"{PATH}/bulk_items", content=as_bytes({"items": {"spoilt": item}}), headers=kind)
    if proper(done) == 200 and done.json()["success"]:
        assert writer.delete(f"{PATH}/items/spoilt").status_code == 204


@given(patch=trees)
@fuzzed
def test_any_patch(writer: TestClient, patch: Any) -> None:
    for path in (PHOTO, PATH):
        before = writer.get(path).json()
        answer = writer.patch(path, content=as_bytes(patch), headers={"Content-Type": JSON})
        if proper(answer) == 200:
            after = writer.get(path)
            assert after.status_code == 200
            restored = writer.put(path, content=as_bytes(before), headers={"Content-Type": JSON})
            assert proper(restored) == 200
            assert writer.get(path).json() == before
