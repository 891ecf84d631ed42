"""Structured logs: one line for each request, JSON for machines or text for people, and ids that join them.

Every answer carries ``X-Request-ID``: the client's own, if it is a sane one, else one made here. Whatever is logged
while a request is answered carries the id too. An exception that nobody caught is logged with its traceback; the
client gets the id and nothing else.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import secrets
import sys
import time
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal, override
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException

from abut.hiding import hide
from abut.messages import describe
from services import traces
from services.answers import problem
from services.settings import InvalidSettingError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER: Final = "x-request-id"
"""Name of the header with the id."""

_SANE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+=-]{0,127}", re.ASCII)
_LONGEST: Final = 2048
_REQUESTS: Final = logging.getLogger("abut.requests")
_REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
_JOB: ContextVar[str] = ContextVar("job", default="")
_COLOURS: Final = {"WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[31m"}


def request_id() -> str:
    """Return the id of the request that is being answered, or nothing outside of one."""
    return _REQUEST_ID.get()


def origin() -> dict[str, str]:
    """Return what joins later work to the request that is being answered: its id, and its span if there is one."""
    told = {"request_id": request_id(), "traceparent": traces.traceparent()}
    return {name: value for name, value in told.items() if value}


@contextmanager
def within(request: str, job: str) -> Iterator[None]:
    """Log what is done in the block with the ids of a job and of the request that asked for it."""
    tokens = _REQUEST_ID.set(request), _JOB.set(job)
    try:
        yield
    finally:
        _REQUEST_ID.reset(tokens[0])
        _JOB.reset(tokens[1])


@cache
def configure_worker() -> None:
    """Set up logs and traces of a worker of Dask, which has the environment of a service and not its settings.

    Dask's own logs stay as they are unless ABUT_LOG_FORMAT says ``json``.
    """
    level = os.environ.get("ABUT_LOG_LEVEL", "INFO").upper()
    if os.environ.get("ABUT_LOG_FORMAT") == "json" and level in logging.getLevelNamesMapping():
        configure_logging(level, "json")
    try:
        traces.begin()
    except (InvalidSettingError, ModuleNotFoundError) as error:
        logging.getLogger("abut.services").warning("no traces: %s", describe(error))


def configure_logging(
    level: str = "INFO", form: Literal["auto", "json", "text"] = "auto", secrets: Iterable[str] = ()
) -> None:
    """Send all logs of the process to stderr.

    Parameters
    ----------
    level : str
        Least level that is logged, such as ``INFO``.
    form : str
        ``json``: one object a line; ``text``: for people; ``auto``: text if stderr is a terminal.
    secrets : iterable of str
        What no line shows, whoever writes it; values of the environment that are secrets by their names neither.
    """
    told = (*secrets, *(value for name, value in os.environ.items() if _is_secret(name)))
    written = {form for value in told for form in (value, quote(value, safe=""))}  # as URLs have them, too
    known = sorted(written, key=len, reverse=True)  # one may be the beginning of another
    handler = logging.StreamHandler(sys.stderr)
    as_text = form == "text" or (form == "auto" and sys.stderr.isatty())
    colours = sys.stderr.isatty()
    handler.setFormatter(TextFormatter(colours=colours, secrets=known) if as_text else JsonFormatter(secrets=known))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.captureWarnings(capture=True)  # or they would be lines of another form, between those of the log
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = name != "uvicorn.access"  # a line for each request is written here
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(max(logging.getLevelNamesMapping()[level], logging.WARNING))


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def __init__(self, *, secrets: Collection[str] = ()) -> None:
        super().__init__()
        self._secrets = secrets

    @override
    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "request", None)
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": "request" if fields else hide(_said(record), self._secrets),
        }
        if request_id():
            line["request_id"] = request_id()
        if _JOB.get():
            line["job"] = _JOB.get()
        if trace := traces.trace_id():
            line["trace_id"] = trace
        for name, value in (fields or {}).items():
            line[name] = hide(value, self._secrets) if isinstance(value, str) else value
        if record.exc_info and record.levelno != logging.WARNING:
            line["traceback"] = hide(self.formatException(record.exc_info), self._secrets)
        return json.dumps(line, default=str)  # in ASCII: nothing in it can end the line


class TextFormatter(logging.Formatter):
    """A line for people: ``12:30:01 INFO GET /stac/search 200 4.1 ms 8123 B (127.0.0.1, 5f2c...)``."""

    def __init__(self, *, colours: bool = False, secrets: Collection[str] = ()) -> None:
        super().__init__()
        self._colours, self._secrets = colours, secrets

    @override
    def format(self, record: logging.LogRecord) -> str:
        clock = datetime.fromtimestamp(record.created, UTC).astimezone().strftime("%H:%M:%S")
        text = f"{clock} {record.levelname:<7} {_printable(_said(record))}"
        if self._colours and record.levelname in _COLOURS:
            text = f"{_COLOURS[record.levelname]}{text}\x1b[0m"
        if request_id() and record.levelno >= logging.WARNING:
            text = f"{text} [{request_id()}]"
        if record.exc_info and record.levelno != logging.WARNING:
            text = f"{text}\n{self.formatException(record.exc_info)}"
        return hide(text, self._secrets)


def with_logs(app: ASGIApp) -> ASGIApp:
    """Return an application that logs each request, gives it an id, and turns stray exceptions into error answers."""

    async def logged(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        asked = Headers(scope=scope).get(HEADER, "")
        name = asked if _SANE.fullmatch(asked) else secrets.token_hex(8)
        token = _REQUEST_ID.set(name)
        answer = _Answer(send, name)
        started = time.perf_counter()
        try:
            await app(scope, receive, answer.send)
            await answer.flush()
        except asyncio.CancelledError:  # the service ends and waits no longer; it cancels nothing else
            await answer.replace(scope, receive, 503, "the service ends; try again")
        except HTTPException as error:
            await answer.replace(scope, receive, error.status_code, error.detail)
        except Exception:  # noqa: BLE001 - whatever it is, the client gets an answer and the log the traceback
            _REQUESTS.exception("%s %s failed", scope["method"], scope["path"][:_LONGEST])
            await answer.replace(scope, receive, 500, f"something went wrong; the log has it under {name}")
        finally:
            _log(scope, answer, time.perf_counter() - started)
            _REQUEST_ID.reset(token)

    return logged


class _Answer:
    """What is sent to a client: counted, with the id; a 500 is held back until it is known who speaks last."""

    def __init__(self, send: Send, name: str) -> None:
        self._send, self._name = send, name
        self._held: list[Message] = []
        self.status = 0
        self.bytes = 0

    async def send(self, message: Message) -> None:
        """Send a message on, or hold it back."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message.setdefault("headers", [])
            MutableHeaders(scope=message)[HEADER] = self._name
        if self.status == 500 and (self._held or message["type"] == "http.response.start"):
            self._held.append(message)
            return
        self.bytes += len(message.get("body", b""))
        await self._send(message)

    async def flush(self) -> None:
        """Send what was held back."""
        held, self._held = self._held, []
        for message in held:
            self.bytes += len(message.get("body", b""))
            await self._send(message)

    async def replace(self, scope: Scope, receive: Receive, status: int, description: str) -> None:
        """Send an error instead of what was held back; an answer that has begun can only be cut off."""
        if self.status and not self._held:
            return
        self._held, self.status = [], 0
        await problem(status, description, request_id=self._name)(scope, receive, self.send)
        await self.flush()


