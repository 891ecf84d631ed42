"""Requests to a STAC API that may be busy, restarting or far away: time-outs, retries, and what its refusals mean."""

from __future__ import annotations

import logging
import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

import httpx

from abut import __version__
from abut.errors import CatalogueError

if TYPE_CHECKING:
    from collections.abc import Mapping

BUSY: Final = frozenset({429, 502, 503, 504})
"""Statuses after which a request is sent again."""

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to try."""

    tries: int = 6
    """Times that a request is sent at most."""
    first: float = 0.5
    """Seconds before the second try; twice as long before each further one, and a random part of it less."""
    longest: float = 30.0
    """Longest time between two tries, also if the server asks for more."""
    connect: float = 10.0
    """Seconds to wait for a connection."""
    answer: float = 60.0
    """Seconds to wait for each part of an answer."""
    whole: float = 180.0
    """Seconds after which no further try is begun."""


class Http:
    """A connection to one STAC API; every method and URL that it is given must be safe to send twice."""

    def __init__(self, url: str, token: str, patience: Patience) -> None:
        self.url = url
        self._has_token = bool(token)
        self._patience = patience
        headers = {"User-Agent": f"abut/{__version__}", "Accept": "application/json, application/geo+json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        timeout = httpx.Timeout(patience.answer, connect=patience.connect)
        self._client = httpx.Client(headers=headers, timeout=timeout, follow_redirects=False)

    def close(self) -> None:
        """Close it."""
        self._client.close()

    def send(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        but: tuple[int, ...] = (),
        if_match: str = "",
    ) -> httpx.Response:
        """Send a request until it is answered.

        Parameters
        ----------
        method, path : str
            Method, and path below the API.
        body : JSON, optional
            What to send.
        query : mapping, optional
            Parameters of the URL.
        but : tuple of int
            Statuses that are no errors, beside those of success.
        if_match : str
            ETag that what is changed must have.

        Raises
        ------
        CatalogueError
            If the server can't be reached, or refuses.
        """
        url = f"{self.url}{path}"
        failed, wait, tries = "", 0.0, 0
        headers = {"If-Match": if_match} if if_match else {}
        begun = time.monotonic()
        for number in range(self._patience.tries):
            if number and time.monotonic() - begun + wait > self._patience.whole:
                break
            if number:
                _LOG.info("catalogue %s: %s; trying again in %.1f s", self.url, failed, wait)
                time.sleep(wait)
            wait = self._patience.first * 2**number * random.uniform(0.5, 1)  # noqa: S311 - so that clients spread
            try:
                answer = self._client.request(method, url, json=body, params=query, headers=headers)
            except httpx.TransportError as error:
                failed = _named(error)
            except httpx.InvalidURL as error:
                raise CatalogueError(f"catalogue {self.url}: {error}") from error
            else:
                if answer.status_code not in BUSY:
                    return self._accepted(answer, but)
                failed = f"status {answer.status_code}"
                wait = max(wait, _retry_after(answer))
            wait = min(wait, self._patience.longest)
            tries = number + 1
        raise CatalogueError(f"catalogue {self.url}: can't be reached ({failed}, {tries} tries)")

    def json(self, method: str, path: str, **options: Any) -> Any:
        """Send a request and return its answer's JSON; None if the answer is a 404 that was allowed.

        Raises
        ------
        CatalogueError
            As `send`, or if the answer is no JSON.
        """
        answer = self.send(method, path, **options)
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        try:
            return answer.json()
        except ValueError as error:
            kind = answer.headers.get("content-type", "no type")
            raise CatalogueError(f"catalogue {self.url}: {method} {path} answered with {kind}, not JSON") from error

    def _accepted(self, answer: httpx.Response, but: tuple[int, ...]) -> httpx.Response:
        status = answer.status_code
        if answer.is_success or status in but:
            return answer
        where = f"catalogue {self.url}"
        if status == httpx.codes.UNAUTHORIZED:
            known = "it does not accept the token of" if self._has_token else "it wants a token in"
            raise CatalogueError(f"{where}: {known} ABUT_CATALOGUE_TOKEN (401: {reason(answer)})")
        if status == httpx.codes.FORBIDDEN:
            raise CatalogueError(
                f"{where}: the token of ABUT_CATALOGUE_TOKEN does not permit it (403: {reason(answer)})"
            )
        if answer.is_redirect:
            raise CatalogueError(f"{where}: it is at {answer.headers.get('location')}; use that URL")
        request = f"{answer.request.method} {answer.request.url.path}"
        raise CatalogueError(f"{where}: {request} answered {status}: {reason(answer)}")


def reason(answer: httpx.Response) -> str:
    """Return what a STAC API says of an error, on one line."""
    try:
        document = answer.json()
    except ValueError:
        return " ".join(answer.text.split())[:300] or answer.reason_phrase
    if isinstance(document, dict):
        document = document.get("description") or document.get("detail") or document
    return " ".join(str(document).split())[:500]


def _retry_after(answer: httpx.Response) -> float:
    """Seconds that a server asks to wait: it may write a number, or a date."""
    text = answer.headers.get("Retry-After", "")
    if text.isdigit():
        return float(text)
    try:
        return max((parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds(), 0)
    except (TypeError, ValueError):
        return 0


def _named(error: httpx.TransportError) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
