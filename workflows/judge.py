"""Judges the classifier: ``python -m workflows.judge --data FOLDER``. Scenes are held out whole, never single pixels.

Each scene, and then each part of a scene, is held out in turn; models are trained on the others, and compared with the
weak labels of the held-out pixels: the classifier as it is, one without context, and a plain one of single pixels. Of
the labels that the training never saw none can be found, so scenes are judged by the classes that others have as well.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from workflows.classify import Model, named, spread
from workflows.errors import WorkflowError
from workflows.features import NAMES, OWN, SEGMENTS_REACH, Features, features
from workflows.segments import Canvas
from workflows.specimens import CLASSES, specimens
from workflows.train import PLAIN, Samples, fit, pixels_of, plain, segments_of, trained

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from workflows.specimens import Specimen

    type Counts = NDArray[np.int64]

WAYS: Final = ("with context", "without context", "single pixels")
"""The classifiers that are compared."""


@dataclass(frozen=True, slots=True)
class Exhibit:
    """A specimen and what is computed of it once."""

    specimen: Specimen
    """The scene and its labels."""
    found: Features
    """Features of its segments, with all that there is around."""
    segments: Samples
    """Labelled segments."""
    pixels: Samples
    """Some labelled pixels."""


def exhibit(specimen: Specimen) -> Exhibit:
    """Return what is computed of a specimen."""
    canvas = Canvas.around(specimen.scene.core.grown(SEGMENTS_REACH).intersection(specimen.scene.box))
    return Exhibit(specimen, features(specimen.scene, canvas), segments_of(specimen), pixels_of(specimen))


def judged(exhibits: Sequence[Exhibit], unit: Callable[[str], str]) -> Iterator[tuple[str, str, Counts]]:
    """Yield what is held out, the way, and how many pixels of each label got each class.

    Parameters
    ----------
    exhibits : sequence of Exhibit
        All scenes.
    unit : callable
        What is held out together, of a place.
    """
    for held in sorted({unit(one.specimen.place) for one in exhibits}):
        others = [one for one in exhibits if unit(one.specimen.place) != held]
        segments = Samples.joined([one.segments for one in others])
        plainly = fit(Samples.joined([one.pixels for one in others]), PLAIN)
        context, alone = trained(segments), trained(_blind(segments))
        for way in WAYS:
            counts = np.zeros((len(CLASSES) + 1, len(CLASSES) + 1), np.int64)
            for one in (one for one in exhibits if unit(one.specimen.place) == held):
                if way == "single pixels":
                    classes = _of_pixels(plainly, one.specimen)
                else:
                    classes = _of_segments(context if way == "with context" else alone, one, blind=way != WAYS[0])
                np.add.at(counts, (one.specimen.labels.ravel(), classes.ravel()), 1)
            yield held, way, counts


def _blind(samples: Samples) -> Samples:
    """Return samples whose context is not known."""
    values = samples.values.copy()
    values[:, len(OWN) :] = 0
    return Samples(values, samples.labels, samples.places)


def _of_segments(model: Model, one: Exhibit, *, blind: bool) -> NDArray[np.uint8]:
    found, core = one.found, one.specimen.scene.core
    if blind:
        values = found.values.copy()
        values[..., len(OWN) : len(NAMES)] = 0
        found = Features(found.canvas, found.choice, found.counts, values)
    classes, _ = named(found, model)
    return spread(classes, found, core)


def _of_pixels(booster: Any, specimen: Specimen) -> NDArray[np.uint8]:
    values, labels = plain(specimen)
    classes = np.zeros(len(labels), np.uint8)
    some = labels > 0
    if some.any():
        classes[some] = booster.predict(values[some].astype(np.float64), num_threads=1).argmax(axis=1) + 1
    return classes


def report(held: str, way: str, counts: Counts, *, trained_on: Sequence[bool]) -> str:
    """Return accuracy and, by label, how many pixels got which class, as lines of text.

    Parameters
    ----------
    held, way : str
        What was held out, and of which classifier.
    counts : ndarray of int64, shape (label, class)
        Pixels; the first row and column are without.
    trained_on : sequence of bool
        Whether the training had each class.
    """
    known = [code for code, had in enumerate(trained_on, 1) if had and counts[code].sum()]
    total = counts[known].sum()
    right = sum(counts[code, code] for code in known)
    lines = [f"{held}, {way}: {100 * right / max(total, 1):.1f} % of {total} labelled pixels"]
    for code, name in enumerate(CLASSES, 1):
        if counts[code].sum():
            shares = ", ".join(
                f"{other} {counts[code, 1 + at]}" for at, other in enumerate(CLASSES) if counts[code, 1 + at]
            )
            lines.append(f"    {name}{'' if trained_on[code - 1] else ' (no other scene has it)'}: {shares}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge, and print; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m workflows.judge", description="Judge the classifier of segments.")
    parser.add_argument("--data", type=Path, action="append", required=True, help="folder of images; may be repeated")
    options = parser.parse_args(arguments)
    try:
        exhibits = [exhibit(specimen) for folder in options.data for specimen in specimens(folder)]
    except (WorkflowError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    for unit in (_scene_of, str):
        for held, way, counts in judged(exhibits, unit):
            others = [one.segments.labels for one in exhibits if unit(one.specimen.place) != held]
            had = [any((labels == code).any() for labels in others) for code in range(1, len(CLASSES) + 1)]
            sys.stdout.write(report(held, way, counts, trained_on=had) + "\n")
    return 0


def _scene_of(place: str) -> str:
    return place.partition("/")[0]


if __name__ == "__main__":
    sys.exit(main())
