"""The main job on S3 beside local files: ingest, settle, purge, re-create; the S3 server's own CPU apart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abut.archive import create_archive
from abut.legacy import read_bands
from benchmarks.measure import Cost, children, cpu_of, report
from ingest.ingest import ingest
from ingest.purge import purge
from ingest.safe_source import safe_sources
from ingest.settle import settle
from tests.servers import seaweed
from tests.serving import ROOT, environment

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Comparison:
    """The same job on both."""

    local: Cost
    """On a folder."""
    s3: Cost
    """On an S3 server of this machine."""
    server: float
    """CPU seconds of that server meanwhile."""


def main_job(archive: str, catalogue: str, *safes: str) -> dict[str, Any]:
    """Store products, release and delete what is stored twice, and re-create each tile."""
    opened = create_archive(archive, catalogue=catalogue)
    for safe in safes:
        for source in safe_sources(Path(safe)):
            ingest(opened, source)
    released = sum(layer.released for layer in settle(opened))
    deleted = sum(layer.objects for layer in purge(opened, grace=timedelta(0)))
    pixels = sum(
        int(array.size) for name in opened.product_ids() for _, array in read_bands(opened, opened.product(name))
    )
    return {"released": released, "deleted": deleted, "pixels": pixels}


def compare(safes: Sequence[Path], out: Path) -> Comparison:
    """Do the main job on a folder and on an S3 server, which starts empty, both with a SQLite catalogue."""
    out.mkdir(parents=True)
    local = _run(out / "local", str(out / "local.sqlite"), safes, {})
    (out / "server").mkdir()
    with seaweed(out / "server") as server:
        processes = [pid for pid in children(os.getpid()) if "weed" in Path(f"/proc/{pid}/cmdline").read_text()]
        before = cpu_of(processes)
        s3 = _run(f"s3://{server.bucket}/l1c", str(out / "s3.sqlite"), safes, server.environment)
        used = cpu_of(processes) - before
    return Comparison(local, s3, used)


def _run(archive: Path | str, catalogue: str, safes: Sequence[Path], more: dict[str, str]) -> Cost:
    command = [sys.executable, "-m", "benchmarks.service.store", str(archive), catalogue, *map(str, safes)]
    settings = {**environment(), **more, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, stdout=subprocess.PIPE, env=settings, cwd=ROOT, check=True, text=True)
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    print(report(main_job, *sys.argv[1:]))
