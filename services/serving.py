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
from services.heads import Bounded
from services.logs import configure_logging
from services.metrics import shared_by_workers
from services.scratch import private
from services.settings import secrets_of
from services.waiting import PATIENCE, PATIENCE_CHECKED, tried, waiting

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


def serve(settings: Settings, listening: Listening, begin: Callable[[], None]) -> bool:
    """Answer until the process is told to end by SIGINT or SIGTERM.

    Parameters
    ----------
    settings : Settings
        What the operator decided.
    listening : Listening
        The socket; it is closed at the end.
    begin : callable
        Called as soon as nothing is wrong that an operator has to put right, to tell the world.

    Returns
    -------
    bool
        Whether the application could be started.

    Raises
    ------
    AbutError, ModuleNotFoundError
        If something is; a store or database that does not answer is waited for, see `services.waiting`.
    """
    traces.require()
    with shared_by_workers(settings.workers), _shared_snapshots(_with_ticket_key(settings)) as shared:
        return _serve(shared, listening, begin)


def _serve(settings: Settings, listening: Listening, begin: Callable[[], None]) -> bool:
    with listening.socket, _endings():
        if settings.workers > 1:
            return _serve_by_workers(settings, listening, begin)
        server = uvicorn.Server(_config(settings, _application(settings)))
        begin()
        try:
            server.run([listening.socket])
        except (
            SystemExit
        ) as end:  # of a signal; or uvicorn's way to say that the application did not start: it is logged
            return end.code == 0
        return server.started


def _serve_by_workers(settings: Settings, listening: Listening, begin: Callable[[], None]) -> bool:
    configure_logging(settings.log_level, settings.log_format, secrets_of(settings))
    checked = tried(lambda: _made(settings))  # what is wrong is said here, in one line; by workers, again and again
    supervisor = Multiprocess(_config(settings, partial(served_app, settings, checked=checked)), [listening.socket])
    begin()
    supervisor.run()
    return all(process.exitcode in (0, -signal.SIGTERM, -signal.SIGINT) for process in supervisor.processes)


def _config(settings: Settings, app: ASGIApp | Callable[[], ASGIApp]) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        factory=settings.workers > 1,
        workers=settings.workers,
        http=Bounded,
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


def served_app(settings: Settings, *, checked: bool) -> ASGIApp:
    """Return the application of a worker.

    Parameters
    ----------
    settings : Settings
        What the operator decided.
    checked : bool
        Whether archive and catalogue have been opened and found right; else that is done when they answer.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), name="abut-parent", daemon=True).start()
    own = _set_up(settings)
    make = partial(create_app, own) if checked else partial(_made, own)
    return waiting(make, settings, PATIENCE_CHECKED if checked else PATIENCE)


def _application(settings: Settings) -> ASGIApp:
    """Return the application of a process that answers alone, made if it can be by now: once, which takes long."""
    own = _set_up(settings)
    made: list[ASGIApp] = []
    checked = tried(lambda: made.append(_made(own)))
    return waiting(lambda: made.pop() if made else _made(own), settings, PATIENCE_CHECKED if checked else PATIENCE)


def _set_up(settings: Settings) -> Settings:
    """Give this process, which answers, logs, traces and a folder for temporary files of its own."""
    configure_logging(settings.log_level, settings.log_format, secrets_of(settings))
    traces.begin()
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(private(settings.scratch, "abut-scratch"))
        atexit.register(stack.pop_all().close)
    return settings.model_copy(update={"scratch": str(scratch)})


def _made(settings: Settings) -> ASGIApp:
    """Return the application over an archive and a catalogue that are opened and found right first."""
    return create_app(settings, require_catalogue(settings) if uses_catalogue(settings) else None)


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
