"""Why a store can't be used at all, as one error that names it and says what to look at."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Final

from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

from abut.errors import AbutError, UnsupportedStoreError
from abut.messages import describe

if TYPE_CHECKING:
    from collections.abc import Iterator

_CODE: Final = re.compile(r"<Code>(\w+)</Code>|\(code: (\w+)\)")
_REFUSED: Final = re.compile(r"non-2xx status code: 40[13]\b|\(code: AccessDenied\)")
_HINTS: Final = {
    "<Code>NoSuchBucket</Code>": "there is no such bucket",
    "<Code>InvalidBucketName</Code>": "this is no name of a bucket",
    "/169.254.169.254/": (
        "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_SKIP_SIGNATURE=true to read a bucket "
        "that is public"
    ),
    "builder error": "its endpoint is plain HTTP, which has to be permitted by AWS_ALLOW_HTTP=true",
}


def is_denied(error: BaseException) -> bool:
    """Whether a store's error is a refusal; obstore has errors of their own for those of objects, not of listings."""
    return isinstance(error, PermissionDeniedError | UnauthenticatedError) or bool(_REFUSED.search(str(error)))


@contextlib.contextmanager
def explained(url: str) -> Iterator[None]:
    """Explain errors of requests to a store; `abut.store.Store` does so for all that only read.

    Raises
    ------
    UnsupportedStoreError
        If access is denied, the bucket does not exist, or the server can't be reached.
    """
    try:
        yield
    except AbutError:
        raise
    except (BaseError, FileNotFoundError) as error:
        if is_denied(error):
            code = _CODE.search(str(error))
            reason = f" ({code[1] or code[2]})" if code else ""
            raise UnsupportedStoreError(
                f"{url}: access is denied{reason}; look at the credentials and at what they permit (reading needs "
                "GetObject and ListBucket, writing PutObject and DeleteObject too)"
            ) from error
        hint = next((hint for mark, hint in _HINTS.items() if mark in str(error)), None)
        raise UnsupportedStoreError(f"{url}: {hint}" if hint else describe(error, url)) from error
