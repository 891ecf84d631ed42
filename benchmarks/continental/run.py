"""`python -m benchmarks.continental.run`: one-month cubes of a continent, many users at once, beside SAFEs."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from benchmarks.continental.make import make
from benchmarks.continental.perform import perform
from benchmarks.continental.runs import runs
from benchmarks.continental.scale import SCALES


def main() -> None:
    """Make what is absent, do the runs whose results are absent, and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", choices=SCALES, default="small", help="how much is made and asked for (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("bench-output/continental"), help="data and results")
    options = parser.parse_args()
    scale, out = SCALES[options.scale], options.out.absolute() / options.scale
    out.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    make(scale, out)
    perform(runs(scale), out, lambda line: print(f"{time.monotonic() - begun:6.0f} s  {line}", flush=True))


if __name__ == "__main__":
    main()
