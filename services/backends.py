"""Which database is behind the STAC API, and who may write to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abut.archive import open_archive
from abut.catalogue import POSTGRES, path_of, scheme_of, without_secrets
from abut.errors import InvalidArchiveError
from catalog.opening import open_own, reached_by
from services.settings import InvalidSettingError
from services.stac.auth import READ, REGISTER, WRITE, EitherAccess, token_access

if TYPE_CHECKING:
    from abut.archive import Archive
    from services.settings import Settings
    from services.stac.auth import Access
    from services.stac.backend import Backend


def served_archive(settings: Settings) -> Archive:
    """Open the archive that is served, with its catalogue as it is reached from here.

    Raises
    ------
    InvalidArchiveError
        If there is none, it has no catalogue, that is a STAC API itself, or ABUT_CATALOGUE names another one.
    UnsupportedStoreError
        If its store can't be reached.
    """
    reached = settings.catalogue.get_secret_value() if settings.catalogue else ""
    archive = reached_by(open_archive(settings.archive), reached)
    url = archive.catalogue_url
    if not url:
        raise InvalidArchiveError(
            f"{archive.store.url}: the archive has no catalogue; `abut catalog migrate --to ... --switch` gives it one"
        )
    if path_of(url) is None and scheme_of(url) not in POSTGRES:
        raise InvalidArchiveError(
            f"{without_secrets(url)}: is a STAC API; only the database of a catalogue is served, and ABUT_CATALOGUE "
            "names that behind it"
        )
    return archive


def backend_of(url: str) -> Backend:
    """Return the database of a catalogue, not yet connected.

    Raises
    ------
    ModuleNotFoundError
        If it needs an extra that is not installed.
    """
    path = path_of(url)
    if path is None:
        from services.stac.pgstac import PgstacBackend  # noqa: PLC0415 - an extra

        return PgstacBackend(url)
    from services.stac.sqlite import SqliteBackend  # noqa: PLC0415 - as above

    return SqliteBackend(path)


def uses_catalogue(settings: Settings) -> bool:
    """Return whether a service with these parts asks the catalogue for anything."""
    return bool({"stac", "tiles", "cubes"} & set(settings.parts))


def require_catalogue(settings: Settings) -> Archive:
    """Open the archive that is served, whose catalogue can be opened and is its own; a missing SQLite file is made.

    Raises
    ------
    AbutError
        If not; the message says why.
    """
    archive = served_archive(settings)
    is_file = archive.catalogue_path is not None
    open_own(archive, create=is_file, claim=settings.transactions and bool(archive.id)).close()
    return archive


def access_of(settings: Settings) -> Access | None:
    """Return who knows tokens; None: nobody, as there is nothing that needs one.

    Raises
    ------
    InvalidSettingError
        If a token can't be used.
    """
    if not settings.transactions and settings.read == "open":
        return None
    tokens = {READ: settings.read_tokens, WRITE: settings.write_tokens, REGISTER: settings.register_tokens}
    plain = {scope: [token.get_secret_value() for token in known] for scope, known in tokens.items()}
    ways: list[Access] = []
    try:
        if any(plain.values()):
            ways.append(token_access(plain))
    except ValueError as error:
        raise InvalidSettingError(f"ABUT_READ_TOKENS, ABUT_WRITE_TOKENS, ABUT_REGISTER_TOKENS: {error}") from error
    if settings.oidc_issuer and settings.oidc_audience:
        from services.stac.oidc import OidcAccess, Provider  # noqa: PLC0415 - takes long, and few services need it

        ways.append(OidcAccess(Provider(issuer=settings.oidc_issuer, audience=settings.oidc_audience)))
    return EitherAccess(tuple(ways))
