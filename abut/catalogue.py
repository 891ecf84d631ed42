"""Where an archive's catalogue is: a SQLite file, a PostgreSQL database, or a STAC API; never with a secret in it."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from abut.errors import InvalidArchiveError

POSTGRES: Final = ("postgresql", "postgres")
"""Schemes of PostgreSQL databases with pgstac."""

REMOTE: Final = ("https", "http")
"""Schemes of STAC APIs with transactions."""

SQLITE: Final = "sqlite:///"
"""What a SQLite file's path may begin with; ``sqlite:////data/c.sqlite`` is the file ``/data/c.sqlite``."""

_SECRET: Final = ("password", "passwd", "token", "secret", "key")
_KINDS: Final = "a file, postgresql://host/database, or the https:// URL of a STAC API"


def scheme_of(catalogue: str) -> str:
    """Return the scheme of a catalogue's URL, or nothing if it is a SQLite file.

    Raises
    ------
    InvalidArchiveError
        If it is of no kind that there is.
    """
    if catalogue.startswith(SQLITE) or "://" not in catalogue:
        return ""
    scheme = catalogue.partition("://")[0].lower()
    if scheme not in POSTGRES + REMOTE:
        raise InvalidArchiveError(f"catalogue {without_secrets(catalogue)!r} is not {_KINDS}")
    try:
        parts = urlsplit(catalogue)
        _ = parts.port
    except ValueError as error:
        raise InvalidArchiveError(f"catalogue {without_secrets(catalogue)!r} is no URL: {error}") from error
    if scheme in REMOTE and (not parts.hostname or parts.query or parts.fragment):
        raise InvalidArchiveError(
            f"catalogue {without_secrets(catalogue)!r} is not the URL of a STAC API, such as https://host/stac"
        )
    return scheme


def path_of(catalogue: str, folder: Path | None = None) -> Path | None:
    """Return the file of a SQLite catalogue, relative ones in a folder; None if the catalogue is no file.

    Raises
    ------
    InvalidArchiveError
        If it names nothing, or is of no kind that there is.
    """
    if scheme_of(catalogue):
        return None
    name = catalogue.removeprefix(SQLITE)
    if not name or "\0" in name:
        raise InvalidArchiveError(f"catalogue {catalogue!r} is not {_KINDS}")
    return folder / name if folder else Path(name)


def without_secrets(catalogue: str) -> str:
    """Return a URL without password and without parameters that may hold one, for messages."""
    try:
        parts = urlsplit(catalogue)
    except ValueError:
        return catalogue.partition("://")[0] + "://..."
    if not parts.scheme or "://" not in catalogue:
        return catalogue
    user, at, host = parts.netloc.rpartition("@")
    query = "&".join(pair for pair in parts.query.split("&") if pair and not _is_secret(pair.partition("=")[0]))
    return urlunsplit((parts.scheme, f"{user.partition(':')[0]}{at}{host}", parts.path, query, ""))


def require_no_secret(catalogue: str) -> str:
    """Return a catalogue as it may be written into an archive's settings.

    Raises
    ------
    InvalidArchiveError
        If a password or token is part of it, or it is of no kind that there is.
    """
    scheme = scheme_of(catalogue)
    if not scheme:
        return catalogue
    parts = urlsplit(catalogue)
    variable = "PGPASSWORD" if scheme in POSTGRES else "ABUT_CATALOGUE_TOKEN"
    named = parts.password is not None or (scheme in REMOTE and parts.username is not None)
    if named or any(_is_secret(name) for name, _ in parse_qsl(parts.query, keep_blank_values=True)):
        raise InvalidArchiveError(
            f"catalogue {without_secrets(catalogue)!r} was given with a secret in its URL, which an archive's settings "
            f"must not hold: leave it out and set {variable}"
        )
    return catalogue.rstrip("/") if scheme in REMOTE else catalogue


def same(one: str, other: str, folder: Path | None = None) -> bool:
    """Whether two names are of the same catalogue, whoever uses it; relative files are those in a folder."""
    return _place(one, folder) == _place(other, folder)


def _place(catalogue: str, folder: Path | None) -> tuple[str, ...]:
    if not catalogue:
        return ()
    path = path_of(catalogue, folder)
    if path is not None:
        return ("file", str(path.resolve()))
    parts = urlsplit(catalogue)
    kind = "postgresql" if parts.scheme in POSTGRES else parts.scheme
    port = parts.port or {"postgresql": 5432, "https": 443, "http": 80}[kind]
    return (kind, parts.hostname or "", str(port), parts.path.rstrip("/"))


def _is_secret(name: str) -> bool:
    return any(part in name.lower() for part in _SECRET)
