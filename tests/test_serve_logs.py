"""Logs of the services: one line a request, ids that join them, and exceptions that only the log sees."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import BaseRoute, Route

from abut.threads import for_each
from services.cubes.execution import Stop, Workshop
from services.logs import JsonFormatter, TextFormatter, configure_logging, origin, with_logs, within

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What the root logger writes as JSON."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    root.handlers[:] = [handler]
    root.setLevel("INFO")
    logging.getLogger("httpx").setLevel("WARNING")  # the client of these tests is in this process
    yield stream
    logging.getLogger("httpx").setLevel(logging.NOTSET)
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(written: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


def ask(app: ASGIApp, path: str, **headers: str) -> httpx.Response:
    names = {name.replace("_", "-"): value for name, value in headers.items()}

    async def call() -> httpx.Response:
        transport = httpx.ASGITransport(app, client=("192.0.2.7", 50_000))
        async with httpx.AsyncClient(transport=transport, base_url="http://abut") as client:
            return await client.get(path, headers=names)

    return asyncio.run(call())


async def fine(request: Request) -> PlainTextResponse:
    logging.getLogger("abut.inner").info("at work")
    return PlainTextResponse("x" * int(request.query_params.get("size", "5")))


async def broken(_: Request) -> PlainTextResponse:
    raise RuntimeError("the secret reason")


async def cut(_: Request) -> StreamingResponse:
    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        raise RuntimeError("the disk is gone")

    return StreamingResponse(body())


async def own(_: Request) -> PlainTextResponse:
    return PlainTextResponse("known trouble", 500)


ROUTES: list[BaseRoute] = [Route("/fine", fine), Route("/broken", broken), Route("/cut", cut), Route("/own", own)]
APP = with_logs(Starlette(routes=ROUTES))


def test_each_request_is_one_line_with_what_happened(written: io.StringIO) -> None:
    answer = ask(APP, "/fine?size=12")
    inner, line = lines(written)
    assert line == {
        "time": line["time"],
        "level": "info",
        "logger": "abut.requests",
        "message": "request",
        "request_id": answer.headers["x-request-id"],
        "method": "GET",
        "path": "/fine",
        "query": "size=12",
        "status": 200,
        "duration_ms": line["duration_ms"],
        "bytes": 12,
        "client": "192.0.2.7",
    }
    assert line["duration_ms"] >= 0
    assert inner["message"] == "at work"
    assert inner["request_id"] == line["request_id"]


def test_every_request_has_an_id_of_its_own() -> None:
    ids = {ask(APP, "/fine").headers["x-request-id"] for _ in range(10)}
    assert len(ids) == 10


def test_a_sane_id_of_the_client_is_kept(written: io.StringIO) -> None:
    assert ask(APP, "/fine", x_request_id="job-7.a:1/b").headers["x-request-id"] == "job-7.a:1/b"
    assert lines(written)[-1]["request_id"] == "job-7.a:1/b"


@pytest.mark.parametrize("name", ["", " ", "a b", "a" * 129, '"', "-a", "<script>", "a;b"])
def test_any_other_id_is_replaced(name: str) -> None:
    given = ask(APP, "/fine", x_request_id=name).headers["x-request-id"]
    assert given != name
    assert len(given) == 16


def test_an_exception_is_logged_with_its_traceback_and_the_client_gets_its_id(written: io.StringIO) -> None:
    for app in (APP, with_logs(FastAPI(routes=ROUTES)), with_logs(Route("/broken", broken).app)):
        answer = ask(app, "/broken")
        name = answer.headers["x-request-id"]
        assert answer.status_code == 500
        assert answer.json() == {
            "code": "InternalServerError",
            "description": f"something went wrong; the log has it under {name}",
            "request_id": name,
        }
        failure, line = lines(written)[-2:]
        assert failure["request_id"] == line["request_id"] == name
        assert "RuntimeError: the secret reason" in failure["traceback"]
        assert (line["level"], line["status"]) == ("error", 500)


def test_an_answer_of_status_500_that_an_application_chose_stays() -> None:
    answer = ask(APP, "/own")
    assert (answer.status_code, answer.text) == (500, "known trouble")


def test_an_answer_that_breaks_off_is_logged(written: io.StringIO) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "GET", "path": "/cut", "headers": [], "query_string": b""}

    async def call() -> None:
        await APP({**scope, "http_version": "1.1"}, receive, send)

    asyncio.run(call())
    assert sent[-1] == {"type": "http.response.body", "body": b"first", "more_body": True}
    failure, line = lines(written)
    assert "the disk is gone" in failure["traceback"]
    assert line["bytes"] == 5


@pytest.mark.parametrize("path", ["/slow", "/begun"])
def test_a_request_that_is_given_up_as_the_service_ends_is_no_500(written: io.StringIO, path: str) -> None:
    """The server cancels what takes longer than it may then, or when somebody insists."""
    begun = asyncio.Event()
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def app(scope: Scope, _: Receive, send: Send) -> None:
        if scope["path"] == "/begun":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"first", "more_body": True})
        begun.set()
        await asyncio.sleep(60)

    async def send(message: Message) -> None:
        sent.append(message)

    async def call() -> None:
        scope = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b""}
        task = asyncio.ensure_future(with_logs(app)(scope, receive, send))
        await begun.wait()
        task.cancel()
        await task

    asyncio.run(call())
    assert len(sent) == 2
    assert sent[0]["status"] == (503 if path == "/slow" else 200)
    assert sent[1].get("more_body", False) == (path == "/begun")
    (line,) = lines(written)
    assert (line["status"], "traceback" in line) == (sent[0]["status"], False)


def test_nothing_in_a_request_can_look_like_another_line() -> None:
    record = logging.LogRecord("abut", logging.INFO, "", 0, "GET /a\nERROR \x1b[31m\u2028fake", (), None)
    assert TextFormatter().format(record).count("\n") == 0
    assert "\x1b" not in TextFormatter().format(record)
    assert "\\n" in TextFormatter().format(record)
    assert len(JsonFormatter().format(record).splitlines()) == 1


def test_what_was_got_over_is_one_line_with_its_cause() -> None:
    """As asyncpg's pool says it, once a connection, whenever the database is away."""
    try:
        raise ConnectionRefusedError(111, "nobody there")
    except ConnectionRefusedError:
        told = logging.getLogger().makeRecord("pool", logging.WARNING, "f", 1, "trying again", (), sys.exc_info())
    line = json.loads(JsonFormatter().format(told))
    assert line["message"].startswith("trying again: ")
    assert "nobody there" in line["message"]
    assert "traceback" not in line
    assert TextFormatter().format(told).splitlines()[0].endswith("nobody there")
    assert "Traceback" not in TextFormatter().format(told)


