"""A service with an archive to look at, once a session, and a browser, which runs an event loop while it is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.serving import serving
from tests.viewer.browser import chromium, running
from tests.viewer.dates import make_archive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where `abut serve` answers for an archive of two dates."""
    chromium()  # nothing is made where nobody can look at it
    make_archive(folder := tmp_path_factory.mktemp("viewer") / "archive", dates=2)
    with serving(str(folder)) as served:
        yield served.url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser."""
    with running() as found:
        yield found
