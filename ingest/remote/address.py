"""The address of a SAFE that lies elsewhere: what it may say, and what its product is probably called."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from abut.errors import SourceError

SCHEMES: Final = ("s3://", "http://", "https://")
"""What addresses begin with."""

_SECRETS: Final = re.compile(
    r"x-amz-(signature|credential|security-token)|awsaccesskeyid|signature|sig|(.*[_-])?token|api[_-]?key|password|key",
    re.IGNORECASE,
)
"""Names of parameters that are secrets, such as those of presigned URLs."""

_ENDING: Final = re.compile(r"(\.safe)?(\.zip)?$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Address:
    """Where one SAFE lies. It holds no secret: it is in task graphs, logs and messages."""

    url: str
    """``s3://bucket/path/X.SAFE``, a zip at ``s3://bucket/path/X.zip``, or a zip at ``https://...``."""
    name: str
    """What its product is probably called; the metadata decides."""

    @property
    def bucket(self) -> str:
        """The bucket, if it lies in one."""
        return urlsplit(self.url).netloc

    @property
    def key(self) -> str:
        """Key in the bucket, no slash at its end."""
        return self.url.removeprefix(f"s3://{self.bucket}").strip("/")

    @property
    def in_bucket(self) -> bool:
        """Whether it lies in a bucket."""
        return self.url.startswith("s3://")

    @property
    def zipped(self) -> bool:
        """Whether it is a zip; on a web server it must be."""
        return not self.in_bucket or self.url.lower().endswith(".zip")


def is_remote(text: str) -> bool:
    """Whether a text is an address, not a path of this machine."""
    return text.lower().startswith(SCHEMES)


def parse_address(text: str, name: str = "") -> Address:
    """Return the address that a text gives.

    Parameters
    ----------
    text : str
        A URL of one of `SCHEMES`.
    name : str
        What its product is called, if that is known.

    Raises
    ------
    SourceError
        If it is none, or has a secret in it: those come from the environment, see `ingest.remote.access`.
    """
    plain = text.partition("?")[0]
    try:
        parts = urlsplit(text)
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        raise SourceError(f"{plain[:200]!r}: not a URL ({error})") from error
    if parts.username is not None or parts.password is not None:
        raise SourceError(
            f"{parts.scheme}://{host}: the URL has a user or password in it; they go into the environment"
        )
    if not is_remote(text) or not host or not text.isprintable() or " " in text:
        raise SourceError(
            f"{plain[:200]!r}: a SAFE is s3://bucket/path/X.SAFE, s3://bucket/path/X.zip or https://host/X.zip"
        )
    secret = next((key for key, _ in parse_qsl(parts.query) if _SECRETS.fullmatch(key)), None)
    if secret is not None:
        raise SourceError(f"{plain}: the URL has a secret in it ({secret}); secrets go into the environment")
    url = f"{parts.scheme.lower()}://{text.partition('://')[2].partition('#')[0]}"
    if url.startswith("s3://"):
        if parts.query:
            raise SourceError(f"{text}: an object of a bucket has no parameters")
        url = url.rstrip("/")
    return Address(url, name or _name(unquote(parts.path)))


def _name(path: str) -> str:
    return _ENDING.sub("", path.rstrip("/").rpartition("/")[2])
