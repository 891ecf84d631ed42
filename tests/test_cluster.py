"""What Dask says is kept back while it is used; what a program's own event loop says is not."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import pytest

from abut.cluster import quiet

if TYPE_CHECKING:
    from collections.abc import Callable

SAID = logging.getLogger("asyncio")


def in_thread(name: str, work: Callable[[], None]) -> None:
    thread = threading.Thread(target=work, name=name)
    thread.start()
    thread.join()


def test_only_dasks_messages_are_kept_back(caplog: pytest.LogCaptureFixture) -> None:
    with quiet():
        with quiet():
            SAID.error("Task exception was never retrieved: mine")
        SAID.error("Task exception was never retrieved: defined at .../distributed/client.py:1")
        in_thread("IO loop", lambda: SAID.error("in the loop of Dask"))
        in_thread("another", lambda: SAID.error("in another loop"))
        logging.getLogger("distributed.worker").error("a worker died")
        logging.getLogger("tornado.general").error("a stream is closed")
    assert [record.getMessage() for record in caplog.records] == [
        "Task exception was never retrieved: mine",
        "in another loop",
    ]


def test_afterwards_everything_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with quiet():
        pass
    in_thread("IO loop", lambda: SAID.error("in the loop of Dask"))
    assert len(caplog.records) == 1
    assert SAID.filters == []


@pytest.mark.parametrize("name", ["distributed", "tornado"])
def test_levels_come_back(name: str) -> None:
    before = logging.getLogger(name).level
    with quiet():
        assert logging.getLogger(name).level > logging.CRITICAL
    assert logging.getLogger(name).level == before
