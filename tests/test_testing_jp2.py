"""Images of made-up products are real JPEG 2000, encoded as ESA's are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio

from abut.lattice import Bounds, Zone
from abut.testing.jp2 import _encode, write_blocks, write_jp2

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def ground(rows: int, columns: int, resolution: int) -> Bounds:
    return Bounds(Zone(32753), 600_000, 6_100_000 - rows * resolution, 600_000 + columns * resolution, 6_100_000)


def patchy(shape: tuple[int, ...], dtype: type[np.uint16 | np.uint8], top: int) -> NDArray[Any]:
    """Random pixels in one part, zero elsewhere."""
    image = np.zeros(shape, dtype=dtype)
    rows, columns = shape[-2:]
    part = (..., slice(0, rows // 2), slice(columns // 3, columns // 2))
    image[part] = np.random.default_rng(0).integers(0, top, image[part].shape, dtype=dtype)
    return image


def codestream(path: Path) -> bytes:
    content = path.read_bytes()
    return content[content.index(b"jp2c") + 4 :]


@pytest.mark.parametrize(("bands", "dtype", "top"), [(1, np.uint16, 1 << 15), (3, np.uint8, 255), (8, np.uint8, 2)])
def test_blocks_coded_apart_make_the_codestream_of_the_whole(
    tmp_path: Path, bands: int, dtype: type[np.uint16 | np.uint8], top: int
) -> None:
    image = patchy((bands, 700, 900), dtype, top)
    write_jp2(tmp_path / "x.jp2", image, ground(700, 900, 10), 256)
    assert codestream(tmp_path / "x.jp2") == _encode(image, 256)
    with rasterio.open(tmp_path / "x.jp2") as read:
        assert np.array_equal(read.read(), image)


def test_blocks_of_other_sides_are_coded_as_a_whole(tmp_path: Path) -> None:
    image = patchy((500, 700), np.uint16, 1 << 15)
    write_jp2(tmp_path / "x.jp2", image, ground(500, 700, 60), 192)
    with rasterio.open(tmp_path / "x.jp2") as read:
        assert read.block_shapes == [(192, 192)]
        assert np.array_equal(read.read(1), image)


def test_coding_is_reversible_with_one_layer_five_resolutions_and_15_bits(tmp_path: Path) -> None:
    write_jp2(tmp_path / "x.jp2", patchy((700, 900), np.uint16, 9_000), ground(700, 900, 10), 256)
    stream = codestream(tmp_path / "x.jp2")
    size = stream[stream.index(b"\xff\x51") + 2 :]
    assert size[38] == 15 - 1
    style = stream[stream.index(b"\xff\x52") + 4 :]
    progression, layers, levels, wavelet = style[1], int.from_bytes(style[2:4], "big"), style[5], style[9]
    assert (progression, layers, levels + 1, wavelet) == (0, 1, 5, 1)
    with rasterio.open(tmp_path / "x.jp2") as read:
        assert read.tags(ns="IMAGE_STRUCTURE")["COMPRESSION_REVERSIBILITY"] == "LOSSLESS"


def test_the_georeference_is_in_the_gml_header(tmp_path: Path) -> None:
    bounds = ground(343, 343, 320)
    write_jp2(tmp_path / "x.jp2", patchy((3, 343, 343), np.uint8, 255), bounds, 343)
    with rasterio.open(tmp_path / "x.jp2") as read:
        assert read.crs.to_epsg() == 32753
        assert tuple(read.transform)[:6] == (320, 0, 600_000, 0, -320, 6_100_000)
    assert b"urn:ogc:def:crs:EPSG::32753" in (tmp_path / "x.jp2").read_bytes()


def test_blocks_that_are_said_to_be_empty_are_not_asked_for(tmp_path: Path) -> None:
    asked = []

    def read(rows: slice, columns: slice) -> None:
        asked.append((rows.start, columns.start))

    write_blocks(tmp_path / "x.jp2", (1, 300, 500), np.uint8, read, bounds=ground(300, 500, 10), block=256)
    assert asked == [(0, 0), (0, 256), (256, 0), (256, 256)]
    with rasterio.open(tmp_path / "x.jp2") as image:
        assert image.shape == (300, 500)
        assert not image.read().any()


def test_more_than_15_bits_are_refused(tmp_path: Path) -> None:
    image = np.full((60, 60), 1 << 15, dtype=np.uint16)
    with pytest.raises(ValueError, match="32768 needs more than the 15 bits"):
        write_jp2(tmp_path / "x.jp2", image, ground(60, 60, 10), 192)
