"""Requests to an S3 store that are made again, where obstore leaves off, so that what they did is known exactly.

obstore repeats what can be repeated blindly. A conditional write can't: the answer to a write that succeeded may be
lost, and the second try is then refused because of the first. It makes a write anew after an error of the server and
after a connection that ended, and the refusal looks as if another writer had been faster; other failures it hands on.
So each conditional write carries a mark of its own as metadata of the object; after a refusal, or a failure, the mark
of what is there tells whose it is.
"""

from __future__ import annotations

import re
import secrets
import time
from typing import TYPE_CHECKING, Final

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, GenericError, PreconditionError

from abut import meter

if TYPE_CHECKING:
    from collections.abc import Callable

    from obstore.store import S3Store

MARK: Final = "abut-write"
"""Name of the metadata that say which write made an object (``x-amz-meta-abut-write``)."""
RETRIES: Final = 5
"""How often obstore makes a request again."""
PAUSES: Final = (0.2, 0.4, 0.8, 1.6)
"""Seconds before each further try of what obstore does not repeat."""
_LONGEST: Final = 90.0
"""Seconds since the first try after which there is no further one."""
_BROKEN: Final = re.compile(r"HTTP error|response body")
_EXHAUSTED: Final = f"after {RETRIES} retries"


def tried[T](call: Callable[[], T]) -> T:
    """Make a request that may be made twice, again after the connection broke.

    Parameters
    ----------
    call : callable
        Makes it; what it does twice has to be the same as once.

    Raises
    ------
    obstore.exceptions.BaseError
        The last try's, or any that another try does not cure.
    """
    started = time.monotonic()
    for pause in PAUSES:
        try:
            return call()
        except GenericError as error:
            if not _may_pass(error, started):
                raise
        time.sleep(pause)
    return call()


def put_if(backend: S3Store, key: str, data: bytes, version: str | None) -> str | None:
    """Write an object if it is still of a version (None: if there is none).

    Parameters
    ----------
    backend : S3Store
        Where to.
    key : str
        Its key.
    data : bytes
        Its bytes.
    version : str or None
        ETag.

    Returns
    -------
    str or None
        The new ETag; None, and nothing changed, if the object had another version. Should others have replaced what
        this call wrote before its lost answer was asked about, that is None too.

    Raises
    ------
    FileNotFoundError
        If there is no such bucket.
    obstore.exceptions.BaseError
        If it is not known, after several tries, whether it was written, or it can't be.
    """
    mark, started = secrets.token_hex(16), time.monotonic()
    for pause in (*PAUSES, None):
        try:
            made = obstore.put(
                backend,
                key,
                data,
                mode="create" if version is None else {"e_tag": version},
                attributes={MARK: mark},
                use_multipart=False,
            )
            return str(made["e_tag"])
        except (AlreadyExistsError, PreconditionError):
            found = _found(backend, key)
            if found is not None and found[0] == mark:
                return found[1]
            if found is not None or version is not None or pause is None:
                return None  # if nothing is there, a create was refused because of a write that has gone again
        except FileNotFoundError:
            if version is None:
                raise
            return None
        except GenericError as error:
            if pause is None or not _may_pass(error, started):
                raise
            try:
                found = _found(backend, key)
            except BaseError:
                raise error from None
            if found is not None and found[0] == mark:
                return found[1]
        time.sleep(pause)
    raise AssertionError("unreachable: the last try returns or raises")


def _found(backend: S3Store, key: str) -> tuple[str | None, str] | None:
    """Return mark and ETag of an object, or None if there is none."""
    with meter.request("head") as asked:
        try:
            found = tried(lambda: obstore.get(backend, key, options={"head": True}))
        except FileNotFoundError:
            asked.outcome = "missing"
            return None
    return found.attributes.get(MARK), str(found.meta["e_tag"])


def is_broken(error: GenericError) -> bool:
    """Whether the connection broke, and obstore has not tried again as often as it may."""
    text = str(error).partition("\n\nDebug source:")[0]
    return _BROKEN.search(text) is not None and _EXHAUSTED not in text and "builder error" not in text


def _may_pass(error: GenericError, started: float) -> bool:
    return is_broken(error) and time.monotonic() - started < _LONGEST
