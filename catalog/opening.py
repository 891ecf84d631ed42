"""Opening a catalogue by its name, whatever keeps it."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, cast

from abut.catalogue import POSTGRES, path_of, scheme_of, without_secrets
from abut.errors import AbutError, CatalogueError
from abut.messages import describe
from catalog import sqlite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from abut.archive import Archive
    from catalog.interface import Catalogue

TOKEN: Final = "ABUT_CATALOGUE_TOKEN"  # noqa: S105 - the name of a variable
"""Environment variable with the token for a catalogue behind a STAC API."""


def open_catalogue(url: str | os.PathLike[str], *, create: bool = True) -> Catalogue:
    """Open a catalogue, for one thread.

    Parameters
    ----------
    url : str or path
        A SQLite file (also ``sqlite:///path``), ``postgresql://host/database``, or the URL of a STAC API. Passwords
        and tokens come from the environment: PGUSER, PGPASSWORD and the other variables of PostgreSQL;
        ABUT_CATALOGUE_TOKEN.
    create : bool
        Whether to make it if there is none: the file, or the tables of pgstac in the database.

    Raises
    ------
    InvalidArchiveError
        If there is none and it is not to be made, it is no catalogue, or one of a version that this one can't use.
    CatalogueError
        If a server can't be reached, or refuses.
    ModuleNotFoundError
        If it needs an extra that is not installed.
    """
    text = os.fspath(url)
    path = path_of(text)
    if path is not None:
        return cast("Catalogue", sqlite.open_catalogue(path, create=create))
    if scheme_of(text) in POSTGRES:
        from catalog.pgstac import open_pgstac  # noqa: PLC0415 - an extra

        return open_pgstac(text, create=create)
    from catalog.remote import open_remote  # noqa: PLC0415 - an extra

    return open_remote(text, os.environ.get(TOKEN, ""))


@contextmanager
def catalogue_of(archive: Archive) -> Iterator[Catalogue | None]:
    """Open the catalogue of an archive, or give None if it has none; any error says that only the index lags behind.

    Raises
    ------
    CatalogueError
        If anything goes wrong with the catalogue, in opening or in the body of the ``with``.
    """
    if not archive.catalogue:
        yield None
        return
    try:
        with open_catalogue(archive.catalogue_url) as catalogue:
            yield catalogue
    except Exception as error:  # whatever keeps it has errors of its own
        raise _lagging(archive, error) from error


@contextmanager
def catalogue_last() -> Iterator[Callable[[], AbstractContextManager[None]]]:
    """Do the archive's own work to its end though the catalogue can't be told; what went wrong with it is raised then.

    Yields
    ------
    callable
        ``with later():`` around each step that also tells the catalogue.

    Raises
    ------
    CatalogueError
        At the end: the first that a step raised.
    """
    errors: list[CatalogueError] = []

    @contextmanager
    def later() -> Iterator[None]:
        try:
            yield
        except CatalogueError as error:
            errors.append(error)

    yield later
    if errors:
        raise errors[0]


def explained(archive: Archive, error: Exception) -> str:
    """Return what is wrong with an archive's catalogue as one line without secrets."""
    return describe(error) if isinstance(error, AbutError) else describe(error, without_secrets(archive.catalogue_url))


def _lagging(archive: Archive, error: Exception) -> CatalogueError:
    cause = explained(archive, error)
    return CatalogueError(
        f"{cause}; the archive is as it should be, and `abut check --repair` brings its catalogue in step"
    )
