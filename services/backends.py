"""Which database is behind the STAC API, and who may write to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abut.archive import open_archive
from abut.catalogue import POSTGRES, path_of, scheme_of, without_secrets
from abut.errors import InvalidArchiveError
from catalog.opening import open_catalogue
from services.settings import InvalidSettingError
from services.stac.auth import REGISTER, WRITE, EitherAccess, token_access
from services.stac.oidc import OidcAccess, Provider

if TYPE_CHECKING:
    from abut.archive import Archive
    from services.settings import Settings
    from services.stac.auth import Access
    from services.stac.backend import Backend


def catalogue_url(settings: Settings, archive: Archive) -> str:
    """Return the catalogue that is served: the operator's choice, or the archive's own.

    Raises
    ------
    InvalidArchiveError
        If there is none, or it is a STAC API itself.
    """
    url = settings.catalogue.get_secret_value() if settings.catalogue else archive.catalogue_url
    if not url:
        raise InvalidArchiveError(f"{archive.store.url}: the archive has no catalogue; name one by ABUT_CATALOGUE")
    if path_of(url) is None and scheme_of(url) not in POSTGRES:
        raise InvalidArchiveError(f"{without_secrets(url)}: is a STAC API; only the database of a catalogue is served")
    return url


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


def require_catalogue(settings: Settings) -> None:
    """See whether the archive and its catalogue can be opened; a SQLite file that is missing is made.

    Raises
    ------
    AbutError
        If one of them can't; the message says why.
    """
    url = catalogue_url(settings, open_archive(settings.archive))
    path = path_of(url)
    open_catalogue(url, create=path is not None and not path.exists()).close()


def access_of(settings: Settings) -> Access | None:
    """Return who may write; None: nobody.

    Raises
    ------
    InvalidSettingError
        If a token can't be used.
    """
    if not settings.transactions:
        return None
    tokens = {WRITE: settings.write_tokens, REGISTER: settings.register_tokens}
    plain = {scope: [token.get_secret_value() for token in known] for scope, known in tokens.items()}
    ways: list[Access] = []
    try:
        if any(plain.values()):
            ways.append(token_access(plain))
    except ValueError as error:
        raise InvalidSettingError(f"ABUT_WRITE_TOKENS, ABUT_REGISTER_TOKENS: {error}") from error
    if settings.oidc_issuer and settings.oidc_audience:
        ways.append(OidcAccess(Provider(issuer=settings.oidc_issuer, audience=settings.oidc_audience)))
    return EitherAccess(tuple(ways))
