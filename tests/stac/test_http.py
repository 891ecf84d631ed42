"""Answers as HTTP has them: validators, compression, origins, methods without a body."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.stac.items import DAYS, L1C, product_id

if TYPE_CHECKING:
    from starlette.testclient import TestClient

PATHS = [
    "/",
    "/conformance",
    "/collections",
    f"/collections/{L1C}",
    f"/collections/{L1C}/items?limit=3",
    f"/collections/{L1C}/items/{product_id('32TNM', DAYS[0])}",
    "/search?limit=3",
    "/queryables",
    "/aggregate",
]


@pytest.mark.parametrize("path", PATHS)
def test_an_answer_that_did_not_change_is_not_sent_again(api: TestClient, path: str) -> None:
    first = api.get(path)
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == "no-cache"
    for known in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        again = api.get(path, headers={"If-None-Match": known})
        assert again.status_code == 304
        assert again.content == b""
        assert again.headers["etag"] == tag
        assert "content-type" not in again.headers
    assert api.get(path, headers={"If-None-Match": '"other"'}).content == first.content


def test_etags_tell_answers_apart(api: TestClient) -> None:
    tags = [api.get(path).headers["etag"] for path in PATHS]
    assert len(set(tags)) == len(tags)


@pytest.mark.parametrize("path", PATHS)
def test_head_is_get_without_its_body(api: TestClient, path: str) -> None:
    got, head = api.get(path), api.head(path)
    assert head.status_code == 200
    assert head.content == b""
    assert dict(head.headers) == dict(got.headers)


def test_head_of_nothing_is_404(api: TestClient) -> None:
    answer = api.head("/collections/nothing")
    assert answer.status_code == 404
    assert answer.content == b""


def test_options_names_the_methods_of_each_resource(api: TestClient) -> None:
    for path, allowed in (
        ("/", "GET, HEAD, OPTIONS"),
        ("/search", "GET, HEAD, OPTIONS, POST"),
        ("/api", "GET, HEAD, OPTIONS"),
        (f"/collections/{L1C}/aggregate", "GET, HEAD, OPTIONS, POST"),
    ):
        answer = api.options(path)
        assert answer.status_code == 204
        assert answer.headers["allow"] == allowed
    assert api.options("/nothing").status_code == 404


def test_pages_of_any_site_may_read_answers(api: TestClient) -> None:
    answer = api.get("/search", headers={"Origin": "https://example.org"})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "ETag" in answer.headers["access-control-expose-headers"]
    preflight = {
        "Origin": "https://example.org",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type, if-none-match",
    }
    asked = api.options("/search", headers=preflight)
    assert asked.status_code == 200
    assert "POST" in asked.headers["access-control-allow-methods"]
    assert "DELETE" not in asked.headers["access-control-allow-methods"]
    failed = api.get("/nothing", headers={"Origin": "https://example.org"})
    assert failed.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("br", "br"),
        ("gzip", "gzip"),
        ("gzip, deflate, br", "br"),
        ("gzip;q=1.0, br;q=0.5", "gzip"),
        ("br;q=0, gzip", "gzip"),
        ("br;q=0", None),
        ("identity", None),
        ("zstd", None),
        ("", None),
    ],
)
def test_answers_are_compressed_as_the_client_accepts(api: TestClient, accepted: str, coding: str | None) -> None:
    plain = api.get("/search?limit=5")
    with api.stream("GET", "/search?limit=5", headers={"Accept-Encoding": accepted}) as answer:
        raw = b"".join(answer.iter_raw())
    assert answer.headers.get("content-encoding") == coding
    assert int(answer.headers["content-length"]) == len(raw)
    assert "Accept-Encoding" in answer.headers["vary"]
    assert answer.headers["etag"] == plain.headers["etag"]
    assert api.get("/search?limit=5", headers={"Accept-Encoding": accepted}).content == plain.content
    if coding:
        assert len(raw) < len(plain.content) / 4


def test_a_compressed_answer_is_validated_too(api: TestClient) -> None:
    tag = api.get("/search", headers={"Accept-Encoding": "br"}).headers["etag"]
    answer = api.get("/search", headers={"Accept-Encoding": "br", "If-None-Match": tag})
    assert answer.status_code == 304
    assert "content-encoding" not in answer.headers
    assert answer.content == b""


def test_answers_to_post_have_no_validator(api: TestClient) -> None:
    answer = api.post("/search", json={"limit": 1})
    assert answer.headers["content-type"] == "application/geo+json"
    assert "etag" not in answer.headers


def test_errors_are_not_kept(api: TestClient) -> None:
    assert api.get("/search?limit=0").headers["cache-control"] == "no-store"


def test_every_answer_is_json(api: TestClient) -> None:
    for path in PATHS:
        assert json.loads(api.get(path).content)
