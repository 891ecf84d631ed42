"""A real browser for tests and for the documentation's pictures."""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect, sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, ConsoleMessage, Page, Request

DESKTOP = (1280, 800)
PHONE = (375, 740)
PATIENCE = 30_000
"""Milliseconds that anything may take."""
expect.set_options(timeout=PATIENCE)


def chromium() -> str:
    """Path of the system's Chromium; skips where there is none, unless a browser is required."""
    found = shutil.which("chromium")
    if found is None:
        if os.environ.get("ABUT_REQUIRE_BROWSER"):
            pytest.fail("ABUT_REQUIRE_BROWSER is set, but there is no chromium")
        pytest.skip("chromium is not installed")
    return found


@contextlib.contextmanager
def running() -> Iterator[Browser]:
    """A browser until the end of the block."""
    path = chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Visit:
    """A page of the viewer, and what happened while it was open."""

    page: Page
    base: str
    complaints: list[str] = field(default_factory=list)
    """What the console said is wrong, and errors of scripts."""
    requests: list[str] = field(default_factory=list)
    """Addresses that were asked for."""

    def open(self, hash_: str = "") -> None:
        """Open the page, and wait for its results."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.base}/{hash_}")
        self.page.locator(".results[aria-busy=false]").wait_for(state="attached")

    def settle(self) -> None:
        """Wait until all tiles are there."""
        self.page.wait_for_timeout(500)
        self.page.locator("#status:not(.working)").wait_for(state="attached")
        self.page.wait_for_timeout(300)

    def elsewhere(self) -> list[str]:
        """Addresses that were asked for and are not of the service."""
        own = urlsplit(self.base).netloc
        return [
            url
            for url in self.requests
            if not url.startswith(("blob:", "data:", "about:")) and urlsplit(url).netloc != own
        ]


@contextlib.contextmanager
def visiting(browser: Browser, base: str, size: tuple[int, int] = DESKTOP, **options: Any) -> Iterator[Visit]:
    """A fresh page of some size."""
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, **options)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    visit = Visit(page, base)

    def noted(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            visit.complaints.append(f"{message.text} {message.location.get('url', '')}")

    def asked(request: Request) -> None:
        visit.requests.append(request.url)

    page.on("console", noted)
    page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    page.on("request", asked)
    try:
        yield visit
    finally:
        context.close()
