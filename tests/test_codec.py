"""Block encodings equal those of Zarr's own pipeline."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import MemoryStore

from abut.codec import PROFILES, decode_block, encode_block, zarr_codecs

blocks = arrays.arrays("<u2", (16, 16), elements=st.integers(0, 65_535))


def zarr_bytes(block: Any, profile: str) -> bytes:
    store = MemoryStore()
    array = zarr.create_array(
        store=store, name="a", shape=block.shape, chunks=block.shape, dtype="uint16", **zarr_codecs(profile),
        config={"write_empty_chunks": True},
    )  # fmt: skip
    array[:] = block
    found = sync(store.get("a/c/0/0", default_buffer_prototype()))
    assert found is not None
    return bytes(found.to_bytes())


@pytest.mark.parametrize("profile", PROFILES)
@settings(max_examples=30, deadline=None)
@given(block=blocks)
def test_a_block_is_encoded_as_zarr_does_and_decodes_to_itself(profile: str, block: Any) -> None:
    data = encode_block(block, profile)
    assert data == zarr_bytes(block, profile)
    assert np.array_equal(decode_block(data, 16, profile), block)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("damage", ["cut", "other size", "noise"])
def test_bytes_that_are_no_block_are_refused(profile: str, damage: str) -> None:
    data = encode_block(np.arange(256, dtype="<u2").reshape(16, 16), profile)
    pixels = 17 if damage == "other size" else 16
    broken = {"cut": data[: len(data) // 2], "other size": data, "noise": b"\x00" * 64}[damage]
    with pytest.raises(ValueError, match=f"not a block of {pixels} x {pixels} pixels"):
        decode_block(broken, pixels, profile)


def test_an_unknown_profile_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'tiny'"):
        encode_block(np.zeros((2, 2), "<u2"), "tiny")
