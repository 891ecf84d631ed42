"""Sources in buckets: objects listed and read through obstore, with the source's own endpoint and credentials."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import obstore
from obstore.exceptions import BaseError, GenericError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from abut.errors import SourceError, SourceUnavailableError
from abut.messages import describe
from abut.unusable import explained
from ingest.remote.access import PREFIX, bucket_access

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from obstore.store import RetryConfig

    from ingest.remote.access import BucketAccess

_CONNECT_TIMEOUT: Final = timedelta(seconds=10)
_REQUEST_TIMEOUT: Final = timedelta(seconds=120)
"""For one piece: 70 kB a second will do."""
_RETRIES: Final[RetryConfig] = {
    "max_retries": 5,
    "retry_timeout": timedelta(seconds=180),
    "backoff": {"init_backoff": timedelta(seconds=0.2), "max_backoff": timedelta(seconds=10), "base": 2},
}
_LASTING: Final = ("<Code>NoSuchBucket<", "<Code>InvalidBucketName<", "builder error", "/169.254.169.254/")
"""What errors say that no waiting helps against."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket that sources are read from."""

    name: str
    """Its name."""
    store: S3Store
    """The obstore store."""

    def url(self, key: str) -> str:
        """Return the URL of an object, for messages."""
        return f"s3://{self.name}/{key}"

    def sizes(self, folder: str, most: int) -> dict[str, int]:
        """Return key, relative to a folder, and bytes of all objects below it; no more than `most` and one.

        Raises
        ------
        SourceError
            If it can't be listed.
        """
        prefix = f"{folder.rstrip('/')}/" if folder else ""
        found: dict[str, int] = {}
        with _told(self.url(folder)):
            for batch in obstore.list(self.store, prefix or None):
                found |= {meta["path"].removeprefix(prefix): meta["size"] for meta in batch}
                if len(found) > most:
                    break
        found.pop(prefix.rstrip("/"), None)  # the marker of the folder itself
        return {key: size for key, size in found.items() if size or not _is_marker(key, found)}

    def children(self, folder: str) -> tuple[list[str], list[str]]:
        """Return the keys of folders, no slash at their ends, and of objects directly below a folder, sorted."""
        with _told(self.url(folder)):
            found = obstore.list_with_delimiter(self.store, f"{folder.rstrip('/')}/" if folder else None)
        folders = sorted(prefix.rstrip("/") for prefix in found["common_prefixes"])
        return folders, sorted(meta["path"] for meta in found["objects"])

    def object(self, key: str, size: int | None = None) -> BucketObject:
        """Return an object, whose size is asked for if it is not known.

        Raises
        ------
        SourceError
            If there is none, or it can't be read.
        """
        if size is None:
            with _told(self.url(key)):
                size = obstore.head(self.store, key)["size"]
        return BucketObject(self, key, size)


@dataclass(frozen=True, slots=True)
class BucketObject:
    """An object of a bucket, read piece by piece."""

    bucket: Bucket
    """Its bucket."""
    key: str
    """Its key."""
    size: int
    """Its bytes."""

    def read(self, start: int, stop: int) -> bytes:
        """Return some of its bytes, see `ingest.remote.ranges.Ranges`."""
        where = self.bucket.url(self.key)
        with _told(where):
            data = bytes(obstore.get_range(self.bucket.store, self.key, start=start, end=stop))
        if len(data) != stop - start:
            raise SourceUnavailableError(f"{where}: {len(data)} bytes came of the {stop - start} from {start} on")
        return data


def open_bucket(name: str, access: BucketAccess | None = None) -> Bucket:
    """Return a bucket of sources; nothing is asked yet.

    Parameters
    ----------
    name : str
        Its name.
    access : BucketAccess, optional
        How it is reached. Default: what the environment says, of sources or else as of archives.

    Raises
    ------
    SourceError
        If the environment says too little, or this is no name of a bucket.
    """
    access = access or bucket_access()
    plain = access.allow_http if access else os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true")
    options: Any = {"allow_http": plain, "connect_timeout": _CONNECT_TIMEOUT, "timeout": _REQUEST_TIMEOUT}
    try:
        return Bucket(name, S3Store(name, client_options=options, retry_config=_RETRIES, **_settings(access)))
    except (BaseError, ValueError) as error:
        raise SourceError(describe(error, f"s3://{name}")) from error


def _settings(access: BucketAccess | None) -> dict[str, Any]:
    """Return settings of obstore, all of those that it would else take from the archive's variables."""
    if access is None:
        return {}
    made: dict[str, Any] = {
        "endpoint": access.endpoint,
        "aws_endpoint_url_s3": access.endpoint,  # else the variable of this name goes before the endpoint
        "region": access.region,
        "virtual_hosted_style_request": access.virtual_hosted,
        "request_payer": access.requester_pays,
        "skip_signature": access.key is None,
    }
    if access.key is not None:
        found = {"access_key_id": access.key, "secret_access_key": access.secret, "token": access.token}
        # Not as settings: a session token of the archive's would go along.
        made["credential_provider"] = lambda: {**found, "expires_at": None}
    return made


def _is_marker(key: str, found: Mapping[str, int]) -> bool:
    """Whether an empty object stands for a folder, as some programs make them; its key has lost its last slash."""
    return "." not in key.rpartition("/")[2] or any(other.startswith(f"{key}/") for other in found)


@contextlib.contextmanager
def _told(url: str) -> Iterator[None]:
    """Tell what went wrong as an error of the source, and whether it may be right later."""
    try:
        yield
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise SourceError(
            f"{url}: access is denied; look at the credentials ({PREFIX}ACCESS_KEY_ID ..., or AWS_... if none of these "
            "is set) and at what they permit (GetObject, ListBucket)"
        ) from error
    except FileNotFoundError as error:
        raise SourceError(f"{url}: there is nothing") from error
    except BaseError as error:
        try:
            with explained(url):
                raise
        except OSError as known:
            lasting = not isinstance(error, GenericError) or any(mark in str(error) for mark in _LASTING)
            raise (SourceError if lasting else SourceUnavailableError)(str(known)) from error
