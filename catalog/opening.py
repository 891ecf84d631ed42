"""Opening a catalogue by its name, whatever keeps it."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, cast

from abut.catalogue import POSTGRES, path_of, scheme_of
from abut.errors import AbutError, CatalogueError
from abut.messages import describe
from catalog import sqlite

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def _lagging(archive: Archive, error: Exception) -> CatalogueError:
    cause = describe(error) if isinstance(error, AbutError) else describe(error, archive.catalogue_url)
    return CatalogueError(
        f"{cause}; the archive is as it should be, and `abut check --repair` brings its catalogue in step"
    )