def test_uvicorn_logs_requests_no_second_time(capsys: pytest.CaptureFixture[str], written: io.StringIO) -> None:
    configure_logging("INFO", "json")
    logging.getLogger("uvicorn.access").info("GET / 200")
    logging.getLogger("uvicorn.error").info("Started")
    logging.getLogger("httpx").info("HTTP Request")
    logging.getLogger("abut").debug("details")
    printed = capsys.readouterr().err.splitlines()
    assert [json.loads(line)["message"] for line in printed] == ["Started"]
    assert written.getvalue() == ""


def test_text_is_for_people(capsys: pytest.CaptureFixture[str], written: io.StringIO) -> None:
    configure_logging("INFO", "text")
    ask(APP, "/fine")
    inner, line = capsys.readouterr().err.splitlines()
    assert inner.endswith("INFO    at work")
    assert "GET /fine 200" in line
    assert "192.0.2.7" in line
    assert not written.getvalue()


def test_what_threads_log_for_a_request_has_its_id(written: io.StringIO) -> None:
    """Those in which cubes and pictures are made, and those that read objects for them."""
    workshop = Workshop(threads=2, waiting=2, per_user=2, seconds=10, name="test")

    def read(number: int) -> None:
        logging.getLogger("abut.inner").info("object %s", number)

    def work(_: Stop) -> str:
        logging.getLogger("abut.inner").info("cube")
        for_each(range(4), read, 3)
        return origin()["request_id"]

    async def made(request: Request) -> PlainTextResponse:
        return PlainTextResponse(await workshop.run(request, "me", work))

    app = with_logs(Starlette(routes=[Route("/", made)]))
    for name in ("first", "second"):
        assert ask(app, "/", x_request_id=name).text == name
    workshop.close()
    found = [(line["message"], line["request_id"]) for line in lines(written)]
    for name in ("first", "second"):
        assert sorted(text for text, one in found if one == name) == [
            *("cube", "object 0", "object 1", "object 2", "object 3", "request")
        ]


def test_what_is_logged_for_a_job_has_its_id_and_that_of_the_request(written: io.StringIO) -> None:
    log = logging.getLogger("abut.inner")
    with within("asked", "a-job"):
        log.info("inside")
    log.info("outside")
    inside, outside = lines(written)
    assert (inside["request_id"], inside["job"]) == ("asked", "a-job")
    assert {"request_id", "job", "trace_id"}.isdisjoint(outside)
