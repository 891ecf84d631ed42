"""Running the service: a socket, one process or several, and an end that lets requests in flight finish."""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import secrets
import signal
import socket
import threading
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import uvicorn
from pydantic import SecretStr
from uvicorn.supervisors import Multiprocess

from abut.errors import AbutError
from services import traces
from services.app import create_app
from services.backends import require_catalogue, uses_catalogue
from services.logs import configure_logging
from services.metrics import shared_by_workers
from services.scratch import private
from services.settings import secrets_of
from services.waiting import PATIENCE, PATIENCE_CHECKED, waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.process import BaseProcess

    from starlette.types import ASGIApp

    from services.settings import Settings


class AddressError(AbutError, OSError):
    """The service can't listen where it is to."""


@dataclass(frozen=True, slots=True)
class Listening:
    """A socket that clients can connect to already."""

    socket: socket.socket
    """The socket."""
    url: str
    """Where it listens, as a URL."""


def listen(host: str, port: int) -> Listening:
    """Begin to listen.

    Raises
    ------
    AddressError
        If there is no such address here, the port is in use, or it is not permitted.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise AddressError(f"{host}:{port}: {error.strerror}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise AddressError(f"{host}:{port}: {error.strerror}") from error
    listener.set_inheritable(True)
    name = f"[{host}]" if ":" in host else host
    return Listening(listener, f"http://{name}:{listener.getsockname()[1]}")


def serve(settings: Settings, listening: Listening, begin: Callable[[], None], *, checked: bool = True) -> bool:
    """Answer until the process is told to end by SIGINT or SIGTERM.

    Parameters
    ----------
    settings : Settings
        What the operator decided.
    listening : Listening
        The socket; it is closed at the end.
    begin : callable
        Called as soon as signals are heeded, to tell the world.
    checked : bool
        Whether archive and catalogue have been opened and found right; else that is done when they answer.

    Returns
    -------
    bool
        Whether the application could be started.
    """
    traces.require()
    with shared_by_workers(settings.workers), _shared_snapshots(_with_ticket_key(settings)) as shared:
        return _serve(shared, listening, begin, checked=checked)


def _serve(settings: Settings, listening: Listening, begin: Callable[[], None], *, checked: bool) -> bool:
    configure_logging(settings.log_level, settings.log_format, secrets_of(settings))
    config = uvicorn.Config(
        partial(served_app, settings, checked=checked),
        factory=True,
        workers=settings.workers,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # services.proxy does more
        lifespan="on",
        timeout_graceful_shutdown=settings.shutdown_seconds,
        timeout_keep_alive=75,  # longer than proxies keep theirs
        timeout_worker_healthcheck=30,  # a worker answers only once its modules are loaded
        ws="none",
    )
    with listening.socket, _endings():
        begin()
        if settings.workers > 1:
            supervisor = Multiprocess(config, [listening.socket])
            supervisor.run()
            return all(process.exitcode in (0, -signal.SIGTERM, -signal.SIGINT) for process in supervisor.processes)
        server = uvicorn.Server(config)
        try:
            server.run([listening.socket])
        except (
            SystemExit
        ) as end:  # of a signal; or uvicorn's way to say that the application did not start: it is logged
            return end.code == 0
        return server.started


def served_app(settings: Settings, *, checked: bool) -> ASGIApp:
    """Return the application of a worker, which has logs and a folder for temporary files of its own to set up."""
    configure_logging(settings.log_level, settings.log_format, secrets_of(settings))
    traces.begin()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), name="abut-parent", daemon=True).start()
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(private(settings.scratch, "abut-scratch"))
        own = settings.model_copy(update={"scratch": str(scratch)})
        atexit.register(stack.pop_all().close)

    def make() -> ASGIApp:
        if not checked and uses_catalogue(settings):
            require_catalogue(settings)
        return create_app(own)

    return waiting(make, settings, PATIENCE_CHECKED if checked else PATIENCE)


def _end_with(parent: BaseProcess) -> None:
    """End this worker in order when its supervisor was killed: it would answer for ever, and keep the port."""
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


def _with_ticket_key(settings: Settings) -> Settings:
    """Give all workers one key, so that each knows the tickets of the others."""
    if settings.ticket_key is not None:
        return settings
    return settings.model_copy(update={"ticket_key": SecretStr(secrets.token_urlsafe(32))})


@contextlib.contextmanager
def _shared_snapshots(settings: Settings) -> Iterator[Settings]:
    """Give several workers a folder in which they tell each other of snapshots of zones."""
    if settings.workers == 1 or settings.zone_snapshots:
        yield settings
        return
    with private(None, "abut-snapshots") as folder:
        yield settings.model_copy(update={"zone_snapshots": str(folder)})


@contextlib.contextmanager
def _endings() -> Iterator[None]:
    """Make the signals that end a service end it in order, whenever they come.

    While the server runs it has handlers of its own; it raises the signals once more when it is done. A signal that
    comes before it took over, or after, ends the process here, so that none is lost in between.
    """

    def end(*_: object) -> None:
        raise SystemExit(0)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
