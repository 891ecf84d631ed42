"""Many clients at once: wrk asks a running service for random tiles of a list."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from abut.errors import AbutError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SCRIPT: Final = """
local asked, tags = {}, {}
for line in io.lines(os.getenv("BENCH_PATHS")) do
  local path, tag = line:match("^(%S+)%s*(.*)$")
  asked[#asked + 1], tags[#asked + 1] = path, tag
end
local number = 0
function setup(thread)
  number = number + 1
  thread:set("seed", number)
end
function init()
  math.randomseed(seed)
end
function request()
  local one = math.random(#asked)
  local headers = { Host = "127.0.0.1" }
  if tags[one] ~= "" then headers["If-None-Match"] = tags[one] end
  return wrk.format("GET", asked[one], headers)
end
function done(summary, latency, requests)
  local errors = summary.errors
  print(string.format(
    '{"requests": %d, "seconds": %f, "bytes": %d, "failed": %d, "p50": %f, "p95": %f, "p99": %f, "most": %f}',
    summary.requests, summary.duration / 1e6, summary.bytes,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(95) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3))
end
"""
"""What wrk runs: each thread asks for lines of a file at random, path and perhaps the tag that the client knows."""


class MissingError(AbutError):
    """There is no wrk on this machine."""


class FailedError(AbutError):
    """Some requests were not answered, or with an error."""


@dataclass(frozen=True, slots=True)
class Load:
    """What clients saw."""

    clients: int
    """Connections that asked at once, each again as soon as it was answered."""
    rate: float
    """Answers a second."""
    p50: float
    """Median of the time of an answer in milliseconds."""
    p95: float
    """95th percentile of it."""
    p99: float
    """99th percentile of it."""
    most: float
    """Longest of it."""
    size: float
    """Bytes of an answer, headers included."""


def require_wrk() -> str:
    """Return the path of wrk.

    Raises
    ------
    MissingError
        If there is none.
    """
    found = shutil.which("wrk")
    if found is None:
        raise MissingError("wrk is missing: apt-get install wrk")
    return found


def load(url: str, paths: Sequence[str], clients: int, out: Path, *, seconds: int, tags: Sequence[str] = ()) -> Load:
    """Let some clients ask for random paths.

    Parameters
    ----------
    url : str
        Root of the service.
    paths : sequence of str
        What is asked for.
    clients : int
        How many ask at once.
    out : Path
        Folder for the script and the list.
    seconds : int
        For how long.
    tags : sequence of str
        ETags of the paths that clients know already; empty: they know none.

    Raises
    ------
    MissingError
        If there is no wrk.
    FailedError
        If anything was answered by an error, or not at all.
    """
    script, told = out / "wrk.lua", out / "wrk.txt"
    script.write_text(SCRIPT)
    known = tags or [""] * len(paths)
    told.write_text("".join(f"{path} {tag}\n" for path, tag in zip(paths, known, strict=True)))
    threads = str(min(clients, 2))
    command = [
        require_wrk(),
        "-t",
        threads,
        "-c",
        str(clients),
        "-d",
        f"{seconds}s",
        "--timeout",
        "60s",
        "-s",
        str(script),
    ]
    environment = {"BENCH_PATHS": str(told)}
    done = subprocess.run([*command, url], stdout=subprocess.PIPE, env=environment, check=True, text=True)
    saw = json.loads(done.stdout.splitlines()[-1])
    if saw["failed"] or not saw["requests"]:
        raise FailedError(f"{clients} clients: {saw['failed']} of {saw['requests']} requests failed")
    times = {name: saw[name] for name in ("p50", "p95", "p99", "most")}
    return Load(clients, saw["requests"] / saw["seconds"], size=saw["bytes"] / saw["requests"], **times)
