"""Opening a catalogue by its name, whatever keeps it."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from abut.catalogue import POSTGRES, REMOTE, path_of, same, scheme_of, without_secrets
from abut.errors import AbutError, CatalogueError, InvalidArchiveError
from abut.messages import describe
from catalog import sqlite
from catalog.owner import require_own

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from abut.archive import Archive
    from catalog.interface import Catalogue

TOKEN: Final = "ABUT_CATALOGUE_TOKEN"  # noqa: S105 - the name of a variable
"""Environment variable with the token for a catalogue behind a STAC API."""


def open_catalogue(url: str | os.PathLike[str], *, create: bool = True) -> Catalogue:
    """Open a catalogue, for one thread, whosever it is; `open_own` opens that of an archive.

    Parameters
    ----------
    url : str or path
        A SQLite file (also ``sqlite:///path``), ``postgresql://host/database``, or the URL of a STAC API. Passwords
        and tokens come from the environment: PGUSER, PGPASSWORD and the other variables of PostgreSQL;
        ABUT_CATALOGUE_TOKEN.
    create : bool
        Whether to make it if there is none: the file, or the tables of pgstac in the database. One that is there is
        left as it is.

    Raises
    ------
    InvalidArchiveError
        If there is none and it is not to be made, it is no catalogue, or one of an older or newer version.
    CatalogueError
        If a server can't be reached, or refuses.
    ModuleNotFoundError
        If it needs an extra that is not installed.
    """
    text = os.fspath(url)
    path = path_of(text)
    if path is not None:
        return sqlite.open_catalogue(path, create=create)
    if scheme_of(text) in POSTGRES:
        from catalog.pgstac import open_pgstac  # noqa: PLC0415 - an extra

        return open_pgstac(text, create=create)
    from catalog.remote import open_remote  # noqa: PLC0415 - an extra

    return open_remote(text, os.environ.get(TOKEN, ""))


def open_own(archive: Archive, *, create: bool = True, claim: bool = True) -> Catalogue:
    """Open the catalogue of an archive, which has one, and see that it is no other archive's.

    Parameters
    ----------
    archive : Archive
        The archive.
    create : bool
        As for `open_catalogue`.
    claim : bool
        Whether to make it the archive's if it is nobody's yet; not to be done by those who only read.

    Raises
    ------
    InvalidArchiveError
        As `open_catalogue`, or if it is another archive's.
    CatalogueError, ModuleNotFoundError
        As `open_catalogue`.
    """
    catalogue = open_catalogue(archive.catalogue_url, create=create)
    try:
        require_own(catalogue, archive, claim=claim)
    except BaseException:
        catalogue.close()
        raise
    return catalogue


def upgrade_catalogue(url: str) -> bool:
    """Bring a catalogue of an older version up to date; return whether it was one.

    Raises
    ------
    InvalidArchiveError
        If there is none, it is of a newer version, or a STAC API.
    CatalogueError
        If a server can't be reached, or refuses.
    """
    path = path_of(url)
    if path is not None:
        from catalog import migration  # noqa: PLC0415 - rarely needed

        return migration.upgrade(path)
    if scheme_of(url) not in POSTGRES:
        raise InvalidArchiveError(
            f"{without_secrets(url)}: is a STAC API; its catalogue is upgraded where it is served"
        )
    from catalog import pgstac  # noqa: PLC0415 - an extra

    return pgstac.upgrade(url)


def reached_by(archive: Archive, catalogue: str) -> Archive:
    """Return an archive whose catalogue is reached by what ABUT_CATALOGUE or an option says.

    That is the catalogue which archive.json names, perhaps with a password; or, if archive.json names a STAC API, the
    database behind it. Nothing is ever registered in, or served from, one catalogue while the archive names another.

    Parameters
    ----------
    archive : Archive
        The archive.
    catalogue : str
        A catalogue, see `open_catalogue`; files are relative to the archive. Empty: as archive.json says.

    Raises
    ------
    InvalidArchiveError
        If that is another catalogue than the archive's.
    """
    if not catalogue:
        return archive
    behind = scheme_of(archive.catalogue) in REMOTE and scheme_of(catalogue) not in REMOTE
    if not behind and not same(catalogue, archive.catalogue, archive.store.root):
        own = repr(archive.catalogue) if archive.catalogue else "none"
        raise InvalidArchiveError(
            f"{archive.store.url}: its catalogue is {own}, not {without_secrets(catalogue)!r} as --catalogue or "
            f"ABUT_CATALOGUE says (`abut catalog migrate --switch` changes it)"
        )
    return replace(archive, catalogue=catalogue)


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
        with open_own(archive) as catalogue:
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
    if isinstance(error, InvalidArchiveError):  # which no repair changes
        return CatalogueError(f"{cause}; the archive itself is as it should be")
    return CatalogueError(
        f"{cause}; the archive is as it should be, and `abut check --repair` brings its catalogue in step"
    )
