"""The viewer in a real browser, at the service of a real archive: what a user sees and gets."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest
import xarray as xr
from PIL import Image
from playwright.sync_api import expect
from pyproj import Transformer

from abut.lattice import Bounds
from abut.layout import BAND
from tests.viewer.browser import PHONE, visiting
from tests.viewer.dates import HOME, views

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from playwright.sync_api import Browser, Page

    from tests.viewer.browser import Visit

PLACE = (12.0, 52.26)
"""A place that tiles of both dates see."""


@pytest.fixture
def visit(browser: Browser, base: str) -> Iterator[Visit]:
    """A page, which must complain of nothing and ask nobody else for anything."""
    with visiting(browser, base, accept_downloads=True) as found:
        yield found
        assert found.complaints == []
        assert found.elsewhere() == []


def dn(lon: float, lat: float, band: str, date: int) -> int:
    """What the archive must have at a place, worked out from the products' own pixels."""
    x, y = Transformer.from_crs(4326, HOME.epsg, always_xy=True).transform(lon, lat)
    size = BAND[band].resolution
    left, bottom = int(x // size) * size, int(y // size) * size
    pixel = Bounds(HOME, left, bottom, left + size, bottom + size)
    (view,) = (one for one in views() if one.tile_id == "32UPC" and one.number == date)
    return int(view.dn(BAND[band], pixel)[0, 0])


def map_of(page: Page) -> NDArray[np.int16]:
    """The map as it is seen, (y, x, 3)."""
    with Image.open(io.BytesIO(page.locator("#map").screenshot())) as image:
        return np.asarray(image.convert("RGB")).astype(np.int16)


def white(pixels: NDArray[np.int16]) -> int:
    """How many pixels are those of thick clouds."""
    return int((pixels > 250).all(axis=2).sum())


def test_a_search_shows_products_by_day_and_heeds_the_cloud_limit(visit: Visit) -> None:
    page = visit.page
    visit.open()
    expect(page.locator(".summary")).to_have_text("5 products")
    expect(page.locator(".day h3")).to_contain_text(["26 Feb 2017", "16 Feb 2017"])
    expect(page.locator(".product .name strong")).to_have_text(["32UQC", "32UPC", "33UUU", "32UQC", "32UPC"])
    preview = page.locator(".product img.preview").first
    expect(preview).to_have_js_property("complete", value=True)
    assert preview.evaluate("image => image.naturalWidth") > 10
    page.locator("#cloud").fill("20")
    expect(page.locator(".day h3")).to_contain_text(["16 Feb 2017"])
    assert "cloud=20" in page.url


def test_a_swipe_compares_two_dates_by_mouse_and_by_keys(visit: Visit) -> None:
    page = visit.page
    visit.open()
    page.get_by_role("button", name="Show all of 16 Feb 2017").click()
    page.get_by_role("button", name="Compare all of 26 Feb 2017").click()
    slider = page.get_by_role("slider", name="Where the left picture ends")
    expect(slider).to_have_value("50")
    slider.fill("100")
    visit.settle()
    clear = white(map_of(page))
    slider.fill("0")
    visit.settle()
    cloudy = white(map_of(page))
    assert cloudy > clear + 5_000  # the second date has clouds, the first has none
    slider.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") == "1 % left picture, 99 % right picture"
    assert "swipe=0.01" in page.url
    page.keyboard.press("Escape")
    expect(slider).to_be_hidden()


def test_a_click_tells_the_values_of_the_pixel_at_all_dates(visit: Visit) -> None:
    page = visit.page
    visit.open(f"#at={PLACE[0]},{PLACE[1]},12&left=2017-02-16")
    visit.settle()
    box = page.locator("#map").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2 + 31, box["y"] + box["height"] / 2 + 17)
    rows = page.locator(".pixel tbody tr")
    expect(rows).to_have_count(2)
    lon, lat = (float(page.locator(f"#{name}").input_value()) for name in ("lon", "lat"))
    assert 0 < abs(lon - PLACE[0]) < 0.02
    heads = page.locator(".pixel thead th").all_inner_texts()
    for date, row in enumerate(rows.all()):
        cells = row.locator("th, td").all_inner_texts()
        found = {band: cells[heads.index(band)] for band in ("B02", "B8A", "B09")}
        assert found == {band: f"{dn(lon, lat, band, date) / 10_000:.4f}" for band in found}
    expect(page.locator("svg.plot")).to_have_count(2)
    page.locator("#quantity").select_option("B08")
    expect(page.locator("svg.plot").last).to_have_attribute("aria-label", re.compile("^B08 through time"))


