"""Trains the model of `workflows.classify`: ``python -m workflows.train --data FOLDER --out workflows/landcover.txt``.

Segments of real scenes (`workflows.specimens`) are labelled if `PURE` of their pixels have one weak label. A segment
near the edge of a scene has less of its surroundings than one in a whole archive. So that the context (differences to
squares of up to 18 km) is learnt with and without them, each scene is given twice: with all that there is around its
core, and with a rim of `NARROW` metres. As there are few scenes, each row is given again a little darker and brighter
(`GAINS`). The result is the same in each run: one thread, one seed, a fixed order.

`workflows.judge` says how good it is.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from workflows.classify import MODEL, Model
from workflows.errors import WorkflowError
from workflows.features import INDICES, NAMES, SEGMENTS_REACH, features, pixel_features
from workflows.segments import BANDS, Canvas
from workflows.slic import CELL, add_row
from workflows.specimens import CLASSES, Specimen, specimens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from workflows.features import Features

PURE: Final = 0.7
"""Share of a segment's pixels that must have one label."""
NARROW: Final = 600
"""Metres around the core of the second, poorer version of a scene."""
GAINS: Final = ((4, 5), (5, 4))
"""By how much rows are made darker and brighter."""
ROUNDS: Final = 60
"""Rounds of boosting: so many trees for each class."""
PARAMETERS: Final[dict[str, Any]] = {
    "objective": "multiclass",
    "num_class": len(CLASSES),
    "learning_rate": 0.1,
    "num_leaves": 15,
    "min_data_in_leaf": 20,
    "feature_fraction": 0.5,
    "lambda_l2": 2.0,
    "extra_trees": True,
    "max_bin": 63,
    "seed": 20_161_206,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}
"""Parameters of LightGBM."""
PLAIN: Final = (*BANDS, *INDICES)
"""Features of the plain classifier of single pixels."""
_LARGEST: Final = 1_500_000
_PIXELS: Final = 4_000


@dataclass(frozen=True, slots=True)
class Samples:
    """Labelled rows of features."""

    values: NDArray[np.int32]
    """Features, (row, feature)."""
    labels: NDArray[np.uint8]
    """Class, 1 to `len(CLASSES)`."""
    places: NDArray[np.str_]
    """Place of the scene."""

    @classmethod
    def joined(cls, parts: Sequence[Samples]) -> Samples:
        """Return all rows of several."""
        return cls(
            *(np.concatenate([getattr(part, name) for part in parts]) for name in ("values", "labels", "places"))
        )

    def where(self, flags: NDArray[np.bool_]) -> Samples:
        """Return some of the rows."""
        return Samples(self.values[flags], self.labels[flags], self.places[flags])


def segments_of(specimen: Specimen) -> Samples:
    """Return the labelled segments of a scene, with all that is around it and with a narrow rim."""
    scene = specimen.scene
    parts = []
    for box in (scene.box, scene.core.grown(NARROW).intersection(scene.box)):
        given = scene.cut(box, scene.core)
        canvas = Canvas.around(scene.core.grown(SEGMENTS_REACH).intersection(box))
        found = features(given, canvas)
        labels = _segment_labels(found, specimen)
        some = labels > 0
        parts.append(Samples(found.values[some], labels[some], np.full(int(some.sum()), specimen.place)))
    return Samples.joined(parts)


def brightened(samples: Samples) -> Samples:
    """Return rows as they are, darker and brighter: all but normalized differences are multiplied by `GAINS`."""
    parts = [samples]
    fixed = [NAMES.index(name) for name in INDICES]
    for up, down in GAINS:
        values = samples.values.astype(np.int64) * up // down
        values[:, fixed] = samples.values[:, fixed]
        parts.append(Samples(values.astype(np.int32), samples.labels, samples.places))
    return Samples.joined(parts)


