"""JSON over HTTP with what the standard library has: time-outs, and retries where a server is busy."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Final

from abut.errors import CatalogueError
from abut.token import header_of

if TYPE_CHECKING:
    from collections.abc import Mapping

TIMEOUT: Final = 60.0
"""Seconds after which a server that says nothing is given up."""
BUSY: Final = frozenset({429, 502, 503, 504})
"""Answers after which a request is tried again."""
WAITS: Final = (0.5, 1.0, 2.0)
"""Seconds before each further try."""

_GONE: Final = frozenset({404, 410})
_LONGEST: Final = 300
"""Characters of a server's explanation that are quoted."""


def fetch(url: str, body: Mapping[str, Any] | None = None, token: str | None = None) -> bytes:
    """Return what a URL answers: to GET, or to POST if there is a body, which is sent as JSON.

    A token goes to this URL, and nowhere that it redirects to.

    Raises
    ------
    FileNotFoundError
        If there is nothing (404, 410).
    CatalogueError
        If the server can't be reached, refuses, or stays busy; names the URL and, of a refusal, what the server says.
    """
    if not url.lower().startswith(("http://", "https://")):
        raise CatalogueError(f"{url}: not a URL of http or https")
    headers = {"Accept": "application/geo+json, application/json"}
    data = None
    if body is not None:
        data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
    request = urllib.request.Request(url, data, headers)  # noqa: S310 - the scheme was looked at
    for name, value in header_of(token).items():
        request.add_unredirected_header(name, value)
    for wait in (*WAITS, None):
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310 - as above
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            said = _said(error)
            if error.code in _GONE:
                raise FileNotFoundError(f"{url}: status {error.code}") from error
            failed = f"status {error.code}{said}"
            if error.code not in BUSY:
                break
        except (OSError, http.client.HTTPException) as error:
            failed = str(getattr(error, "reason", error) or type(error).__name__)
        if wait is not None:
            time.sleep(wait)
    raise CatalogueError(f"{url} can't be read ({failed})")


def fetch_json(url: str, body: Mapping[str, Any] | None = None, token: str | None = None) -> dict[str, Any]:
    """Return the JSON object that a URL answers, see `fetch`.

    Raises
    ------
    FileNotFoundError
        If there is nothing.
    CatalogueError
        As `fetch`, and if the answer is no JSON object.
    """
    data = fetch(url, body, token)
    try:
        document = json.loads(data)
    except ValueError as error:
        raise CatalogueError(f"{url}: the answer is not JSON ({error})") from error
    if not isinstance(document, dict):
        raise CatalogueError(f"{url}: the answer is no JSON object")
    return document


def _said(error: urllib.error.HTTPError) -> str:
    """Return what the server says of a refusal, in one line; the answer is closed."""
    with error:
        try:
            document = json.loads(error.read(1 << 16))
            text = document.get("description") or document.get("detail") or ""
        except (OSError, ValueError, AttributeError, http.client.HTTPException):
            return ""
    line = " ".join(str(text).split())[:_LONGEST]
    return f": {line}" if line else ""
