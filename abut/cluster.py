"""Workers of Dask: processes on this machine, or wherever a scheduler has some. Needs an extra, as Dask is one."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import dask
import distributed
from dask.system import CPU_COUNT
from distributed.system import MEMORY_LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKER_BYTES: Final = 600_000_000
"""Memory that one worker needs."""

CONNECT_SECONDS: Final = 20
"""How long to wait for a scheduler, and for workers."""

_LOOP: Final = "IO loop"
"""Name of the thread in which Dask's event loop runs."""

_dask: Any = distributed  # some of its functions carry types and most do not; as Any they can be called

# Workers are processes with one thread: what the libraries below would start on their own would only compete.
_ENVIRONMENT: Final = dict.fromkeys(("GDAL_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def suggested_workers() -> int:
    """Return how many workers this machine, or the container's share of it, can feed: by cores and by memory."""
    return max(1, min(CPU_COUNT, MEMORY_LIMIT // WORKER_BYTES))


@contextmanager
def local_cluster(workers: int, *, tries: int = 4) -> Iterator[Any]:
    """Start worker processes of one thread each on this machine, and end them whatever happens; yields a client.

    Parameters
    ----------
    workers : int
        How many; one that dies is replaced.
    tries : int
        How often a task is begun whose workers die.
    """
    with (
        quiet(),
        _dask.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            memory_limit=0,  # sized beforehand; a worker that is paused or killed half-way helps no one
            dashboard_address=None,
            scheduler_kwargs={
                "dashboard_address": "127.0.0.1:0",  # else it asks for port 8787, and complains
                "allowed_failures": tries - 1,
            },
            silence_logs=logging.CRITICAL,
            env=_ENVIRONMENT,
        ) as cluster,
        _dask.Client(cluster, timeout=CONNECT_SECONDS, set_as_default=False) as client,
    ):
        yield client


@contextmanager
def remote_cluster(scheduler: str) -> Iterator[Any]:
    """Connect to a scheduler, such as ``tcp://10.0.0.5:8786``; yields a client.

    Raises
    ------
    OSError
        If none answers.
    """
    with quiet():
        try:
            client = _dask.Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:
            raise OSError(f"scheduler {scheduler}: {' '.join(str(error).split())}") from error
        with client:
            yield client


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Dask's own messages to itself; what matters is said by Abut.

    Of what asyncio says that alone is kept back which is about Dask: the program may have event loops of its own.
    """

    def is_of_others(record: logging.LogRecord) -> bool:
        return record.threadName != _LOOP and "distributed" not in record.getMessage()

    loggers, shared = [logging.getLogger(name) for name in ("distributed", "tornado")], logging.getLogger("asyncio")
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    shared.addFilter(is_of_others)
    try:
        with dask.config.set(
            {"distributed.comm.timeouts.connect": CONNECT_SECONDS, "distributed.admin.tick.limit": "1h"}
        ):
            yield
    finally:
        shared.removeFilter(is_of_others)
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
