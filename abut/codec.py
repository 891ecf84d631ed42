"""Blocks to bytes and back: the chunk encodings of the band arrays.

The bytes are those of Zarr's own codec pipeline for the array (a test compares them), so any Zarr client reads them;
encoding here saves the pipeline's copies and lets the writer see each object's size.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numcodecs import Blosc

from abut import meter

if TYPE_CHECKING:
    from numpy.typing import NDArray

DTYPE: Final = np.dtype("<u2")
"""Band arrays are little-endian unsigned 16-bit DN."""

PROFILES: Final = ("default", "dense")
"""``default``: blosc (zstd 3, shuffle), read by every client. ``dense``: pcodec, smaller, Python clients only."""

_BLOSC: Final = Blosc(cname="zstd", clevel=3, shuffle=Blosc.SHUFFLE)
_PCODEC_LEVEL: Final = 8
_lock = threading.Lock()


def encode_block(block: NDArray[np.uint16], profile: str = "default") -> bytes:
    """Encode one block of a band.

    Parameters
    ----------
    block : ndarray of uint16, shape (n, n)
        DN, row 0 in the north, C order.
    profile : str
        One of `PROFILES`.

    Raises
    ------
    ValueError
        If the profile is not known.
    """
    data = np.ascontiguousarray(block, DTYPE)
    return bytes(_pcodec().encode(data)) if _is_dense(profile) else bytes(_BLOSC.encode(data))


def decode_block(data: bytes, pixels: int, profile: str = "default") -> NDArray[np.uint16]:
    """Decode one block of `pixels` x `pixels` DN.

    Raises
    ------
    ValueError
        If the bytes are not an encoded block of this size.
    """
    try:
        with meter.decoding("block"):
            flat = np.frombuffer(_pcodec().decode(data) if _is_dense(profile) else _BLOSC.decode(data), DTYPE)
            return flat.reshape(pixels, pixels)
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"not a block of {pixels} x {pixels} pixels: {error}") from error


def decode_mask(data: bytes, pixels: int) -> NDArray[np.uint8]:
    """Decode one chunk of `pixels` x `pixels` of a mask; masks are blosc in every profile.

    Raises
    ------
    ValueError
        If the bytes are not an encoded chunk of this size.
    """
    try:
        with meter.decoding("mask"):
            return np.frombuffer(_BLOSC.decode(data), np.uint8).reshape(pixels, pixels)
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"not a mask of {pixels} x {pixels} pixels: {error}") from error


def zarr_codecs(profile: str = "default") -> dict[str, Any]:
    """Return the keyword arguments of `zarr.create_array` that declare a profile's encoding."""
    if _is_dense(profile):
        from zarr.codecs.numcodecs import PCodec  # noqa: PLC0415 - an extra

        return {"serializer": PCodec(level=_PCODEC_LEVEL), "compressors": None}
    from zarr.codecs import BloscCodec  # noqa: PLC0415 - zarr is slow to import

    return {"compressors": BloscCodec(typesize=2, cname="zstd", clevel=3, shuffle="shuffle")}


def zarr_codecs_for(dtype: np.dtype[Any]) -> dict[str, Any]:
    """Return how arrays other than bands are declared: blosc (zstd 3, shuffle), in every profile."""
    from zarr.codecs import BloscCodec  # noqa: PLC0415 - zarr is slow to import

    return {"compressors": BloscCodec(typesize=dtype.itemsize, cname="zstd", clevel=3, shuffle="shuffle")}


def encode_values(values: NDArray[Any]) -> bytes:
    """Encode a chunk of an array that is declared by `zarr_codecs_for`; little-endian, C order."""
    return bytes(_BLOSC.encode(np.ascontiguousarray(values, values.dtype.newbyteorder("<"))))


def _is_dense(profile: str) -> bool:
    if profile not in PROFILES:
        raise ValueError(f"profile {profile!r} is not one of {', '.join(PROFILES)}")
    return profile == "dense"


def _pcodec() -> Any:
    with _lock:  # the first import from several threads at once
        from numcodecs.pcodec import PCodec  # noqa: PLC0415 - an extra
    return PCodec(level=_PCODEC_LEVEL)
