"""`python -m benchmarks.continental.run`: one-month cubes of a continent, many users at once, beside SAFEs."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from benchmarks.continental.decode import decoding
from benchmarks.continental.fit import told, validate
from benchmarks.continental.make import make
from benchmarks.continental.perform import perform
from benchmarks.continental.report import write_report
from benchmarks.continental.results import load
from benchmarks.continental.runs import runs
from benchmarks.continental.scale import SCALES


def main() -> None:
    """Make what is absent, do the runs whose results are absent, and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", choices=SCALES, default="small", help="how much is made and asked for (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("bench-output/continental"), help="data and results")
    parser.add_argument("--docs", type=Path, help="where continental.md and its plots are written (default: in OUT)")
    options = parser.parse_args()
    scale, out = SCALES[options.scale], options.out.absolute() / options.scale
    out.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    make(scale, out)
    perform(runs(scale), out, lambda line: print(f"{time.monotonic() - begun:6.0f} s  {line}", flush=True))
    decode = out / "decode.json"
    if not decode.exists():
        decode.write_text(json.dumps(decoding(scale.tiles[0])))
    print(*told(validate(load(out))), sep="\n")
    docs: Path = options.docs or out / "report"
    docs.mkdir(parents=True, exist_ok=True)
    write_report(out, docs)
    print(f"{time.monotonic() - begun:6.0f} s  {docs / 'continental.md'}")


if __name__ == "__main__":
    main()
