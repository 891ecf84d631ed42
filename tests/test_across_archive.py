"""Requests to an archive across the border of two zones, and in coordinates of no zone, against the legacy arrays."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import odc.geo.xr  # noqa: F401 - adds `.odc` to xarray
import pytest
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Transformer

import abut
from abut.archive import create_archive
from abut.errors import BadRequestError, MixedBaselinesWarning, NoDataError, TooLargeError
from abut.ground import ground_in
from abut.lattice import Bounds, Zone
from abut.layout import BAND, Band
from abut.window import geobox_of
from ingest.ingest import ingest
from tests.reference_warp import Reference
from tests.shots import Shot, shot_days_later

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from abut.connection import Connection

pytestmark = [
    # odc-geo 0.5 with affine 3 and shapely 2.2; nothing that we could do about.
    pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The 'shapely.ops.transform:DeprecationWarning"),
]

B01, B09 = BAND["B01"], BAND["B09"]
BORDER = Bounds(Zone(32632), 290_040, 5_083_020, 309_960, 5_103_000)
"""Around the north-west corner of 32TLR; 31TGM has data on all of it."""


def _in_west() -> Bounds:
    found = ground_in(Zone(32631), BORDER, 6_000)
    assert found is not None
    return found


HOLE = Bounds(Zone(32632), 303_000, 5_090_040, 304_800, 5_091_000)
EAST = Shot("32TLR", place=BORDER, hole=HOLE)
WEST = Shot("31TGM", place=_in_west())
ALONE = shot_days_later(3, "31TGM", place=_in_west())
LATER = shot_days_later(5, "32TLR", place=BORDER)
STEPS: tuple[tuple[Shot | None, Shot | None], ...] = ((EAST, WEST), (None, ALONE), (LATER, None))
"""What the zones 32 and 31 saw at each step."""


@dataclass(frozen=True)
class Held:
    """Pixels of one product in its zone."""

    shot: Shot

    @property
    def zone(self) -> Zone:
        return self.shot.tile.zone

    def pixels(self, band: Band, window: Bounds, _step: int = 0) -> NDArray[np.uint16]:
        whole: NDArray[np.uint16] = np.zeros(window.shape(60), np.uint16)
        seen = window.intersection(self.shot.tile.footprint)
        if seen is not None:
            whole[window.slices(seen, 60)] = self.shot.arrays[band.name][self.shot.tile.footprint.slices(seen, 60)]
        return whole


def seen(shot: Shot | None, target: GeoBox, band: Band) -> NDArray[np.uint16]:
    """What a product has on the pixels of a target, by nearest neighbour."""
    if shot is None:
        return np.zeros(target.shape.yx, np.uint16)
    return Reference(Held(shot), target, band).nearest()


@pytest.fixture(name="connection", scope="module")
def _connection(tmp_path_factory: pytest.TempPathFactory) -> Connection:
    archive = create_archive(tmp_path_factory.mktemp("across") / "archive")
    for shot in (EAST, WEST, ALONE, LATER):
        ingest(archive, shot)
    return abut.connect(archive.store.url)


def dataset(connection: Connection, **options: Any) -> xr.Dataset:
    found = connection.cube(**{"bands": "B01,B09", **options})
    assert isinstance(found, xr.Dataset)
    return found


def test_a_window_on_a_border_has_native_pixels_and_the_rest_from_the_neighbour(connection: Connection) -> None:
    found = dataset(connection, window=BORDER, resolution=60)
    target = geobox_of(BORDER, 60)
    marks = np.zeros((3, *target.shape.yx), np.uint8)
    for step, (own, other) in enumerate(STEPS):
        for band in (B01, B09):
            native = Held(own).pixels(band, BORDER) if own else np.zeros(target.shape.yx, np.uint16)
            filled = np.where(native == 0, seen(other, target, band), 0)
            assert np.array_equal(found[band.key][step], native + filled)
            marks[step] = np.where(filled > 0, 2, np.where(native > 0, np.maximum(marks[step], 1), marks[step]))
    assert np.array_equal(found.provenance, marks)
    assert {(step, mark) for step, mark in np.ndindex(3, 3) if (marks[step] == mark).any()} >= {(0, 1), (0, 2), (1, 2)}
    assert (marks[0][BORDER.slices(HOLE, 60)] == 2).all()
    assert [str(name.values) for name in found.datatake] == [EAST.slot, ALONE.slot, LATER.slot]


def test_groups_at_their_own_pixel_size_have_a_provenance_each(connection: Connection) -> None:
    tree = connection.cube(window=BORDER, bands="B01,B09")
    assert isinstance(tree, xr.DataTree)
    one = dataset(connection, window=BORDER, resolution=60)
    xr.testing.assert_equal(tree["r60m"].to_dataset().provenance, one.provenance)
    only = connection.cube(window=BORDER, bands="B01")["r60m"]
    assert (only.provenance.values[0][BORDER.slices(HOLE, 60)] == 1).all()


@pytest.mark.parametrize("method", ["nearest", "bilinear", "cubic", "average"])
def test_lazy_requests_across_zones_have_the_bytes_of_eager_ones(connection: Connection, method: str) -> None:
    place: dict[str, Any]
    for place in ({"window": BORDER, "resolution": 60}, {"geobox": EUROPE}):
        eager = dataset(connection, **place, resampling=method, reflectance=True)
        assert (eager.provenance == 2).any()
        for chunks in ({}, {"x": 160, "y": 160, "time": 2}):
            lazy = dataset(connection, **place, resampling=method, reflectance=True, chunks=chunks)
            assert lazy.b01.chunks is not None
            xr.testing.assert_identical(lazy.compute(), eager)


def test_lazy_requests_can_be_sent_to_other_machines(connection: Connection) -> None:
    for place in ({"window": BORDER, "resolution": 60}, {"geobox": EUROPE}):
        lazy = dataset(connection, **place, chunks={}, bands="B01")
        sent = pickle.loads(pickle.dumps(lazy))  # noqa: S301 - our own
        xr.testing.assert_identical(sent.compute(), lazy.compute())


def test_own_zone_alone_if_asked_for(connection: Connection) -> None:
    found = dataset(connection, window=BORDER, resolution=60, across=False)
    assert "provenance" not in found
    assert np.array_equal(found.b01[0], Held(EAST).pixels(B01, BORDER))
    assert found.sizes["time"] == 2


def test_a_window_where_only_the_neighbour_has_products_is_all_reprojected(connection: Connection) -> None:
    window = replace(BORDER, right=BORDER.left + 4_980, bottom=BORDER.top - 2_400)
    found = dataset(connection, window=window, resolution=60, datetime="2023-08-23")
    assert np.array_equal(found.b01[0], seen(WEST, geobox_of(window, 60), B01))
    assert (found.provenance == 2).all()


# Any coordinate system


def around(crs: str, size: float, pixels: int) -> GeoBox:
    x, y = Transformer.from_crs("EPSG:32632", crs, always_xy=True).transform(300_000, 5_096_000)
    left, top = (round(x / size) - pixels // 2) * size, (round(y / size) + pixels // 2) * size
    return GeoBox((pixels, pixels), Affine(size, 0, left, 0, -size, top), crs)


EUROPE = around("EPSG:3035", 100, 150)
TARGETS = {
    "Europe": EUROPE,
    "degrees": around("EPSG:4326", 0.001, 150),
    "another zone": around("EPSG:32631", 35, 200),
    "off the grid": around("EPSG:32632", 50, 200),
    "rotated": GeoBox((120, 200), around("EPSG:32632", 60, 200).transform @ Affine.rotation(20), "EPSG:32632"),
}


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_a_geobox_of_any_kind_gets_each_zone_mosaicked_then_resampled(connection: Connection, name: str) -> None:
    target = TARGETS[name]
    found = dataset(connection, geobox=target)
    for step, shots in enumerate(STEPS):
        for band in (B01, B09):
            one, other = (seen(shot, target, band) for shot in shots)  # the nearest central meridian goes first
            assert np.array_equal(found[band.key][step], np.where(one > 0, one, other))
    data = (found.b01 > 0) | (found.b09 > 0)
    assert data.any()
    assert not data.all()
    assert np.array_equal(found.provenance, np.where(data, 2, 0))
    assert found.odc.geobox == target
    assert found.b01.attrs["nodata"] == 0
    assert found.radio_add_offset.values.tolist() == [[-1000, -1000]] * 3


def test_steps_can_be_solar_days(connection: Connection) -> None:
    for place in ({"window": BORDER, "resolution": 60}, {"geobox": EUROPE}):
        found = dataset(connection, **place, group="solar_day")
        xr.testing.assert_identical(found, dataset(connection, **place))


def test_what_makes_no_sense_on_any_geobox_is_refused(connection: Connection) -> None:
    for options, message in (
        ({"masks": True}, "masks belong to the pixels of a zone"),
        ({"angles": True}, "angles belong to the pixels of a zone"),
        ({"resolution": 60}, "takes neither resolution nor across=False"),
        ({"across": False}, "takes neither resolution nor across=False"),
        ({"resampling": "lanczos"}, "resampling 'lanczos' is not one of nearest, bilinear, cubic, average"),
        ({"chunks": {"z": 5}}, "chunks of 'z': the axes are time, y and x"),
        ({"chunks": {"x": 0}}, "chunks of x: 0 is neither"),
        ({"geobox": GeoBox((5, 5), EUROPE.transform, None)}, "has no coordinate system"),
    ):
        with pytest.raises(BadRequestError, match=message):
            dataset(connection, **{"geobox": EUROPE, **options})
    with pytest.raises(NoDataError, match=r"no product in .* of EPSG:3035"):
        dataset(connection, geobox=EUROPE, datetime="2020")
    with pytest.raises(TooLargeError, match="larger pixels"):
        dataset(connection, geobox=EUROPE, limit=1000)


def test_an_unknown_method_is_refused_within_a_zone_too(connection: Connection) -> None:
    inside = Bounds(Zone(32632), 305_040, 5_090_040, 309_960, 5_091_000)
    with pytest.raises(BadRequestError, match="resampling 'lanczos'"):
        dataset(connection, window=inside, resolution=60, resampling="lanczos", across=False)


def test_zones_whose_offsets_differ_are_steps_of_their_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    archive = create_archive(tmp_path_factory.mktemp("mixed") / "archive")
    small = replace(BORDER, top=BORDER.bottom + 6_000)
    for shot in (Shot("32TLR", place=small), Shot("31TGM", place=_in_west(), offset=0)):
        ingest(archive, shot)
    with pytest.warns(MixedBaselinesWarning, match="are 2 steps"):
        found = dataset(abut.connect(archive.store.url), window=BORDER, resolution=60)
    assert found.radio_add_offset.values.tolist() == [[-1000] * found.sizes["band"], [0] * found.sizes["band"]]
    assert {int(value) for value in np.unique(found.provenance[0])} == {0, 1}
    assert {int(value) for value in np.unique(found.provenance[1])} == {0, 2}
    assert "are 2 steps" in found.attrs["notes"]
    with pytest.warns(MixedBaselinesWarning):
        lazy = dataset(abut.connect(archive.store.url), window=BORDER, resolution=60, chunks={})
    xr.testing.assert_equal(lazy.compute(), found)
