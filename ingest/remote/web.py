"""Sources on web servers, by what the standard library has: redirects, ranges, time-outs and retries under control.

Hostile servers are reckoned with: redirects lead to http or https only, never from https to http; a token goes only to
hosts that the environment names; what comes is counted, and compared with what was announced.
"""

from __future__ import annotations

import http.client
import re
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast, override
from urllib.parse import quote, urlsplit

from abut import __version__
from abut.errors import SourceError, SourceUnavailableError
from ingest.remote.access import bearer, is_web
from ingest.remote.ranges import TAIL

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT: Final = 60.0
"""Seconds after which a server that says nothing is given up."""

MAKING: Final = 1_800.0
"""Seconds for which a server may say nothing that makes a SAFE anew, as Abut's own at ``/legacy`` does."""

WAITS: Final = (0.5, 1.0, 2.0, 4.0)
"""Seconds before each further try of a request."""

_LONGEST_WAIT: Final = 60.0
"""Seconds that a server may ask to wait."""
_REDIRECTS: Final = 5
_PATIENCE, _SLOWEST = 60.0, 1_000.0
"""Seconds after which a body has to have come at so many bytes a second: a server must not hold a worker for ever."""
_BUSY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_SAFE: Final = "%/:=&?~#+!$,;'@()*[]"
_RANGE: Final = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", re.ASCII)


@dataclass(slots=True)
class Answer:
    """What a server answers, while it is being read."""

    url: str
    """What was asked for, for messages: where redirects led to is not told, it may have a secret in it."""
    body: http.client.HTTPResponse
    """The body."""
    length: int | None
    """Bytes that were announced."""
    place: tuple[int, int, int] | None
    """First and last byte, and size of the whole; None if the answer is the whole."""
    version: str
    """ETag, or when it was changed, empty if the server says neither."""

    def read(self) -> Iterator[bytes]:
        """Yield the body as it comes; `SourceUnavailableError` if it breaks off or comes too slowly."""
        count, started = 0, time.monotonic()
        while True:
            try:
                piece = self.body.read1(1 << 20)
            except (OSError, http.client.HTTPException) as error:
                raise SourceUnavailableError(f"{self.url}: broke off after {count} bytes ({_line(error)})") from error
            if not piece:
                break
            count += len(piece)
            yield piece
            passed = time.monotonic() - started
            if passed > _PATIENCE and count < passed * _SLOWEST:
                raise SourceUnavailableError(f"{self.url}: too slow, {count} bytes in {passed:.0f} seconds")
        if self.length is not None and count != self.length:
            raise SourceUnavailableError(f"{self.url}: broke off after {count} of {self.length} bytes")


@dataclass(frozen=True, slots=True)
class WebFile:
    """A file on a server that gives byte ranges."""

    url: str
    """Its URL."""
    size: int
    """Its bytes."""
    version: str
    """What the server calls this version of it."""

    def read(self, start: int, stop: int) -> bytes:
        """Return some of its bytes, see `ingest.remote.ranges.Ranges`."""
        last = SourceUnavailableError(f"{self.url}: can't be read")
        for wait in (*WAITS, None):
            with asked(self.url, f"bytes={start}-{stop - 1}") as answer:
                if answer.place != (start, stop - 1, self.size) or answer.version != self.version:
                    raise SourceError(
                        f"{self.url}: changed while it was read, or the server gives other bytes than asked for"
                    )
                try:
                    return _taken(answer, stop - start)
                except SourceUnavailableError as error:  # it broke off
                    last = error
            if wait is not None:
                time.sleep(wait)
        raise last


def _taken(answer: Answer, count: int) -> bytes:
    """Return a body that has to have so many bytes, and take no more."""
    found = bytearray()
    for piece in answer.read():
        found += piece
        if len(found) > count:
            break
    if len(found) != count:
        raise SourceUnavailableError(f"{answer.url}: {len(found)} bytes came, not {count}")
    return bytes(found)