def test_a_buffered_tile_is_explained_downloaded_and_loaded_in_python(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    visit.open("#tab=cube&left=2017-02-16&bands=B01")
    expect(page.locator(".cost")).to_contain_text("Choose a tile")
    box = page.locator("#map").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 40, box["y"] + box["height"] - 120)  # south-west of what all tiles share
    expect(page.locator("#tile")).to_have_value("32UPC")
    page.locator("#tile").fill("")
    expect(page.locator(".cost")).to_contain_text("Choose a tile")
    page.locator("#tile").fill("32upc")
    page.locator("#buffer").fill("10")
    expect(page.locator(".cost table")).to_contain_text("Bytes")
    west, _, east, _ = (float(one) for one in seen_by(page))
    assert west < 10.45  # the map has moved to the tile with what lies around it
    assert east > 12.2
    with page.expect_download() as waiting:
        page.locator("#download").click()
    path = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(path)
    with xr.open_datatree(path, engine="h5netcdf") as cube:
        assert_cube(cube)
    names: dict[str, Any] = {}
    code = page.locator("pre").inner_text()
    assert "buffer=10000" in code
    exec(code, names)  # noqa: S102 - what users are told to run
    assert_cube(names["cube"])


def seen_by(page: Page) -> list[str]:
    """The box that the map shows, in degrees."""
    page.wait_for_timeout(600)
    page.get_by_role("button", name="The view").click()
    found = [page.locator(f"#{name}").input_value() for name in ("west", "south", "east", "north")]
    page.locator("#tile").fill("32UPC")
    expect(page.locator("#west")).to_have_value("")
    return found


def assert_cube(cube: Any) -> None:
    """Assert that it is the tile with 10 km around it, at the first date."""
    pixels = cube["r60m"]["b01"]
    assert pixels.sizes == {"time": 1, "y": 2164, "x": 2164}
    x, y = Transformer.from_crs(4326, HOME.epsg, always_xy=True).transform(*PLACE)
    assert int(pixels.sel(x=x, y=y, method="nearest").squeeze()) == dn(*PLACE, "B01", 0)


def test_a_large_cube_is_said_to_be_a_job(browser: Browser, base: str) -> None:
    with visiting(browser, base) as visit:
        visit.open("#tab=cube&left=2017-02-16&bands=B02&tile=32UPC")
        visit.page.locator("#download").click()
        expect(visit.page.locator(".loading [role=alert]")).to_contain_text("limit")
        request = visit.page.get_by_label("Request of the job").inner_text()
        assert f"{base}/cubes/processes/cube/execution" in request
        assert '"tile":"32UPC"' in request


def test_the_overlap_that_is_not_stored_is_shown_with_its_total(visit: Visit, base: str) -> None:
    page = visit.page
    visit.open("#tab=picture&left=2017-02-16&show=")
    visit.settle()
    before = map_of(page)
    page.locator("#show-overlap").check()
    told = page.locator("#overlap-total").inner_text()
    visit.settle()
    box = "11.5,51.9,12.6,52.6"
    asked = {"bbox": box, "datetime": "2017-02-16"}
    total = httpx.get(f"{base}/tiles/lattice/overlap", params=asked).json()["released"]
    assert told.startswith(f"{total['km2']:.0f} km²")
    assert (map_of(page) != before).any(axis=2).mean() > 0.02


def test_a_box_is_drawn_with_two_clicks(visit: Visit) -> None:
    page = visit.page
    visit.open("#tab=cube&left=2017-02-16")
    visit.settle()
    page.locator("#draw").click()
    box = page.locator("#map").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 300, box["y"] + 300)
    page.mouse.move(box["x"] + 350, box["y"] + 340, steps=3)
    page.mouse.click(box["x"] + 400, box["y"] + 380)
    expect(page.locator("#west")).not_to_have_value("")
    west, south, east, north = (
        float(page.locator(f"#{name}").input_value()) for name in ("west", "south", "east", "north")
    )
    assert west < east
    assert south < north
    expect(page.get_by_role("tab", name="Cube")).to_have_attribute("aria-selected", "true")
    expect(page.locator(".cost table")).to_contain_text("Products")