def _log(scope: Scope, answer: _Answer, seconds: float) -> None:
    client = scope.get("client")
    query = scope.get("query_string", b"").decode("latin-1")
    fields = {
        "method": scope["method"],
        "path": scope["path"][:_LONGEST],
        "query": query[:_LONGEST],
        "status": answer.status,
        "duration_ms": round(seconds * 1000, 2),
        "bytes": answer.bytes,
        "client": client[0] if client else "",
    }
    target = f"{fields['path']}?{fields['query']}" if query else fields["path"]
    _REQUESTS.log(
        logging.ERROR if answer.status >= 500 else logging.INFO,
        "%s %s %s %.1f ms %s B %s",
        *(fields["method"], target, answer.status, seconds * 1000, answer.bytes, fields["client"]),
        extra={"request": fields},
    )


def _said(record: logging.LogRecord) -> str:
    """Return what a record says; a warning, which tells of what was got over, has its cause in place of a traceback."""
    if record.levelno == logging.WARNING and record.exc_info and record.exc_info[1]:
        return f"{record.getMessage()}: {describe(record.exc_info[1])}"
    return record.getMessage()


def _is_secret(name: str) -> bool:
    return name.upper().endswith(("PASSWORD", "SECRET", "TOKEN", "TOKENS", "SECRET_ACCESS_KEY", "_KEY"))


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _printable(text: str) -> str:
    """Escape what could look like another line, or move a terminal's cursor."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
