"""Endpoint and credentials of sources: the environment's, apart from the archive's, and read where they are used.

Nothing of it is handed on: workers on other machines have an environment of their own.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from abut.errors import SourceError
from abut.token import token_for_found

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX: Final = "ABUT_SOURCE_AWS_"
"""What the variables of sources in buckets begin with; if there are none, ``AWS_...`` counts, as for archives."""

MAX_BYTES: Final = 16 << 30
"""Most bytes of one SAFE, if ``ABUT_SOURCE_MAX_BYTES`` does not say: twice the largest multi-granule products."""

_KNOWN: Final = (
    "ACCESS_KEY_ID",
    "SECRET_ACCESS_KEY",
    "SESSION_TOKEN",
    "ENDPOINT_URL",
    "ENDPOINT",
    "REGION",
    "ALLOW_HTTP",
    "VIRTUAL_HOSTED_STYLE_REQUEST",
    "SKIP_SIGNATURE",
    "REQUEST_PAYER",
)
_TRUE: Final = ("1", "true", "yes", "requester")


@dataclass(frozen=True, slots=True)
class BucketAccess:
    """How buckets of sources are reached."""

    endpoint: str
    """URL of the server."""
    region: str
    """Its region."""
    allow_http: bool
    """Whether the endpoint may be plain HTTP."""
    virtual_hosted: bool
    """Whether the bucket is part of the host's name; the endpoint names it then."""
    requester_pays: bool
    """Whether the one who reads pays."""
    key: str | None = None
    """Access key id; None: requests are not signed."""
    secret: str | None = field(default=None, repr=False)
    """Secret access key."""
    token: str | None = field(default=None, repr=False)
    """Session token of temporary credentials."""


def bucket_access(environment: Mapping[str, str] = os.environ) -> BucketAccess | None:
    """Return how buckets of sources are reached, or None: as the archive's is, by ``AWS_...``.

    Raises
    ------
    SourceError
        If variables are missing or unknown.
    """
    said = {key.removeprefix(PREFIX): value for key, value in environment.items() if key.startswith(PREFIX) and value}
    if not said:
        return None
    if unknown := sorted(set(said) - set(_KNOWN)):
        raise SourceError(f"{PREFIX}{unknown[0]}: no such setting; there are {', '.join(_KNOWN)}")
    key, secret = said.get("ACCESS_KEY_ID"), said.get("SECRET_ACCESS_KEY")
    public = _is_true(said.get("SKIP_SIGNATURE"))
    if not public and (key is None or secret is None):
        raise SourceError(
            f"{PREFIX}...: no credentials: set {PREFIX}ACCESS_KEY_ID and {PREFIX}SECRET_ACCESS_KEY, or "
            f"{PREFIX}SKIP_SIGNATURE=true to read a bucket that is public"
        )
    region = said.get("REGION", "us-east-1")
    endpoint = said.get("ENDPOINT_URL") or said.get("ENDPOINT") or f"https://s3.{region}.amazonaws.com"
    if not is_web(endpoint):
        raise SourceError(f"{PREFIX}ENDPOINT_URL: {endpoint[:200]!r} is not a URL of https or http")
    return BucketAccess(
        endpoint=endpoint.rstrip("/"),
        region=region,
        allow_http=_is_true(said.get("ALLOW_HTTP")),
        virtual_hosted=_is_true(said.get("VIRTUAL_HOSTED_STYLE_REQUEST")),
        requester_pays=_is_true(said.get("REQUEST_PAYER")),
        key=None if public else key,
        secret=None if public else secret,
        token=None if public else said.get("SESSION_TOKEN"),
    )


def buckets_are_set(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the environment says how buckets are reached, and so whether an item's s3:// is worth a try."""
    names = (f"{PREFIX}ACCESS_KEY_ID", f"{PREFIX}SKIP_SIGNATURE", "AWS_ACCESS_KEY_ID", "AWS_SKIP_SIGNATURE")
    return any(environment.get(name) for name in names)


def bearer(url: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the token for a URL: of ``ABUT_SOURCE_TOKEN`` or ``..._FILE``, for ``ABUT_SOURCE_TOKEN_HOSTS`` alone.

    The file is read each time: tokens of a few minutes can be renewed beside a long run. For other hosts the token of
    a service of Abut's counts, if the environment names the service too, see `abut.token`.

    Raises
    ------
    SourceError
        If no host is named, or the file can't be read.
    """
    token, file = environment.get("ABUT_SOURCE_TOKEN"), environment.get("ABUT_SOURCE_TOKEN_FILE")
    if not token and not file:
        return token_for_found(url)
    hosts = environment.get("ABUT_SOURCE_TOKEN_HOSTS", "").replace(",", " ").split()
    if not hosts:
        raise SourceError("ABUT_SOURCE_TOKEN_HOSTS: not set; name the hosts that ABUT_SOURCE_TOKEN is for")
    if origin(url) not in {origin(host if "://" in host else f"https://{host}") for host in hosts}:
        return token_for_found(url)
    if not token:
        try:
            token = Path(str(file)).read_text(encoding="ascii").strip()
        except (OSError, ValueError) as error:
            raise SourceError(f"ABUT_SOURCE_TOKEN_FILE: {file} can't be read ({error})") from error
    if not token.isascii() or not token.isprintable() or " " in token:
        raise SourceError("ABUT_SOURCE_TOKEN: not a token, it has blanks or odd characters")
    return token


def max_bytes(environment: Mapping[str, str] = os.environ) -> int:
    """Return how many bytes one SAFE may have.

    Raises
    ------
    SourceError
        If ``ABUT_SOURCE_MAX_BYTES`` is no number.
    """
    text = environment.get("ABUT_SOURCE_MAX_BYTES", "")
    if text and not (text.isascii() and text.isdigit()):
        raise SourceError(f"ABUT_SOURCE_MAX_BYTES: {text[:200]!r} is not a number of bytes")
    return int(text) if text else MAX_BYTES


def is_web(url: str) -> bool:
    """Whether a URL is one of https or http, with a host."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port of a URL: who is trusted with a token."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise SourceError(f"{url[:200]!r}: not a URL or host ({error})") from error
    return parts.scheme, parts.hostname or "", port or (443 if parts.scheme == "https" else 80)


def _is_true(text: str | None) -> bool:
    return (text or "").lower() in _TRUE
