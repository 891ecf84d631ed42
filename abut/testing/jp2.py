"""JPEG 2000 images encoded like ESA's, at the cost of the pixels that hold data.

Reversible 5-3 wavelet, one layer, LRCP, the block sizes and bit depth of the real products, a GML header for the
georeference. The blocks ("tiles" of JPEG 2000) of an image are coded apart from each other, so blocks that are all
zero are coded once per process and reused; where a block's side is a power of two its code does not depend on its
place either, and blocks are coded one by one and put together. The codestream is byte for byte what OpenJPEG makes
of the whole image.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Final

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.io import MemoryFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from abut.lattice import Bounds

    type Pixels = NDArray[np.uint16] | NDArray[np.uint8]
    """An image, (bands, rows, columns); 15 of 16 bits used."""

    type Depth = type[np.uint16 | np.uint8]
    """Type of its pixels."""

    type Read = Callable[[slice, slice], Pixels | None]
    """Rows and columns of a block -> its pixels (bands, rows, columns), or None where all are zero."""

_SOC_SIZ: Final = b"\xff\x4f\xff\x51"
_SOT: Final = b"\xff\x90"
_EOC: Final = b"\xff\xd9"
_GREY, _RGB = 17, 16


def write_jp2(path: Path, pixels: Pixels, bounds: Bounds, block: int) -> None:
    """Write an image as JP2.

    Parameters
    ----------
    path : Path
        Where to.
    pixels : array of uint16 (15 bits used) or uint8, shape (rows, columns) or (bands, rows, columns)
        The image.
    bounds : Bounds
        Its ground.
    block : int
        Side of the codestream's blocks in pixels.

    Raises
    ------
    ValueError
        If a value needs more than 15 bits.
    """
    cube = pixels[np.newaxis] if pixels.ndim == 2 else pixels

    def read(rows: slice, columns: slice) -> Pixels | None:
        part = cube[:, rows, columns]
        return part if part.any() else None

    write_blocks(path, cube.shape, cube.dtype.type, read, bounds=bounds, block=block)


def write_blocks(path: Path, shape: tuple[int, ...], dtype: Depth, read: Read, *, bounds: Bounds, block: int) -> None:
    """Write an image of (bands, rows, columns) as JP2, asking for its blocks one by one."""
    encode = _encode_apart if block & (block - 1) == 0 else _encode_whole
    path.write_bytes(_boxes(shape, dtype, bounds) + encode(shape, dtype, read, block))


def _blocks(shape: tuple[int, ...], block: int) -> Iterator[tuple[slice, slice]]:
    _, rows, columns = shape
    for row, column in product(range(0, rows, block), range(0, columns, block)):
        yield slice(row, min(row + block, rows)), slice(column, min(column + block, columns))


def _encode_apart(shape: tuple[int, ...], dtype: Depth, read: Read, block: int) -> bytes:
    bands, rows, columns = shape
    header, parts = b"", []
    for index, (down, right) in enumerate(_blocks(shape, block)):
        pixels = read(down, right)
        size = (bands, down.stop - down.start, right.stop - right.start)
        stream = _zeros(size, block, wide=dtype is np.uint16) if pixels is None else _encode(pixels, block)
        start = stream.index(_SOT)
        header = header or _resized(stream[:start], rows, columns, block)
        part = stream[start : -len(_EOC)]
        parts.append(part[:4] + index.to_bytes(2, "big") + part[6:])
    return b"".join([header, *parts, _EOC])


def _resized(header: bytes, rows: int, columns: int, block: int) -> bytes:
    # SIZ: marker, length and capabilities (2 bytes each), then the sizes of the image and of the blocks.
    sizes = [columns, rows, 0, 0, block, block]
    return header[:8] + b"".join(size.to_bytes(4, "big") for size in sizes) + header[32:]


def _encode_whole(shape: tuple[int, ...], dtype: Depth, read: Read, block: int) -> bytes:
    image = _blank(shape, wide=dtype is np.uint16)
    for rows, columns in _blocks(shape, block):
        pixels = read(rows, columns)
        if pixels is not None:
            image[:, rows, columns] = pixels
    return _encode(image, block)


@cache
def _zeros(shape: tuple[int, int, int], block: int, *, wide: bool) -> bytes:
    return _encode(_blank(shape, wide=wide), block)


def _blank(shape: tuple[int, ...], *, wide: bool) -> Pixels:
    return np.zeros(shape, dtype=np.uint16) if wide else np.zeros(shape, dtype=np.uint8)


def _encode(pixels: Pixels, block: int) -> bytes:
    bands, rows, columns = pixels.shape
    resolutions = 6 if block == 2048 else 5
    options = {
        "driver": "JP2OpenJPEG",
        "CODEC": "J2K",
        "REVERSIBLE": "YES",
        "QUALITY": "100",
        "YCC": "NO",
        "PROGRESSION": "LRCP",
        "RESOLUTIONS": resolutions,
        "PRECINCTS": ",".join(["{256,256}"] * resolutions),
        "BLOCKXSIZE": block,
        "BLOCKYSIZE": block,
    }
    if pixels.dtype == np.uint16:
        if int(pixels.max()) >= 1 << 15:
            raise ValueError(f"a pixel of {int(pixels.max())} needs more than the 15 bits of a band image")
        options["NBITS"] = 15
    # Some transform, or rasterio warns; the one that counts is in the box around the codestream.
    size = {"width": columns, "height": rows, "count": bands, "dtype": pixels.dtype.name}
    with MemoryFile() as plain, MemoryFile(ext=".j2k") as coded:
        with plain.open(driver="GTiff", transform=rasterio.Affine.scale(2), **size) as target:
            target.write(pixels)
        with plain.open() as source:
            rasterio.shutil.copy(source, coded.name, **options)
        return bytes(coded.getbuffer())


def _box(kind: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + kind + content


def _boxes(shape: tuple[int, ...], dtype: Depth, bounds: Bounds) -> bytes:
    bands, rows, columns = shape
    bits = 15 if dtype is np.uint16 else 8
    image = rows.to_bytes(4, "big") + columns.to_bytes(4, "big") + bands.to_bytes(2, "big") + bytes([bits - 1, 7, 0, 0])
    colour = bytes([1, 0, 0]) + (_GREY if bands == 1 else _RGB).to_bytes(4, "big")
    gml = _box(b"lbl ", b"gml.root-instance") + _box(b"xml ", _gml(rows, columns, bounds).encode())
    return b"".join(
        [
            _box(b"jP  ", b"\r\n\x87\n"),
            _box(b"ftyp", b"jp2 " + bytes(4) + b"jp2 "),
            _box(b"jp2h", _box(b"ihdr", image) + _box(b"colr", colour)),
            _box(b"asoc", _box(b"lbl ", b"gml.data") + _box(b"asoc", gml)),
            bytes(4) + b"jp2c",  # length 0: up to the end of the file
        ]
    )


def _gml(rows: int, columns: int, bounds: Bounds) -> str:
    crs = f"urn:ogc:def:crs:EPSG::{bounds.zone.epsg}"
    # The previews' 343 px of 320 m end 40 m short of the tile, so the pixel size is rounded down to whole metres.
    dx, dy = bounds.width // columns, bounds.height // rows
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="no" ?>
<gml:FeatureCollection xmlns:gml="http://www.opengis.net/gml" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" \
xsi:schemaLocation="http://www.opengeospatial.net/gml \
http://schemas.opengis.net/gml/3.1.1/profiles/gmlJP2Profile/1.0.0/gmlJP2Profile.xsd">
  <gml:boundedBy>
    <gml:Null>withheld</gml:Null>
  </gml:boundedBy>
  <gml:featureMember>
    <gml:FeatureCollection>
      <gml:featureMember>
        <gml:RectifiedGridCoverage dimension="2" gml:id="RGC0001">
          <gml:rectifiedGridDomain>
            <gml:RectifiedGrid dimension="2">
              <gml:limits>
                <gml:GridEnvelope>
                  <gml:low>1 1</gml:low>
                  <gml:high>{columns} {rows}</gml:high>
                </gml:GridEnvelope>
              </gml:limits>
              <gml:axisName>x</gml:axisName>
              <gml:axisName>y</gml:axisName>
              <gml:origin>
                <gml:Point gml:id="P0001" srsName="{crs}">
                  <gml:pos>{bounds.left + dx // 2} {bounds.top - dy // 2}</gml:pos>
                </gml:Point>
              </gml:origin>
              <gml:offsetVector srsName="{crs}">{dx} 0</gml:offsetVector>
              <gml:offsetVector srsName="{crs}">0 -{dy}</gml:offsetVector>
            </gml:RectifiedGrid>
          </gml:rectifiedGridDomain>
          <gml:rangeSet>
            <gml:File>
              <gml:fileName>gmljp2://codestream/0</gml:fileName>
              <gml:fileStructure>Record Interleaved</gml:fileStructure>
            </gml:File>
          </gml:rangeSet>
        </gml:RectifiedGridCoverage>
      </gml:featureMember>
    </gml:FeatureCollection>
  </gml:featureMember>
</gml:FeatureCollection>
"""
