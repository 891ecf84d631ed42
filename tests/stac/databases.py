"""Catalogues of their own on either database, for tests that change them or need an application of their own."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.postgres import new_database
from tests.stac.serving import fill

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest


@contextmanager
def filled(request: pytest.FixtureRequest) -> Iterator[str]:
    """Fill a new catalogue on the database that a fixture's parameter names; yields its URL."""
    if request.param == "sqlite":
        factory: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
        path = str(factory.mktemp("filled") / "catalog.sqlite")
        fill(path)
        yield path
        return
    with new_database(request.getfixturevalue("postgres")) as url:
        fill(url)
        yield url
