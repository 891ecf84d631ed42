"""stac-api-validator, stac-validator, stac-check and pystac judge `abut serve` on either database, off line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest

from abut.archive import create_archive
from abut.catalogue import without_secrets
from tests.serving import ROOT, serving
from tests.stac.databases import filled
from tests.stac.items import DAYS, L1C, OTHER, RELEASED, TILES, VERSIONS, product_id
from tests.stac_schemas import FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN: Final = "a-token-for-writers"  # noqa: S105 - of a test

CLASSES: Final = {
    "core": "https://api.stacspec.org/v1.0.0/core",
    "collections": "https://api.stacspec.org/v1.0.0/collections",
    "features": "https://api.stacspec.org/v1.0.0/ogcapi-features",
    "features#filter": "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/features-filter",
    "item-search": "https://api.stacspec.org/v1.0.0/item-search",
    "item-search#fields": "https://api.stacspec.org/v1.0.0/item-search#fields",
    "item-search#filter": "https://api.stacspec.org/v1.0.0-rc.2/item-search#filter",
    "item-search#query": "https://api.stacspec.org/v1.0.0/item-search#query",
    "item-search#sort": "https://api.stacspec.org/v1.0.0/item-search#sort",
}
"""What the validator can tell of, but transactions, and the conformance classes that say so."""

ITEMS: Final = [
    *(product_id(tile, DAYS[1]) for tile in TILES),
    *(product_id(*VERSIONS, baseline) for baseline in ("05.09", "05.10", "05.11")),
    product_id(*RELEASED),
]

MISTAKEN: Final = (
    # With an empty or missing `include` the rest is what `exclude` leaves: this property too, but for the validator.
    r"POST {'fields': {'exclude': \['geometry'\], 'include': \[\]}} response contained 'properties.eo:cloud_cover'",
    r"POST {'fields': {'exclude': \['geometry'\], 'include': None}} response contained 'properties.eo:cloud_cover'",
    # It asks for one property, and expects five fields.
    r"POST {'fields': {'exclude': \['properties'\], 'include': .* fewer than 5 fields",
    # It looks for the letters of the property among the values of the list.
    r"Query Ext\] : GET search with Query '{\"platform\": {\"in\": .* had non-matching results",
    r"Query Ext\] : POST search with Query '{\"platform\": {\"in\": .* had non-matching results",
)
"""Errors that are the validator's own, each once."""

MISTAKEN_OF_WRITES: Final = (
    # It wants an item deleted that there is not.
    r"DELETE .* had unexpected status code 404 instead of 204",
    # It sends the cloud cover as text, which is no item that anybody could filter by; and it is lost from there.
    r"PUT .*\"eo:cloud_cover\": \"3.14\".* had unexpected status code 400 instead of 204",
    r"PUT - eo:cloud_cover value did not match",
    r"stac-api-validator failed: KeyError\('foo'\)",
)
"""Errors of its test of transactions, which `tests/test_stac_transactions.py` replaces."""

RECOMMENDED: Final = (
    # Every feature has what makes it one that clients can read, whatever fields they ask for.
    r"Fields Ext\] : (GET|POST) .* response contained extra fields \[('id'|'collection'|'type'|'properties'|, )*\]$",
    r"GET Search within bbox=20,20,21,21 to validate ids does not override all other parameters returned 0 results",
    r"stac-check recommendations: Links in catalogs and collections should always have a 'title' field,$",
    # The collection has a link to map tiles for each of its pictures.
    r"stac-check recommendations: You have \d+ links.* consider using sub-collections .*,Links in catalogs",
    # Ids are ESA's names, and whoever searches wants the properties.
    r"stac-check recommendations: Item name 'S2.*' should only contain Searchable identifiers,.*You have 49 properties",
)
"""Recommendations that are known, as often as they come."""


@pytest.fixture(scope="module", params=["sqlite", "pgstac"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The STAC API of `abut serve`, with transactions."""
    archive = str(tmp_path_factory.mktemp("judged") / "archive")
    with filled(request) as catalogue:
        create_archive(archive, catalogue=without_secrets(catalogue))
        with serving(archive, catalogue=catalogue, transactions="true", write_tokens=TOKEN) as served:
            yield f"{served.url}/stac"


@pytest.fixture(scope="module")
def said(url: str) -> Any:
    """What the judges said."""
    if not FOLDER.is_dir():
        pytest.skip(f"no copies of the STAC schemas in {FOLDER}")
    query = {
        **{f"query_{name}_value": 37.0 for name in ("eq", "neq")},
        **{f"query_{name}_value": 50.0 for name in ("lt", "lte", "gt", "gte")},
        "query_comparison_field": "eo:cloud_cover",
        "query_substring_field": "platform",
        "query_starts_with_value": "sent",
        "query_ends_with_value": "2a",
        "query_contains_value": "inel",
        "query_in_field": "platform",
        "query_in_values": "sentinel-2a,sentinel-2b",
    }
    area = {"type": "Polygon", "coordinates": [[[5, 40], [20, 40], [20, 65], [5, 65], [5, 40]]]}
    settings = {
        "ccs_to_validate": [*CLASSES],
        "collection": L1C,
        "geometry": json.dumps(area),
        "auth_bearer_token": None,
        "auth_query_parameter": None,
        "fields_nested_property": "properties.eo:cloud_cover",
        "validate_pagination": True,
        "query_config": query,
        "transaction_collection": None,
        "headers": None,
        "open_assets_urls": False,  # the items are of products that there are not
        "transactions": {"token": TOKEN, "collection": OTHER},
        "items": [f"/collections/{L1C}/items/{one}" for one in ITEMS] + [f"/collections/{OTHER}/items/photo-1"],
    }
    command = [sys.executable, "-m", "tests.judges", url, json.dumps(settings)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def others(said: list[str], known: tuple[str, ...]) -> list[str]:
    return [one for one in said if not any(re.search(pattern, one) for pattern in known)]


def test_the_api_conforms_to_every_class_it_claims(said: Any) -> None:
    assert others(said["errors"], MISTAKEN) == []
    counts = [sum(bool(re.search(pattern, one)) for one in said["errors"]) for pattern in MISTAKEN]
    assert counts == [1] * len(MISTAKEN), "a mistake of the validator is gone: take it off the list"


def test_recommendations_are_those_that_are_known(said: Any) -> None:
    assert others(said["warnings"], RECOMMENDED) == []


def test_transactions_differ_from_the_validator_only_where_it_is_wrong(said: Any) -> None:
    assert others(said["transactions"], MISTAKEN_OF_WRITES) == []


def test_all_documents_are_valid_stac(said: Any) -> None:
    assert said["documents"] == []


def test_every_link_of_documents_to_the_api_answers(said: Any) -> None:
    assert said["dead"] == []


def test_nobody_needs_the_network(said: Any) -> None:
    assert said["tried"] == []


def test_the_classes_that_are_judged_are_claimed(url: str) -> None:
    import httpx  # noqa: PLC0415 - only here

    claimed = httpx.get(f"{url}/").json()["conformsTo"]
    assert set(CLASSES.values()) <= set(claimed)
    # What the validator could judge, too, if it were claimed.
    assert not [one for one in claimed if one.endswith(("/browseable", "/children"))]
