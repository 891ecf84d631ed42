"""Which errors may pass by themselves, so that it is worth to try again."""

from __future__ import annotations

import re
from typing import Final

from obstore.exceptions import GenericError

from abut.errors import CatalogueError, UnsupportedStoreError
from services.cubes.jobs import JobStoreError

_SETTLED: Final = re.compile(r"builder error|169\.254\.169\.254|NoSuchBucket|InvalidBucketName")
"""What stores and obstore say where plain HTTP is not permitted, credentials are missing, or a bucket is."""
_REFUSED: Final = re.compile(r"FATAL:(?!.*(starting up|shutting down|recovery|too many|connection slots|terminating))")
"""What PostgreSQL says to whom it knows but does not let in."""


_CONNECTIONS: Final = frozenset(
    {"OperationalError", "PostgresConnectionError", "OperatorInterventionError", "InsufficientResourcesError"}
)
"""Names of errors of the drivers of PostgreSQL, which are extras, that are about a connection or about the server."""


def passes(error: BaseException) -> bool:
    """Whether an error may pass by itself: a server that can't be reached, or is busy with its own start."""
    cause = error.__cause__
    if isinstance(error, UnsupportedStoreError):
        return isinstance(cause, GenericError) and not _SETTLED.search(str(cause))
    if isinstance(error, CatalogueError | JobStoreError):
        return cause is not None and _is_of_a_connection(cause) and not _REFUSED.search(str(cause))
    return isinstance(error, ConnectionError | TimeoutError) or _is_of_a_connection(error)


def _is_of_a_connection(error: BaseException) -> bool:
    return any(kind.__name__ in _CONNECTIONS and kind.__module__ != "sqlite3" for kind in type(error).__mro__)
