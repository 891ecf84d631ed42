"""Where the SAFE of an item lies: CDSE's, Abut's and others' items, and those that have none."""

from __future__ import annotations

from itertools import repeat
from typing import Any

import pytest

from abut.errors import SourceError
from ingest.remote import search
from ingest.remote.address import Address
from ingest.remote.items import product_of, safe_of

NAME = "S2A_MSIL1C_20240101T100421_N0510_R122_T32TMT_20240101T105522"
EODATA = f"s3://eodata/Sentinel-2/MSI/L1C_N0500/2024/01/01/{NAME}.SAFE"
DOWNLOAD = "https://download.dataspace.copernicus.eu/odata/v1/Products(0a1b)/$value"
API = "https://stac.dataspace.copernicus.eu/v1"


def item(name: str = NAME, properties: dict[str, Any] | None = None, **assets: Any) -> dict[str, Any]:
    return {"id": name, "properties": properties or {}, "assets": assets, "links": []}


CDSE = item(
    B01={"href": f"{EODATA}/GRANULE/L1C_T32TMT/IMG_DATA/T32TMT_B01.jp2", "type": "image/jp2"},
    Product={"href": DOWNLOAD, "type": "application/zip", "alternate": {"s3": {"href": EODATA}}},
    thumbnail={"href": f"https://datahub.creodias.eu/{NAME}-ql.jpg", "type": "image/jpeg"},
)
EARTH_SEARCH = item(
    "S2A_32TMT_20240101_0_L1C",
    {"s2:product_uri": f"{NAME}.SAFE"},
    blue={"href": "s3://sentinel-s2-l1c/tiles/32/T/MT/2024/1/1/0/B02.jp2", "type": "image/jp2"},
    granule_metadata={"href": "https://roda.sentinel-hub.com/tiles/32/T/MT/2024/1/1/0/metadata.xml"},
)


@pytest.mark.parametrize(("buckets", "place"), [(True, EODATA), (False, DOWNLOAD)])
def test_items_of_cdse_lead_to_the_bucket_if_it_can_be_read_else_to_the_zip(buckets: bool, place: str) -> None:
    assert safe_of(CDSE, API, buckets=buckets) == Address(place, NAME)


@pytest.mark.parametrize(
    ("found", "place"),
    [
        (item(manifest={"href": f"{EODATA}/manifest.safe"}), EODATA),
        (item(safe={"href": f"s3://bucket/{NAME}.zip"}), f"s3://bucket/{NAME}.zip"),
        (item(data={"href": f"https://host/{NAME}.SAFE.zip"}), f"https://host/{NAME}.SAFE.zip"),
        (item(data={"href": "https://host/x", "type": "application/zip; charset=x"}), "https://host/x"),
        (item(safe={"href": "../files/a"}), "https://stac.dataspace.copernicus.eu/files/a"),
        (item() | {"links": [{"rel": "enclosure", "href": "https://host/b"}]}, "https://host/b"),
    ],
)
def test_whole_products_are_known_by_key_type_or_name(found: dict[str, Any], place: str) -> None:
    assert safe_of(found, API, buckets=False) == Address(place, NAME)


def test_items_of_abut_lead_to_the_safe_that_is_made_anew() -> None:
    own = item(properties={"abut:store": f"{NAME}.1.zarr"}, zarr={"href": "https://host/zarr/x"})
    assert safe_of(own, "https://host/l1c/stac/", buckets=True) == Address(
        f"https://host/l1c/legacy/{NAME}?format=safe", NAME
    )


def test_images_in_a_bucket_are_no_safe() -> None:
    with pytest.raises(SourceError, match=r"S2A_32TMT_20240101_0_L1C: has no SAFE; .* s3://sentinel-s2-l1c/tiles/"):
        safe_of(EARTH_SEARCH, API, buckets=True)
    assert product_of(EARTH_SEARCH) == NAME


@pytest.mark.parametrize(
    ("href", "said"),
    [
        ("http://host/x.zip", "plain HTTP"),
        ("https://host/x.zip?X-Amz-Signature=secret1", "has a secret in it"),
        ("https://user:secret1@host/x.zip", "user or password"),
        ("file:///etc/passwd.zip", "has no SAFE"),
        ("https://[host/x.zip", "not a URL"),
    ],
)
def test_hrefs_that_may_not_be_followed_are_refused(href: str, said: str) -> None:
    with pytest.raises(SourceError, match=said) as caught:
        safe_of(item(safe={"href": href}), API, buckets=False)
    assert "secret1" not in str(caught.value)


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"id": 7, "assets": [1], "links": {}, "properties": 5},
        {"id": NAME, "assets": {"safe": {"href": 5, "alternate": 3}}, "links": [3, {"rel": 5}]},
    ],
)
def test_odd_items_have_no_safe(odd: dict[str, Any]) -> None:
    with pytest.raises(SourceError, match="has no SAFE"):
        safe_of(odd, API, buckets=True)


@pytest.mark.parametrize("name", ["../../x", "S2A_x/../y", "LC08", "S2A_" + "x" * 300])
def test_only_names_of_products_are_looked_up(name: str) -> None:
    assert not product_of(item(name, {"s2:product_uri": name}))


def test_clouds_are_looked_at_here_too(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [item(f"S2A_{cover}", {"eo:cloud_cover": cover}, **CDSE["assets"]) for cover in (0, 20, 20.5, None, "7")]
    monkeypatch.setattr(search, "_items", lambda _: iter(found))
    wanted = search.Wanted(API, max_cloud=20, ids=("S2A_0", "S2A_None"))
    assert [(one.id, bool(one.error)) for one in search.search(wanted)] == [
        ("S2A_0", False),
        ("S2A_20", False),
        ("S2A_None", True),
    ]


def test_an_api_whose_pages_never_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_items", lambda _: repeat(CDSE))
    with pytest.raises(SourceError, match="the same items again and again"):
        list(search.search(search.Wanted(API)))
