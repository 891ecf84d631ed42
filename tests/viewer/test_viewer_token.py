"""The viewer at a service where reading needs a token: it asks for it, shows everything, and lets nobody else know."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.serving import Served, serving, wait_until_ready
from tests.viewer.browser import chromium, visiting
from tests.viewer.dates import make_archive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

TOKEN = "a-token-for-the-viewer"  # noqa: S105 - of a service that lives as long as the test


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    chromium()  # nothing is made where nobody can look at it
    make_archive(folder := tmp_path_factory.mktemp("closed") / "archive", dates=1)
    with serving(str(folder), read="token", read_tokens=TOKEN) as made:
        wait_until_ready(made.url)
        yield made


def test_the_page_asks_for_a_token_and_then_shows_products_and_pictures(browser: Browser, served: Served) -> None:
    with visiting(browser, served.url) as visit:
        page = visit.page
        page.goto(f"{served.url}/")
        field = page.get_by_role("textbox", name="Token")
        expect(page.get_by_role("heading", name="This archive needs a token")).to_be_visible()
        field.fill("a-token-that-is-wrong")
        field.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("token not accepted")
        field.fill(TOKEN)
        field.press("Enter")
        page.locator(".results[aria-busy=false]").wait_for(state="attached")
        expect(page.get_by_role("dialog")).to_have_count(0)
        image = page.locator("img.preview").first
        expect(image).to_be_visible()
        page.wait_for_function("document.querySelector('img.preview').naturalWidth > 0")
        visit.settle()
        tiles = [url for url in visit.requests if "/tiles/WebMercatorQuad/" in url]
        assert tiles

        page.reload()  # the tab knows it
        page.locator(".results[aria-busy=false]").wait_for(state="attached")
        expect(page.get_by_role("dialog")).to_have_count(0)
        assert not any(TOKEN in url for url in visit.requests)
        assert TOKEN not in page.content()
        assert all("401" in one for one in visit.complaints)  # the browser's own word for what was refused at first
        assert visit.elsewhere() == []
    assert TOKEN not in "".join(map(str, served.log()))


def test_another_tab_is_asked_again(browser: Browser, served: Served) -> None:
    with visiting(browser, served.url) as visit:
        visit.page.goto(f"{served.url}/")
        expect(visit.page.get_by_role("textbox", name="Token")).to_be_visible()
        visit.page.keyboard.press("Escape")
        expect(visit.page.get_by_text("needs a bearer token").first).to_be_visible()