def _segment_labels(found: Features, specimen: Specimen) -> NDArray[np.uint8]:
    """Return the label of each segment, (cell rows, cell columns); 0 where its pixels have several or none."""
    canvas = found.canvas
    labels = np.zeros(found.choice.shape, np.uint8)
    labels[canvas.slices(specimen.scene.core)] = specimen.labels
    votes = np.zeros((canvas.rows + 2, canvas.columns + 2, len(CLASSES)))
    codes = np.arange(1, len(CLASSES) + 1)[:, None, None]
    for row in range(canvas.rows):
        part = slice(row * CELL, (row + 1) * CELL)
        add_row(votes, row, found.choice[part], labels[None, part] == codes)
    inner = votes[1:-1, 1:-1]
    sure = (inner.max(axis=-1) >= PURE * found.counts) & (found.counts >= CELL)
    return np.where(sure, inner.argmax(axis=-1) + 1, 0).astype(np.uint8)


def pixels_of(specimen: Specimen) -> Samples:
    """Return some labelled pixels of a scene with the features of the plain classifier."""
    values, labels = plain(specimen)
    some = np.flatnonzero(labels)
    some = some[:: -(-len(some) // _PIXELS) or 1]
    return Samples(values[some], labels[some], np.full(len(some), specimen.place))


def plain(specimen: Specimen) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Return features of the plain classifier, (pixel, feature), and labels of all pixels of a scene's core."""
    core = specimen.scene.cut(specimen.scene.core)
    canvas = Canvas.around(core.box)
    layers = pixel_features(core, canvas, 0, canvas.rows * CELL)[1 : 1 + len(PLAIN)]
    rows, columns = canvas.slices(core.box)
    return layers[:, rows, columns].reshape(len(PLAIN), -1).T, specimen.labels.ravel()


def fit(samples: Samples, names: Sequence[str] = NAMES) -> Any:
    """Return a trained `lightgbm.Booster`.

    Parameters
    ----------
    samples : Samples
        Rows; each class of each place weighs as the square root of how many it has.
    names : sequence of str
        Names of the features.
    """
    import lightgbm  # noqa: PLC0415 - takes a second to import

    groups, number = np.unique(np.char.add(samples.places, samples.labels.astype(str)), return_inverse=True)
    weights = 1 / np.sqrt(np.bincount(number, minlength=len(groups)))[number]
    data = lightgbm.Dataset(
        samples.values.astype(np.float64),
        samples.labels - 1,
        weight=weights / weights.mean(),
        feature_name=list(names),
        params={"max_bin": PARAMETERS["max_bin"], "verbosity": -1},
    )
    return lightgbm.train(PARAMETERS, data, num_boost_round=ROUNDS)


def trained(samples: Samples) -> Model:
    """Return a model of segments, as if it had been loaded."""
    return Model(MODEL, CLASSES, fit(brightened(samples)))


def save(model: Model, samples: Samples, out: Path) -> None:
    """Write a model as text, and what it is beside it as JSON.

    Raises
    ------
    WorkflowError
        If the model is too large to be kept in a repository.
    """
    import lightgbm  # noqa: PLC0415 - takes a second to import

    text = model.booster.model_to_string()
    if len(text) > _LARGEST:
        raise WorkflowError(f"the model takes {len(text)} bytes, more than {_LARGEST}")
    out.write_text(text)
    places = {
        str(place): {
            name: int(((samples.places == place) & (samples.labels == code)).sum())
            for code, name in enumerate(CLASSES, 1)
        }
        for place in np.unique(samples.places)
    }
    facts = {
        "classes": list(CLASSES),
        "features": list(NAMES),
        "segments": places,
        "parameters": PARAMETERS | {"rounds": ROUNDS, "pure": PURE, "narrow": NARROW, "gains": GAINS},
        "versions": {"lightgbm": lightgbm.__version__, "numpy": np.__version__},
    }
    out.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, and write the model; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m workflows.train", description="Train the classifier of segments.")
    parser.add_argument("--data", type=Path, action="append", required=True, help="folder of images; may be repeated")
    parser.add_argument(
        "--out", type=Path, required=True, help="the model; a JSON of the same name is written beside it"
    )
    options = parser.parse_args(arguments)
    try:
        samples = Samples.joined([segments_of(specimen) for folder in options.data for specimen in specimens(folder)])
        if not len(samples.labels):
            raise WorkflowError("no segment has a label")
        save(trained(samples), samples, options.out)
    except (WorkflowError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{len(samples.labels)} segments; {options.out}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
