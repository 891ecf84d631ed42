"""Masks of baselines before 04.00, which are GML, in the form of the newer ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from abut.errors import InvalidSafeError
from abut.layout import BAND, QUALITY_BITS
from ingest.images import QUALITY_TYPES, classification, quality_strips
from ingest.safe import find_granules
from tests import safe_builder as build
from tests.whole_masks import whole_footprint

if TYPE_CHECKING:
    from pathlib import Path

    from ingest.granule import Granule

LEFT, TOP, SIDE = 300_000, 6_100_020, 1830
B01 = BAND["B01"]
OLD_MASKS: build.Masks = {
    ("MSK_DETFOO", "B01"): build.mask("MSK_DETFOO", "B01", "gml"),
    ("MSK_DEFECT", "B01"): build.mask("MSK_DEFECT", "B01", "gml"),
    ("MSK_SATURA", "B01"): build.mask("MSK_SATURA", "B01", "gml"),
    ("MSK_NODATA", "B01"): build.mask("MSK_NODATA", "B01", "gml"),
    ("MSK_TECQUA", "B01"): build.mask("MSK_TECQUA", "B01", "gml"),
    ("MSK_CLOUDS", None): build.mask("MSK_CLOUDS", "B00", "gml"),
}


def area(left: int, bottom: int, right: int, top: int) -> str:
    """A rectangle in pixels of 60 m from the upper left corner."""
    return build.box(LEFT + 60 * left, TOP - 60 * bottom, LEFT + 60 * right, TOP - 60 * top)


def old_granule(folder: Path, changes: dict[tuple[str, str | None], bytes]) -> Granule:
    files = {path: build.gml() for path in OLD_MASKS.values()}
    files |= {OLD_MASKS[key]: data for key, data in changes.items()}
    (granule,) = find_granules(build.write(build.with_manifest(build.compact(OLD_MASKS) | files), folder))
    return granule


def test_lowest_detector_stays_where_old_footprints_overlap(tmp_path: Path) -> None:
    mask = build.gml(
        ("detector_footprint-B01-09-0", "DETECTOR_FOOTPRINT", area(0, SIDE, 100, 0)),
        ("detector_footprint-B01-11-2", "DETECTOR_FOOTPRINT", area(190, SIDE, 300, 0)),
        ("detector_footprint-B01-10-1", "DETECTOR_FOOTPRINT", area(90, SIDE, 200, 0)),
    )
    found = whole_footprint(old_granule(tmp_path, {("MSK_DETFOO", "B01"): mask}), B01)
    expected = np.zeros(SIDE, int)
    expected[:100], expected[100:200], expected[200:300] = 9, 10, 11
    assert found is not None
    np.testing.assert_array_equal(found, np.broadcast_to(expected, found.shape))


@pytest.mark.parametrize("feature", ["detector_footprint-B02-09-0", "detector_footprint-B01-13-0", "x", ""])
def test_footprint_of_no_detector_of_the_band_is_refused(tmp_path: Path, feature: str) -> None:
    mask = build.gml((feature, "DETECTOR_FOOTPRINT", area(0, 9, 9, 0)))
    granule = old_granule(tmp_path, {("MSK_DETFOO", "B01"): mask})
    with pytest.raises(InvalidSafeError, match=rf"MSK_DETFOO_B01.gml: '{feature}' is no detector of band B01"):
        whole_footprint(granule, B01)


def test_old_quality_masks_become_the_bits_of_the_new_one(tmp_path: Path) -> None:
    kinds = {
        "MSK_TECQUA": ("ANC_LOST", "ANC_DEG", "MSI_LOST", "MSI_DEG"),
        "MSK_DEFECT": ("QT_DEFECTIVE_PIXELS",),
        "MSK_NODATA": ("QT_NODATA_PIXELS", "QT_PARTIALLY_CORRECTED_PIXELS"),
        "MSK_SATURA": ("QT_SATURATED_PIXELS_L1A", "QT_SATURATED_PIXELS_L1B"),
    }
    # Each type has a column of its own, in the order of the bits, and all share one area across the strips.
    column = {name: 10 * bit for bit, name in enumerate(name for names in kinds.values() for name in names)}
    changes: dict[tuple[str, str | None], bytes] = {}
    for kind, names in kinds.items():
        own = [(name, name, area(column[name], SIDE, column[name] + 9, 0)) for name in names]
        shared = [(f"{name}.1", name, area(500, 900, 600, 150)) for name in names]
        changes[kind, "B01"] = build.gml(*own, *shared)
    strips = quality_strips(old_granule(tmp_path, changes), B01)
    assert strips is not None
    packed = np.concatenate(list(strips))
    assert packed.shape == (SIDE, SIDE)
    for bit in range(8):
        assert (packed[:, 10 * bit : 10 * bit + 9] == 1 << bit).all()
    assert not packed[:, 80:500].any(), "saturation at Level-1B has no bit"
    assert (packed[150:900, 500:600] == 255).all()
    assert not packed[900:, 500:].any()


def test_types_of_old_masks_mean_what_the_planes_of_the_new_one_mean() -> None:
    plain = {kind.removesuffix("_PIXELS").replace("_PIXELS", ""): bit for kind, bit in QUALITY_TYPES.items()}
    for bit, name in enumerate(QUALITY_BITS):
        assert plain.get(name, plain.get(f"QT_{name}")) == bit


def test_old_masks_without_members_are_empty(tmp_path: Path) -> None:
    granule = old_granule(tmp_path, {})
    strips, detectors, classes = quality_strips(granule, B01), whole_footprint(granule, B01), classification(granule)
    assert strips is not None
    assert detectors is not None
    assert classes is not None
    assert not np.concatenate(list(strips)).any()
    assert not detectors.any()
    assert not classes.any()


def test_old_clouds_become_bits(tmp_path: Path) -> None:
    clouds = build.gml(("OPAQUE.0", "OPAQUE", area(0, 20, 20, 0)), ("CIRRUS.0", "CIRRUS", area(10, 30, 30, 10)))
    found = classification(old_granule(tmp_path, {("MSK_CLOUDS", None): clouds}))
    assert found is not None
    assert np.bincount(found.ravel()).tolist() == [SIDE * SIDE - 700, 300, 300, 100]
    assert (found[10:20, 10:20] == 3).all()


@pytest.mark.parametrize(
    ("kind", "band_name"), [("MSK_CLOUDS", None), ("MSK_TECQUA", "B01"), ("MSK_DEFECT", "B01"), ("MSK_SATURA", "B01")]
)
def test_unknown_type_of_an_old_mask_is_refused(tmp_path: Path, kind: str, band_name: str | None) -> None:
    granule = old_granule(tmp_path, {(kind, band_name): build.gml(("x", "HAZE", area(0, 9, 9, 0)))})
    with pytest.raises(InvalidSafeError, match=rf"{kind}_B0\d.gml: maskType 'HAZE' is unknown"):
        classification(granule) if band_name is None else quality_strips(granule, B01)
