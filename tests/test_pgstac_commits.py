"""Commits whose answer gets lost on the way: PostgreSQL is asked about them before anything is done again."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from catalog.pgstac import open_pgstac
from tests.writing import PHOTOS, photo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from catalog.pgstac import PgstacCatalogue


@contextlib.contextmanager
def losing_commits(url: str) -> Iterator[tuple[str, list[int]]]:
    """A way to PostgreSQL that passes commits on, and gives up the connection instead of the answer, as often as said.

    Yields
    ------
    tuple of str and list of int
        URL of the way; how many of the next commits are concerned.
    """
    parts = urlsplit(url)
    left = [0]
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=passed_on, args=(listening.accept()[0],), daemon=True).start()

    def passed_on(client: socket.socket) -> None:
        server = socket.create_connection((parts.hostname or "", parts.port or 0))
        lost = threading.Event()
        back = threading.Thread(target=answers, args=(server, client, lost), daemon=True)
        back.start()
        with contextlib.suppress(OSError):
            while sent := client.recv(65_536):
                if b"COMMIT" in sent and left[0]:
                    left[0] -= 1
                    lost.set()
                server.sendall(sent)
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_WR)

    def answers(server: socket.socket, client: socket.socket, lost: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while (received := server.recv(65_536)) and not lost.is_set():
                client.sendall(received)
        for end in (client, server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield url.replace(f":{parts.port}/", f":{listening.getsockname()[1]}/"), left
    finally:
        listening.close()


def test_a_commit_whose_answer_got_lost_is_not_done_twice(pgstac_url: str) -> None:
    with losing_commits(pgstac_url) as (way, left), open_pgstac(way) as catalogue:

        def lost(times: int) -> PgstacCatalogue:
            left[0] = times
            return catalogue

        lost(1).put_collection(PHOTOS)
        assert lost(1).insert([photo("a"), photo("b")]) == []
        assert lost(1).insert([photo("a")]) == ["a"]
        assert lost(1).replace_if(photo("a", title="new"), photo("a")) == "written"
        assert lost(1).replace_if(photo("a", title="late"), photo("a")) == "changed"
        assert lost(1).remove_if(photo("a", title="new"))
        assert lost(1).remove("b", "field-photos")
        assert not lost(1).remove("b", "field-photos")
        assert left == [0]
        assert catalogue.ids("field-photos") == set()
        assert lost(1).remove_collection("field-photos")
