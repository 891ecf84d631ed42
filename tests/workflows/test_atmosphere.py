"""The terms of 6S between the nodes of the table, against runs of 6S that did not go into it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final, TypedDict, Unpack

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workflows.scenes import noise
from workflows import atmosphere as module
from workflows import make_coefficients as maker
from workflows.adjacency import RADIUS, Atmosphere, adjacency
from workflows.atmosphere import BANDS, atmosphere
from workflows.environment import share_within
from workflows.errors import WorkflowError
from workflows.indices import NODATA
from workflows.scene import Box

COEFFICIENTS = Path(module.__file__).with_name("coefficients.json")
TABLE = json.loads(COEFFICIENTS.read_text())


class Sky(TypedDict, total=False):
    satellite: str
    sun_zenith: float
    view_zenith: float
    relative_azimuth: float
    optical_thickness: float
    aerosol: str


CLEAR: Final = Sky(
    satellite="A",
    sun_zenith=35,
    view_zenith=5,
    relative_azimuth=90,
    optical_thickness=0.2,
    aerosol="continental",
)

# fmt: off
LEFT_OUT = [
    ("A", "B02", "maritime", 20, 6, 90, 0.6, (0.10435, 0.98405, 0.86129, 0.87041, 0.2173, 0.25691)),
    ("B", "B12", "maritime", 20, 6, 90, 0.6, (0.0132, 0.90298, 0.93463, 0.93965, 0.06469, 0.17261)),
    ("B", "B8A", "maritime", 20, 6, 90, 0.6, (0.0438, 0.99737, 0.93664, 0.94232, 0.126, 0.2243)),
    ("A", "B02", "continental", 20, 10, 10, 0.6, (0.10652, 0.98397, 0.78143, 0.79241, 0.2009, 0.23176)),
    ("B", "B12", "continental", 20, 10, 10, 0.6, (0.00383, 0.90263, 0.95192, 0.95436, 0.0205, 0.16813)),
    ("B", "B8A", "continental", 20, 10, 10, 0.6, (0.03168, 0.99737, 0.89684, 0.90309, 0.09472, 0.19629)),
    ("B", "B02", "maritime", 20, 10, 180, 0.6, (0.10033, 0.98413, 0.8611, 0.86868, 0.21751, 0.25265)),
    ("A", "B12", "maritime", 20, 10, 180, 0.6, (0.01183, 0.90301, 0.93406, 0.93827, 0.06382, 0.17102)),
    ("A", "B8A", "maritime", 20, 10, 180, 0.6, (0.04104, 0.99774, 0.93667, 0.9414, 0.12594, 0.22145)),
    ("A", "B02", "maritime", 20, 11, 45, 0.5, (0.10276, 0.98394, 0.87157, 0.878, 0.20417, 0.25809)),
    ("B", "B12", "maritime", 20, 11, 45, 0.5, (0.01211, 0.90252, 0.94567, 0.94891, 0.05683, 0.17476)),
    ("B", "B8A", "maritime", 20, 11, 45, 0.5, (0.0414, 0.99736, 0.94592, 0.94967, 0.11148, 0.22457)),
    ("B", "B02", "maritime", 20, 12, 0, 0.6, (0.11829, 0.98408, 0.8611, 0.8676, 0.21751, 0.27011)),
    ("A", "B12", "maritime", 20, 12, 0, 0.6, (0.01293, 0.90279, 0.93406, 0.93768, 0.06382, 0.17187)),
    ("A", "B8A", "maritime", 20, 12, 0, 0.6, (0.05005, 0.99773, 0.93667, 0.94073, 0.12594, 0.23029)),
    ("A", "B02", "maritime", 25, 6, 0, 0.5, (0.10114, 0.98375, 0.866, 0.87986, 0.20417, 0.2558)),
    ("B", "B12", "maritime", 25, 6, 0, 0.5, (0.01172, 0.90164, 0.9428, 0.94983, 0.05683, 0.17391)),
    ("B", "B8A", "maritime", 25, 6, 0, 0.5, (0.03977, 0.99732, 0.9426, 0.95074, 0.11148, 0.22252)),
    ("B", "B02", "continental", 27, 3, 20, 0.1, (0.06885, 0.9838, 0.89317, 0.90487, 0.14155, 0.23137)),
    ("A", "B12", "continental", 27, 3, 20, 0.1, (0.00069, 0.90154, 0.99127, 0.99231, 0.00452, 0.17815)),
    ("A", "B8A", "continental", 27, 3, 20, 0.1, (0.0096, 0.9977, 0.97443, 0.9779, 0.03354, 0.20097)),
    ("B", "B02", "maritime", 28, 8, 90, 0.6, (0.10682, 0.98366, 0.85045, 0.86955, 0.21751, 0.25716)),
    ("A", "B12", "maritime", 28, 8, 90, 0.6, (0.01265, 0.90091, 0.92799, 0.93873, 0.06382, 0.1704)),
    ("A", "B8A", "maritime", 28, 8, 90, 0.6, (0.04403, 0.99768, 0.92983, 0.94193, 0.12594, 0.22319)),
    ("A", "B02", "maritime", 30, 3, 150, 0.6, (0.10321, 0.98339, 0.84721, 0.87104, 0.2173, 0.25322)),
    ("B", "B12", "maritime", 30, 3, 150, 0.6, (0.01262, 0.90007, 0.92657, 0.93998, 0.06469, 0.1702)),
    ("B", "B8A", "maritime", 30, 3, 150, 0.6, (0.0414, 0.99727, 0.92753, 0.94271, 0.126, 0.2202)),
    ("B", "B02", "maritime", 30, 12, 20, 0.6, (0.11558, 0.9834, 0.84701, 0.8676, 0.21751, 0.26476)),
    ("A", "B12", "maritime", 30, 12, 20, 0.6, (0.0145, 0.89976, 0.92598, 0.93768, 0.06382, 0.17133)),
    ("A", "B8A", "maritime", 30, 12, 20, 0.6, (0.04919, 0.99764, 0.92756, 0.94073, 0.12594, 0.22769)),
    ("A", "B02", "maritime", 43, 10.5, 70, 0.3, (0.08563, 0.98166, 0.85787, 0.89739, 0.17547, 0.24068)),
    ("B", "B12", "maritime", 43, 10.5, 70, 0.3, (0.00677, 0.89263, 0.9533, 0.96953, 0.03875, 0.17234)),
    ("B", "B8A", "maritime", 43, 10.5, 70, 0.3, (0.02243, 0.997, 0.94697, 0.96703, 0.07889, 0.2079)),
    ("B", "B02", "maritime", 43, 12, 0, 0.6, (0.12601, 0.98179, 0.81432, 0.8676, 0.21751, 0.26873)),
    ("A", "B12", "maritime", 43, 12, 0, 0.6, (0.01523, 0.89288, 0.90562, 0.93768, 0.06382, 0.16721)),
    ("A", "B8A", "maritime", 43, 12, 0, 0.6, (0.05192, 0.99743, 0.90495, 0.94073, 0.12594, 0.22602)),
    ("B", "B02", "maritime", 47, 8, 0, 0.6, (0.11669, 0.98116, 0.7995, 0.86955, 0.21751, 0.2571)),
    ("A", "B12", "maritime", 47, 8, 0, 0.6, (0.01469, 0.89016, 0.89564, 0.93873, 0.06382, 0.16471)),
    ("A", "B8A", "maritime", 47, 8, 0, 0.6, (0.04495, 0.99734, 0.89408, 0.94193, 0.12594, 0.21712)),
    ("B", "B02", "continental", 55, 9, 220, 0.3, (0.09436, 0.97905, 0.75376, 0.85936, 0.16989, 0.22365)),
    ("A", "B12", "continental", 55, 9, 220, 0.3, (0.0025, 0.88164, 0.958, 0.97746, 0.01177, 0.16769)),
    ("A", "B8A", "continental", 55, 9, 220, 0.3, (0.02123, 0.99704, 0.89454, 0.94827, 0.06214, 0.19245)),
    ("A", "B02", "maritime", 55, 12, 0, 0.6, (0.13021, 0.97877, 0.76021, 0.86779, 0.2173, 0.26242)),
    ("B", "B12", "maritime", 55, 12, 0, 0.6, (0.01718, 0.88091, 0.86735, 0.93823, 0.06469, 0.16039)),
    ("B", "B8A", "maritime", 55, 12, 0, 0.6, (0.04937, 0.99653, 0.86321, 0.9407, 0.126, 0.21522)),
    ("B", "B02", "continental", 64, 7, 130, 0.5, (0.13437, 0.97507, 0.60584, 0.81594, 0.19185, 0.23126)),
    ("A", "B12", "continental", 64, 7, 130, 0.5, (0.00529, 0.86651, 0.90545, 0.96297, 0.01767, 0.1562)),
    ("A", "B8A", "continental", 64, 7, 130, 0.5, (0.04167, 0.99651, 0.7807, 0.919, 0.08488, 0.18698)),
    ("A", "B02", "maritime", 72, 5, 165, 0.1, (0.10648, 0.96769, 0.75462, 0.91744, 0.14242, 0.24088)),
    ("B", "B12", "maritime", 72, 5, 165, 0.1, (0.00498, 0.84184, 0.94224, 0.98988, 0.01572, 0.16172)),
    ("B", "B8A", "maritime", 72, 5, 165, 0.1, (0.02031, 0.99489, 0.91825, 0.98417, 0.03963, 0.20144)),
    ("B", "B02", "continental", 72, 10, 90, 0.12, (0.1174, 0.96792, 0.70592, 0.89906, 0.14475, 0.2401)),
    ("A", "B12", "continental", 72, 10, 90, 0.12, (0.00204, 0.84201, 0.96365, 0.99071, 0.00533, 0.16266)),
    ("A", "B8A", "continental", 72, 10, 90, 0.12, (0.02179, 0.99559, 0.89387, 0.97458, 0.03683, 0.19645)),
]
# fmt: on
"""Spectra of 6S at no node, by the filters of Py6S: satellite, band, aerosol, sun zenith, view zenith, relative
azimuth, optical thickness; path reflectance, transmittances of gases, down and up, spherical albedo; reflectance at the
sensor of ground of 0.2."""
ONE_GEOMETRY = {
    "B01": (0.814, 0.616, 0.230, 0.198, 0.105, 0.171, 0.43, 0.82),
    "B02": (0.857, 0.684, 0.200, 0.156, 0.072, 0.157, 0.47, 0.84),
    "B03": (0.894, 0.749, 0.167, 0.116, 0.044, 0.139, 0.50, 0.87),
    "B04": (0.926, 0.811, 0.132, 0.081, 0.022, 0.117, 0.54, 0.90),
    "B05": (0.934, 0.827, 0.122, 0.073, 0.018, 0.109, 0.56, 0.91),
    "B06": (0.939, 0.840, 0.113, 0.066, 0.014, 0.103, 0.56, 0.92),
    "B07": (0.945, 0.853, 0.104, 0.059, 0.011, 0.096, 0.57, 0.92),
    "B08": (0.949, 0.865, 0.096, 0.053, 0.009, 0.089, 0.58, 0.93),
    "B8A": (0.953, 0.873, 0.090, 0.049, 0.008, 0.084, 0.58, 0.93),
    "B11": (0.979, 0.944, 0.040, 0.016, 0.001, 0.039, 0.62, 0.96),
    "B12": (0.981, 0.955, 0.030, 0.008, 0.000, 0.030, 0.62, 0.96),
}
"""6S' own runs for the bands of S2A, continental aerosol of 0.2, sun 35, view 5: transmittances down, up direct and
diffuse, spherical albedo, diffuse transmittances of molecules and of aerosols; shares of the environment within 1 and
9.6 km."""


def terms(band: str, **other: Unpack[Sky]) -> Atmosphere:
    sky: Sky = {**CLEAR, **other}
    return atmosphere(band, **sky)


def ground_of(air: Atmosphere, seen: float) -> float:
    """Return the reflectance of ground that is the same all around, by the inverse."""
    first = (seen / air.gases - air.path) / (air.down * (air.direct + air.diffuse))
    return first / (1 + air.albedo * first)


type Row = tuple[str, str, str, float, float, float, float, tuple[float, ...]]


def between(row: Row) -> Atmosphere:
    satellite, band, aerosol, sun, view, azimuth, thickness, _ = row
    return terms(
        band,
        satellite=satellite,
        sun_zenith=sun,
        view_zenith=view,
        relative_azimuth=azimuth,
        optical_thickness=thickness,
        aerosol=aerosol,
    )


@pytest.mark.parametrize("row", LEFT_OUT, ids=lambda row: "-".join(map(str, row[:-1])))
def test_between_the_nodes_ground_comes_out_as_from_6s(row: Row) -> None:
    """To 0.0013, and to 0.003 where the sun is high and maritime aerosol sends its light straight back."""
    air, (path, gases, down, up, albedo, seen) = between(row), row[-1]
    limit = 0.0013 if row[3] >= 27 else 0.003
    assert ground_of(air, seen) == pytest.approx(0.2, abs=limit)
    assert air.path == pytest.approx(path, abs=limit)
    found = air.gases, air.down, air.direct + air.diffuse, air.albedo
    assert found == pytest.approx((gases, down, up, albedo), abs=1.2e-3)


@pytest.mark.parametrize("band", BANDS)
def test_scattering_is_that_of_6s_for_the_band_itself(band: str) -> None:
    """To 0.0025: 6S moves a filter to its own grid of 2.5 nm, by up to 1.25 nm."""
    air = terms(band)
    found = (air.down, air.direct, air.diffuse, air.albedo, air.molecules, air.aerosols)
    near, far = share_within(np.array([1, 9.6]), air.molecules, air.aerosols)
    assert found == pytest.approx(ONE_GEOMETRY[band][:6], abs=2.5e-3)
    assert (near, far) == pytest.approx(ONE_GEOMETRY[band][6:], abs=8e-3)


@pytest.mark.parametrize("satellite", sorted(TABLE["satellites"]))
@pytest.mark.parametrize("aerosol", ["continental", "maritime"])
def test_the_nodes_of_the_table_come_back(satellite: str, aerosol: str) -> None:
    for band in BANDS:
        stored = TABLE["satellites"][satellite][band][aerosol]
        for v, (zenith, azimuth) in enumerate(TABLE["views"]):
            for s, sun in enumerate(TABLE["sun_zenith"]):
                for t, thickness in enumerate(TABLE["optical_thickness"]):
                    air = terms(
                        band,
                        satellite=satellite,
                        aerosol=aerosol,
                        sun_zenith=sun,
                        view_zenith=zenith,
                        relative_azimuth=azimuth,
                        optical_thickness=thickness,
                    )
                    assert air.path == pytest.approx(stored["path"][v][s][t], abs=1e-9)
                    assert air.gases == pytest.approx(stored["gases"][min(v, 1)][s], abs=1e-9)
                    assert air.down == pytest.approx(stored["down"][s][t], abs=1e-9)
                    assert air.direct + air.diffuse == pytest.approx(stored["up"][min(v, 1)][t], abs=1e-9)
                    assert air.albedo == pytest.approx(stored["albedo"][t], abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    band=st.sampled_from(BANDS),
    satellite=st.sampled_from("AB"),
    aerosol=st.sampled_from(["continental", "maritime"]),
    sun=st.floats(20, 75),
    view=st.floats(0, 12),
    azimuth=st.floats(-360, 360),
    thickness=st.floats(0.05, 0.54),
)
def test_more_aerosol_scatters_more(
    *, band: str, satellite: str, aerosol: str, sun: float, view: float, azimuth: float, thickness: float
) -> None:
    thin, thick = (
        terms(
            band,
            satellite=satellite,
            aerosol=aerosol,
            sun_zenith=sun,
            view_zenith=view,
            relative_azimuth=azimuth,
            optical_thickness=value,
        )
        for value in (thickness, thickness + 0.05)
    )
    assert thick.path > thin.path
    assert thick.direct < thin.direct
    assert thick.diffuse > thin.diffuse
    assert thick.down < thin.down
    assert thick.albedo > thin.albedo
    assert thick.aerosols > thin.aerosols
    for air in (thin, thick):
        assert 0 < air.direct + air.diffuse < 1
        assert air.diffuse < air.molecules + air.aerosols + 0.01


@pytest.mark.parametrize("satellite", ["A", "B"])
def test_blue_is_scattered_more_than_infrared(satellite: str) -> None:
    order = [
        terms(band, satellite=satellite) for band in ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B8A", "B11")
    ]
    for name in ("path", "albedo", "molecules", "diffuse"):
        values = [getattr(air, name) for air in order]
        assert values == sorted(values, reverse=True)


def test_the_sun_behind_the_sensor_and_azimuths_all_around() -> None:
    behind, across, against = (terms("B02", relative_azimuth=azimuth).path for azimuth in (0, 90, 180))
    assert behind > across > against
    assert terms("B02", relative_azimuth=-70) == terms("B02", relative_azimuth=70)
    assert terms("B02", relative_azimuth=290).path == pytest.approx(terms("B02", relative_azimuth=70).path, abs=1e-12)
    straight = [terms("B02", view_zenith=0, relative_azimuth=azimuth) for azimuth in (0, 100)]
    assert straight[0] == straight[1]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (Sky(sun_zenith=19.9), r"sun zenith is 19.9; the table .* from 20 to 75"),
        (Sky(sun_zenith=float("nan")), "sun zenith is nan"),
        (Sky(view_zenith=12.5), r"view zenith is 12.5; .* from 0 to 12"),
        (Sky(relative_azimuth=400), "relative azimuth is 400"),
        (Sky(optical_thickness=0.01), r"optical thickness is 0.01; .* from 0.05 to 0.6"),
        (Sky(aerosol="urban"), "aerosol 'urban', only for continental, maritime"),
        (Sky(satellite="C"), r"satellite 'C', only for A, B: add them with .*make_coefficients --product"),
    ],
    ids=["sun", "nan", "view", "azimuth", "thickness", "aerosol", "satellite"],
)
def test_what_the_table_does_not_have_is_refused(other: Sky, message: str) -> None:
    with pytest.raises(WorkflowError, match=message):
        terms("B02", **other)


@pytest.mark.parametrize("band", ["B09", "B10"])
def test_bands_of_water_vapour_are_refused(band: str) -> None:
    with pytest.raises(WorkflowError, match=f"band '{band}', only for B01, "):
        terms(band)


@pytest.mark.parametrize("band", BANDS)
def test_every_band_can_be_corrected(band: str) -> None:
    core = Box(600_000, -1_200, 600_600, -600)
    scene = noise((band,), core.grown(RADIUS))
    found = adjacency(scene.cut(scene.box, core), band, terms(band)).reflectance
    assert (found != NODATA).mean() > 0.9
    assert np.unique(found).size > 50


def test_the_table_is_small_and_says_where_it_is_from() -> None:
    assert COEFFICIENTS.stat().st_size < 200_000
    assert TABLE["source"].startswith("6SV 1.1")
    assert tuple(TABLE["sun_zenith"]) == maker.SUN
    assert tuple(maker.BANDS) == BANDS


@pytest.fixture
def spectra() -> dict[str, np.ndarray]:
    """Spectra as of 6S, of terms that are straight lines of wavelength, and optical depths that are powers of it."""
    wavelength = np.linspace(0.4, 2.4, 801)

    def line(slope: float) -> np.ndarray:
        return np.broadcast_to(0.9 - slope * wavelength, (2, 4, 8, 4, 801))

    nodes = np.geomspace(0.4, 2.4, 19)
    powers = np.broadcast_to(0.01 * nodes**-4, (2, 4, 19))
    return {
        "wavelength": wavelength,
        "nodes": nodes,
        **{
            name: line(slope)
            for name, slope in {
                "path": 0.1,
                "gases": 0.02,
                "down": 0.03,
                "up": 0.04,
                "albedo": 0.05,
                "irradiance": 0,
            }.items()
        },
        "tau_molecules": powers,
        "tau_aerosols": powers,
        "up_molecules": 1 - powers / 2,
        "up_aerosols": 1 - powers / 2,
    }


def test_a_symmetric_response_takes_the_terms_of_its_centre(spectra: dict[str, np.ndarray]) -> None:
    places = np.linspace(0.640, 0.690, 51)
    response = np.exp(-(((places - 0.665) / 0.008) ** 2))
    made = maker.terms_from_response(spectra, places, response)["maritime"]
    assert np.array(made["path"]).shape == (4, 8, 4)
    assert np.array(made["path"]).max() == pytest.approx((0.9 - 0.1 * 0.665) / (0.9 - 0.02 * 0.665), abs=2e-5)
    assert np.array(made["up"]).min() == pytest.approx(0.9 - 0.04 * 0.665, abs=1e-4)
    assert made["tau_molecules"] == pytest.approx(0.01 * 0.665**-4, rel=0.01)
    louder = maker.terms_from_response(spectra, places, response * 8)["maritime"]  # a power of two: the same bits
    assert louder == made


def test_responses_are_read_from_the_metadata_of_a_product(tmp_path: Path) -> None:
    path = tmp_path / "MTD_MSIL1C.xml"
    path.write_text(
        "<P><SPACECRAFT_NAME>Sentinel-2C</SPACECRAFT_NAME><Spectral_Information_List>"
        + "".join(
            f'<Spectral_Information physicalBand="{name}"><Wavelength><MIN unit="nm">{least}</MIN></Wavelength>'
            f'<Spectral_Response><STEP unit="nm">1</STEP><VALUES>0.1 1 0.5</VALUES></Spectral_Response>'
            "</Spectral_Information>"
            for name, least in (("B1", 411), ("B8A", 848))
        )
        + "</Spectral_Information_List></P>"
    )
    satellite, responses = maker.responses_of_product(path)
    assert satellite == "C"
    assert sorted(responses) == ["B01", "B8A"]
    assert responses["B8A"][0].tolist() == [0.848, 0.849, 0.85]
    assert responses["B01"][1].tolist() == [0.1, 1, 0.5]