def test_an_address_shows_what_was_shared(visit: Visit) -> None:
    page = visit.page
    visit.open("#at=12.01,52.25,11.5&left=2017-02-16&right=2017-02-26&right-render=ndvi&swipe=0.3&tab=picture&cloud=40")
    expect(page.get_by_role("tab", name="Picture")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#left-what")).to_have_value("2017-02-16")
    expect(page.locator("#right-render")).to_have_value("ndvi")
    expect(page.locator("#swipe")).to_have_value("30")
    expect(page.locator("#cloud")).to_have_value("40")
    expect(page.locator("#page-picture .legend").last).to_contain_text("NDVI")
    visit.settle()
    assert "at=12.01,52.25,11.5" in page.url


@pytest.mark.parametrize(
    "nonsense",
    [
        "#left=<img src=x onerror=alert(1)>&at=a,b,c&tab=%22",
        "#%%%&right=../../x&swipe=9&cloud=many&box=1,2&bands=,,B99",
    ],
    ids=["markup", "garbage"],
)
def test_nonsense_in_the_address_does_nothing(visit: Visit, nonsense: str) -> None:
    visit.page.on("dialog", lambda dialog: visit.complaints.append(dialog.message))
    visit.open(nonsense)
    expect(visit.page.locator(".summary")).to_have_text("5 products")
    assert visit.page.locator("img[src=x]").count() == 0


def test_what_finds_nothing_says_so_and_helps(visit: Visit) -> None:
    page = visit.page
    visit.open("#from=1999-01-01&to=1999-12-31")
    expect(page.locator(".results .empty")).to_contain_text("widen the period")
    page.get_by_role("button", name="Search everything").click()
    expect(page.locator(".summary")).to_have_text("5 products")


def test_a_search_that_fails_says_so_and_can_be_repeated(browser: Browser, base: str) -> None:
    with visiting(browser, base) as visit:
        visit.page.route("**/stac/search*", lambda route: route.abort())
        visit.open()
        expect(visit.page.get_by_role("alert")).to_contain_text("The service does not answer")
        visit.page.unroute("**/stac/search*")
        visit.page.get_by_role("button", name="Try again").click()
        expect(visit.page.locator(".summary")).to_have_text("5 products")


def test_all_is_reached_by_keys(visit: Visit) -> None:
    page = visit.page
    visit.open(f"#at={PLACE[0] - 0.044},{PLACE[1]},12")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="To the map")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#map")).to_be_focused()
    page.locator("#skip").focus()
    page.keyboard.press("Tab")
    expect(page.get_by_role("tab", name="Products")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Picture")).to_be_focused()
    page.locator("#compare").press("Space")
    expect(page.locator("#swipe")).to_be_focused()
    page.locator("#map").focus()
    before = page.url
    page.keyboard.press("ArrowRight")
    visit.settle()
    assert page.url != before  # the map has moved
    page.keyboard.press("Enter")
    expect(page.get_by_role("tab", name="Pixel")).to_have_attribute("aria-selected", "true")
    expect(page.locator(".pixel tbody tr")).to_have_count(2)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_usable_on_a_phone(browser: Browser, base: str, scheme: str) -> None:
    with visiting(browser, base, PHONE, color_scheme=scheme, has_touch=True, reduced_motion="reduce") as visit:
        page = visit.page
        visit.open("#left=2017-02-16&right=2017-02-26")
        for tab in ("Products", "Picture", "Pixel", "Cube"):
            page.get_by_role("tab", name=tab).tap()
            assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
            assert page.locator("#sheet").evaluate("sheet => sheet.scrollWidth <= sheet.clientWidth")
        box = page.locator("#map").bounding_box()
        assert box is not None
        assert box["height"] > 250
        small = page.locator("button:visible").evaluate_all(
            "all => all.filter(one => one.getBoundingClientRect().height < 30).map(one => one.textContent)"
        )
        assert small == []
        assert visit.complaints == []
