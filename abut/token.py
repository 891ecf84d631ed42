"""The token by which a service that is not open to everybody knows who reads, and which hosts get it.

A token goes to the service that a user names, and to no host that only an answer names: hrefs of items may lead
anywhere. There the variable counts below `PLACE` alone; who gives a token in a call has looked where it goes.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from obstore.store import HTTPStore

from abut.errors import BadRequestError

if TYPE_CHECKING:
    from abut.store import Store

VARIABLE: Final = "ABUT_TOKEN"
"""Environment variable with the token."""
PLACE: Final = "ABUT_TOKEN_URL"
"""Environment variable with the URL of the service that it is for."""

_PORTS: Final = {"http": 80, "https": 443}


def token_for(url: str, given: str | None = None) -> str | None:
    """Return the token for a service that a user names; None: none.

    Parameters
    ----------
    url : str
        The service; anything else than HTTP gets no token.
    given : str, optional
        The token, if the user gave one. Default: that of the environment, unless that is for another service.

    Raises
    ------
    BadRequestError
        If the token has characters that no header can have; it is not shown.
    """
    if not url.lower().startswith(("http://", "https://")):
        return None
    place = os.environ.get(PLACE, "").strip()
    token = given or os.environ.get(VARIABLE, "").strip()
    if not token or (not given and place and not is_below(url, place)):
        return None
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise BadRequestError(f"the token ({VARIABLE}) has characters that no token can have")
    return token


def token_for_found(url: str, given: str | None = None) -> str | None:
    """Return the token for what an answer names, such as an href of an item; parameters and errors as `token_for`."""
    return token_for(url, given) if given or os.environ.get(PLACE, "").strip() else None


def is_below(url: str, place: str) -> bool:
    """Whether a URL is of the host, port and scheme of another, and at its path or below; steps up (``..``) are not."""
    if not same_origin(url, place):
        return False
    path, home = urlsplit(url).path, urlsplit(place).path.rstrip("/")
    steps = unquote(path).split("/")  # clients or servers take encoded ones too
    return not {".", ".."} & set(steps) and (path.rstrip("/") == home or path.startswith(f"{home}/"))


def same_origin(one: str, other: str) -> bool:
    """Whether two URLs are of one host, port and scheme; what clients may read as another host is of none."""
    try:
        return _origin(one) == _origin(other)
    except ValueError:
        return False


def with_token(store: Store, token: str | None) -> Store:
    """Return a store whose requests carry a token; a store that is not on the web, or without a token, as it is."""
    backend = store.backend
    if token is None or not isinstance(backend, HTTPStore):
        return store
    options: Any = {**(backend.client_options or {}), "default_headers": header_of(token)}
    made = HTTPStore(store.url, client_options=options, retry_config=backend.retry_config)
    return replace(store, backend=made)


def header_of(token: str | None) -> dict[str, str]:
    """Return the header that carries a token, or none."""
    return {"Authorization": f"Bearer {token}"} if token else {}


def _origin(url: str) -> tuple[str, str, int | None]:
    if "\\" in url:
        raise ValueError(url)  # to browsers and obstore it is a slash, so that what follows is no host
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    return scheme, (parts.hostname or "").lower(), parts.port or _PORTS.get(scheme)
