"""The pictures that the collection describes, drawn by a stock titiler application from an item of an archive."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fastapi import FastAPI
from PIL import Image
from rio_tiler.colormap import cmap
from rio_tiler.io import STACReader
from starlette.testclient import TestClient
from titiler.core.factory import MultiBaseTilerFactory

from abut.lattice import Bounds
from abut.layout import BAND
from catalog import absolute, make_collection
from tests.neighbours import SEAM, SHARED, Neighbours

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from abut.archive import Archive

pytestmark = [
    # rio-tiler on arrays without overviews in GDAL's sense, and on items without statistics.
    pytest.mark.filterwarnings("ignore:The dataset has no Overviews"),
    pytest.mark.filterwarnings("ignore:Some statistics data in STAC are invalid"),
    # Where a pixel has no data, a ratio has no value.
    pytest.mark.filterwarnings("ignore:invalid value encountered"),
    pytest.mark.filterwarnings("ignore:divide by zero"),
]

RENDERS = {
    name: render
    for name, render in make_collection().to_dict()["renders"].items()
    if set(render.get("abut:layers", render["assets"])) <= BAND.keys()
}
"""The pictures of bands alone; stock titiler knows neither the arrays of the flags nor provenance."""
PLACE = Bounds(SHARED.zone, SHARED.left, SEAM.bottom, SHARED.right, SEAM.top)
"""Ground of both tiles, through which the swath goes."""


class _Reader(STACReader):
    """STACReader that knows the type of the band arrays, as it must be told to."""

    def __init__(self, place: str, **options: Any) -> None:
        super().__init__(place, include_asset_types={"application/x-zarr"}, **options)


@pytest.fixture(scope="module")
def drawn(old_archive: Archive, neighbours: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Draw a picture of the western product, with the parameters that titiler makes of a render object."""
    item = json.loads(old_archive.store.get(f"products/{neighbours[0].stem}.json"))
    path = tmp_path_factory.mktemp("renders") / "item.json"
    path.write_text(json.dumps(absolute(item, old_archive.store.url)))
    app = FastAPI()
    app.include_router(MultiBaseTilerFactory(reader=_Reader).router)
    client = TestClient(app)

    def draw(render: dict[str, Any], size: int) -> NDArray[np.uint8]:
        box = f"{PLACE.left},{PLACE.bottom},{PLACE.right},{PLACE.top}"
        rows, columns = PLACE.shape(size)
        fields = {name: value for name, value in render.items() if name != "title"}
        fields["rescale"] = [",".join(map(str, pair)) for pair in render["rescale"]]
        answer = client.get(
            f"/bbox/{box}/{columns}x{rows}.png",
            params={"url": str(path), "coord_crs": "EPSG:32632", "dst_crs": "EPSG:32632", **fields},
        )
        assert answer.status_code == 200, answer.text
        with Image.open(io.BytesIO(answer.content)) as image:
            return np.asarray(image.convert("RGBA"))

    return draw


@pytest.fixture(scope="module")
def seen(old_archive: Archive, neighbours: tuple[Path, Path]) -> Neighbours:
    return Neighbours(old_archive, neighbours)


def resolution(render: dict[str, Any]) -> int:
    return max(BAND[name].resolution for name in render["assets"])


def stretched(values: NDArray[Any], shown: list[float]) -> NDArray[np.int16]:
    low, high = shown
    made: NDArray[np.int16] = ((np.clip(values, low, high) - low) / (high - low) * 255).astype(np.int16)
    return made


def test_each_picture_is_drawn(drawn: Any) -> None:
    colours = {}
    for name, render in RENDERS.items():
        picture = drawn(render, 60)
        assert picture[..., 3].any()
        assert not picture[..., 3].all(), "ground without data is transparent"
        colours[name] = len(np.unique(picture[picture[..., 3] > 0][:, :3], axis=0))
    assert min(colours.values()) > 1, colours


def test_true_colour_is_what_the_safe_has(drawn: Any, seen: Neighbours) -> None:
    render = RENDERS["true-colour"]
    picture = drawn(render, 10)
    bands = [seen.ground(band, PLACE) for band in render["assets"]]
    valid = np.any([dn > 0 for dn in bands], axis=0)  # rio-tiler shows what any of the bands sees
    assert valid.any()
    assert np.array_equal(picture[..., 3] > 0, valid)
    for channel, dn in enumerate(bands):
        expected = stretched(dn / 10_000, render["rescale"][channel])  # baseline 02.04 has no offset
        assert np.abs(picture[..., channel].astype(np.int16) - expected)[valid].max() <= 1


@pytest.mark.parametrize(("name", "size"), [("ndvi", 10), ("cirrus", 60)])
def test_indices_are_of_reflectance(drawn: Any, seen: Neighbours, name: str, size: int) -> None:
    render = RENDERS[name]
    assert resolution(render) == size
    first, *rest = (seen.ground(band, PLACE) / 10_000 for band in render["assets"])
    valid = np.all([values > 0 for values in (first, *rest)], axis=0)
    values = np.where(valid, (first - rest[0]) / np.where(valid, first + rest[0], 1), 0) if rest else first
    level = stretched(values, render["rescale"][0])
    picture = drawn(render, size)
    assert np.array_equal(picture[..., 3] > 0, valid)
    table = np.array([cmap.get(render["colormap_name"])[i][:3] if rest else (i, i, i) for i in range(256)])
    near = [np.abs(table[np.clip(level + step, 0, 255)] - picture[..., :3]).sum(axis=-1) for step in (-1, 0, 1)]
    assert np.min(near, axis=0)[valid].max() == 0
