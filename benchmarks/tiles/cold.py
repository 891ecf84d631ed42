"""A process that was not there before: until it has answered a first tile, and a second.

Run as a script of its own, which imports nothing that `abut serve` doesn't.
"""

from __future__ import annotations

import json
import sys
import time
from itertools import pairwise

from benchmarks.tiles.service import Service


def main(archive: str, began: str, first: str, second: str) -> None:
    """Answer two paths; print a line of JSON: seconds until the service had started, and of both tiles.

    Parameters
    ----------
    archive : str
        Folder of the archive.
    began : str
        When this process was asked for, on the monotonic clock, which all processes share.
    first, second : str
        Paths of tiles.
    """
    with Service(archive) as service:
        times = [float(began), time.monotonic()]
        for path in (first, second):
            service.picture(path)
            times.append(time.monotonic())
    spent = [after - before for before, after in pairwise(times)]
    print(json.dumps(dict(zip(("start", "first", "second"), spent, strict=True))))


if __name__ == "__main__":
    main(*sys.argv[1:])
