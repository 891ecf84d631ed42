"""Items of real products, where there are any at hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from shapely.geometry import Point, shape

from abut.layout import BAND
from catalog import make_item
from ingest.safe import find_granules
from tests.catalog_products import store
from tests.stac_schemas import validate

FOLDER = Path(__file__).parents[1].parent / "shared" / "data"
PRODUCTS = {
    "safe/S2A_MSIL1C_20170226T102021_N0204_R065_T32TNM_20170226T102458.SAFE": 1,
    "safe/S2A_OPER_PRD_MSIL1C_PDMC_20160905T104813_R002_V20160905T005712_20160905T010424.SAFE": 6,
    "eopf/S2B_MSIL1C_20250801T101559_N0511_R065_T33UUP_20250801T121007.SAFE": 1,
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_items_of_real_products_are_valid(name: str) -> None:
    if not (FOLDER / name).is_dir():
        pytest.skip(f"no {FOLDER / name}")
    granules = find_granules(FOLDER / name)
    assert len(granules) == PRODUCTS[name]
    for granule in granules:
        made = make_item(granule.metadata, store(granule.metadata))
        validate(made)
        record = made.to_dict(transform_hrefs=False)
        assert [asset for asset in record["assets"] if asset.startswith("B")] == list(BAND)
        for band in made.properties["abut:digests"]["bands"]:
            width = record["assets"][band]["bands"][0]["eo:full_width_half_max"]
            assert 0.01 < width < 0.2  # micrometres, of every band of the instrument


def test_item_of_tile_33uup_covers_salzburg_and_not_linz() -> None:
    name = "eopf/S2B_MSIL1C_20250801T101559_N0511_R065_T33UUP_20250801T121007.SAFE"
    if not (FOLDER / name).is_dir():
        pytest.skip(f"no {FOLDER / name}")
    (granule,) = find_granules(FOLDER / name)
    made = make_item(granule.metadata, store(granule.metadata))
    assert shape(made.geometry).contains(Point(13.055, 47.800))
    assert not shape(made.geometry).contains(Point(14.286, 48.306))