@contextmanager
def found(url: str) -> Iterator[tuple[WebFile, bytes] | Answer]:
    """Ask for a file once: for its end, if the server gives ranges, else for all of it.

    Yields
    ------
    tuple of WebFile and bytes, or Answer
        The file and its last bytes; or what has all of it, to be read before the block ends.

    Raises
    ------
    SourceError
        If there is nothing, access is denied, or the server can't be reached.
    """
    with asked(url, f"bytes=-{TAIL}") as answer:
        if answer.place is None:
            yield answer
            return
        first, last, size = answer.place
        if last != size - 1 or first != max(size - TAIL, 0):
            raise SourceError(f"{url}: the server gives bytes {first} to {last} of {size} for the last {TAIL}")
        tail = _taken(answer, size - first)
        whole = WebFile(url, size, answer.version)
    yield whole, tail


@contextmanager
def asked(url: str, wanted: str) -> Iterator[Answer]:
    """Ask for bytes of a file; what the server then gives may be all of it.

    Raises
    ------
    SourceError
        If there is nothing, or the server refuses; `SourceUnavailableError` if it can't be reached or stays busy.
    """
    response = _opened(url, wanted)
    with response:
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise SourceError(f"{url}: the server packs its answer ({response.headers['Content-Encoding']!r})")
        if response.status not in (200, 206):
            raise SourceError(f"{url}: the server answers {response.status}")
        place = None
        if response.status == 206:
            match = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
            if match is None:
                raise SourceError(f"{url}: the server gives a range without saying which")
            place = (int(match[1]), int(match[2]), int(match[3]))
        said = response.headers.get("Content-Length", "")
        length = int(said) if said.isascii() and said.isdigit() and len(said) < 19 and not response.chunked else None
        version = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
        yield Answer(url, response, length, place, version)


def _opened(url: str, wanted: str) -> http.client.HTTPResponse:
    failed = ""
    for wait in (*WAITS, None):
        try:
            return cast("http.client.HTTPResponse", _opener().open(_request(url, wanted), timeout=_patience(url)))
        except urllib.error.HTTPError as error:
            with error:
                failed, asks = f"status {error.code}", error.headers.get("Retry-After", "")
            if error.code in (401, 403):
                raise SourceError(f"{url}: access is denied ({failed}); look at ABUT_SOURCE_TOKEN") from None
            if 300 <= error.code < 400:
                raise SourceError(f"{url}: redirects in a circle, or to what is not followed ({failed})") from None
            if error.code not in _BUSY:
                raise SourceError(f"{url}: there is nothing ({failed})") from None
            if wait is not None and asks.isascii() and asks.isdigit():
                wait = min(max(wait, float(asks[:6])), _LONGEST_WAIT)  # noqa: PLW2901 - the server knows better
        except (OSError, http.client.HTTPException, ValueError) as error:
            if isinstance(error, SourceError):
                raise
            failed = _line(getattr(error, "reason", error))
        if wait is not None:
            time.sleep(wait)
    raise SourceUnavailableError(f"{url}: can't be reached ({failed})")


def _patience(url: str) -> float:
    return MAKING if url.endswith("?format=safe") else TIMEOUT


def _request(url: str, wanted: str) -> urllib.request.Request:
    headers = {"Accept-Encoding": "identity", "Range": wanted, "User-Agent": f"abut/{__version__}"}
    request = urllib.request.Request(quote(url, safe=_SAFE), headers=headers)  # noqa: S310 - looked at before
    return _trusted(request)


def _trusted(request: urllib.request.Request) -> urllib.request.Request:
    """Give a request a token, if its host is to have one; redirects don't take it along."""
    token = bearer(request.full_url)
    if token is not None:
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    return request


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https, a few, and none that gives up encryption."""

    max_redirections = _REDIRECTS

    @override
    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        place = f"{urlsplit(newurl).scheme}://{urlsplit(newurl).hostname}"
        if not is_web(newurl) or (req.type == "https" and not newurl.startswith("https://")):
            with suppress(OSError):
                fp.close()
            raise SourceError(f"{req.origin_req_host}: redirects to {place[:200]!r}, which is not followed")
        made = super().redirect_request(req, fp, code, msg, headers, newurl)
        return None if made is None else _trusted(made)


def _opener() -> urllib.request.OpenerDirector:
    """Return what opens URLs of http and https, through the environment's proxies, and no others."""
    made = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        _Redirects(),
        urllib.request.HTTPErrorProcessor(),
    ):
        made.add_handler(handler)
    return made


def _line(error: object) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
