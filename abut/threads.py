"""Work done by several threads at once, taken job by job from an iterator."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def for_each[T](jobs: Iterable[T], do: Callable[[T], object], threads: int) -> None:
    """Do all jobs; the first error stops the rest and is raised.

    A queue of futures would grow with the number of jobs; here memory doesn't depend on it. Context variables are those
    of the caller, so that what is logged in a thread has the id of the request.

    Parameters
    ----------
    jobs : iterable
        What is to be done; taken one by one, when a thread is free.
    do : callable
        Does one; called by several threads at once.
    threads : int
        How many threads. With one, the calling thread does it all.
    """
    queue, lock, stop = iter(jobs), threading.Lock(), threading.Event()
    nothing = object()

    def work() -> None:
        try:
            while not stop.is_set():
                with lock:
                    job = next(queue, nothing)
                if job is nothing:
                    return
                do(job)  # type: ignore[arg-type]  # it is not the mark
        except BaseException:
            stop.set()
            raise

    if threads <= 1:
        work()
        return
    with ThreadPoolExecutor(threads, "abut") as pool:
        try:
            for done in [pool.submit(copy_context().run, work) for _ in range(threads)]:
                done.result()
        except BaseException:
            stop.set()  # an interrupt of the waiting thread: the others stop after their present job
            raise
