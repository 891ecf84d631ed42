"""Links of items for clients elsewhere."""

from __future__ import annotations

import copy
import warnings
from typing import TYPE_CHECKING, Any

import pystac
import pytest

from abut.layout import BANDS
from catalog import absolute
from tests.catalog_products import item

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("base", "root"),
    [
        ("/data/archive", "/data/archive"),
        ("/data/archive/", "/data/archive"),
        ("s3://bucket/some/archive", "s3://bucket/some/archive"),
        ("s3://bucket", "s3://bucket"),
        ("https://host:8080/zarr/", "https://host:8080/zarr"),
        ("file:///data/archive", "file:///data/archive"),
    ],
)
def test_relative_links_start_at_the_folder_of_the_items(base: str, root: str) -> None:
    relative = item()
    before = copy.deepcopy(relative)
    resolved = absolute(relative, base)
    store = relative["properties"]["abut:store"]
    assert resolved["assets"]["B02"]["href"] == f"{root}/products/{store}/measurements/reflectance/r10m/b02"
    assert {link["rel"]: link["href"] for link in resolved["links"]} == {
        "collection": f"{root}/collection.json",
        "cite-as": "https://doi.org/10.5270/S2_-742ikth",
    }
    assert relative == before
    assert absolute(resolved, "/elsewhere") == resolved


def test_relative_folder_is_one_of_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    href = absolute(item(), "archive")["assets"]["product"]["href"]
    assert href.startswith(f"{tmp_path.resolve().as_posix()}/archive/products/")


def test_link_that_leads_out_of_the_archive_is_refused() -> None:
    hostile = item()
    hostile["assets"]["B02"]["href"] = "../../other/secret"
    with pytest.raises(ValueError, match="leads out of the archive s3://bucket/archive"):
        absolute(hostile, "s3://bucket/archive")


def test_odc_stac_sees_thirteen_bands_on_three_grids_of_the_hull() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the packages that odc-stac imports
        from odc.stac import parse_item  # noqa: PLC0415

        record = absolute(item(), "s3://bucket/archive")
        parsed: Any = parse_item(pystac.Item.from_dict(record, migrate=False))
    assert {name for name, _ in parsed.bands} == {band.name for band in BANDS}
    for (name, _), source in parsed.bands.items():
        assert source.uri == record["assets"][name]["href"]
        assert list(source.geobox.shape) == record["assets"][name]["proj:shape"]
        assert list(source.geobox.transform)[:6] == record["assets"][name]["proj:transform"]
        assert source.geobox.crs.epsg == 32632
        assert (source.meta.data_type, source.meta.nodata) == ("uint16", 0)
