"""Classification of segments by a trained model, the same in every window.

Each segment (`workflows.segments`) gets the probabilities that a LightGBM model (`workflows/landcover.txt`, made by
`workflows.train`) gives to its features (`workflows.features`), as whole ten-thousandths. A segment is then called by
the largest sum of its own and its eight neighbours' probabilities, its own weighed `OWN_WEIGHT` times; of equal ones
the first class wins. A prediction is a function of one row of features, whatever rows come with it and however many
threads there are.

**Radius.** A pixel's segment is up to one cell away from its own cell, the neighbours of that one two; features of
those depend on 9,570 m around the pixel (`workflows.features.REACH`), because the largest square of the context reaches
so far. `RADIUS` is that.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from workflows.errors import WorkflowError
from workflows.features import NAMES, REACH, SEGMENTS_REACH, features
from workflows.segments import BANDS, Canvas, complete, final
from workflows.slic import CELL, NEIGHBOURS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from workflows.features import Features
    from workflows.scene import Box, Scene

RADIUS: Final = max(REACH, SEGMENTS_REACH)
"""Metres of ground around a pixel on which its class depends: 9,570."""
NODATA: Final = 0
"""Class of a pixel without data."""
MODEL: Final = Path(__file__).with_name("landcover.txt")
"""The model that comes with the package."""
SCALE: Final = 10_000
"""Whole numbers for a probability of 1."""
OWN_WEIGHT: Final = 8
"""How much a segment's own probabilities weigh against one of its neighbours'."""
__all__ = ["BANDS", "MODEL", "NODATA", "OWN_WEIGHT", "RADIUS", "SCALE", "Classified", "Model", "classify", "load_model"]


@dataclass(frozen=True, slots=True)
class Model:
    """A trained model."""

    path: Path
    """Where it was read from."""
    classes: tuple[str, ...]
    """Names of its classes; the first is class 1."""
    booster: Any = field(repr=False)
    """`lightgbm.Booster`."""

    def probabilities(self, values: NDArray[np.int32], *, threads: int = 1) -> NDArray[np.int64]:
        """Return probabilities in ten-thousandths, (row, class), of rows of features.

        Parameters
        ----------
        values : ndarray of int32, shape (row, feature)
            Features in the order of `workflows.features.NAMES`.
        threads : int
            Threads of LightGBM; the result does not depend on them.
        """
        if not len(values):
            return np.zeros((0, len(self.classes)), np.int64)
        found = self.booster.predict(values.astype(np.float64), num_threads=threads)
        return np.rint(np.asarray(found) * SCALE).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Classified:
    """Classes of the core of a scene."""

    box: Box
    """Its ground."""
    names: tuple[str, ...]
    """Names of classes 1, 2, ..."""
    classes: NDArray[np.uint8] = field(repr=False)
    """Class, (y, x) at 10 m; 0 where there are no data."""
    choice: NDArray[np.uint8] = field(repr=False)
    """Which segment a pixel belongs to, as in `workflows.segments.Segments`, (y, x) at 10 m; 255 without data."""
    margin: NDArray[np.uint16] = field(repr=False)
    """Probability of a segment's class less that of the next one, in ten-thousandths, after neighbours were looked at;
    (y, x) by cells of 160 m that touch the ground and one more on each side, counted from the zone's origin."""
    whole: Box | None
    """Ground whose pixels are what they are in any larger window; None if there is none."""

    @property
    def complete(self) -> NDArray[np.bool_]:
        """Whether a pixel's neighbourhood was all given, (y, x) at 10 m."""
        return complete(self.box, self.whole)

    def margins(self) -> NDArray[np.uint16]:
        """Return the margin of each pixel's segment, (y, x) at 10 m; 0 where there are no data."""
        return _spread(self.margin, self.choice, self.box)


def load_model(path: str | Path = MODEL) -> Model:
    """Return a model from LightGBM's text format, and the JSON of the same name that names its classes.

    Raises
    ------
    WorkflowError
        If a file is missing or no model, or the model was trained on other features.
    """
    return _load(Path(path))


@cache
def _load(path: Path) -> Model:
    import lightgbm  # noqa: PLC0415 - takes a second to import

    facts = path.with_suffix(".json")
    try:
        classes = tuple(str(name) for name in json.loads(facts.read_text())["classes"])
        text = path.read_text()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorkflowError(f"{path} can't be used as a model: {type(error).__name__}: {error}") from error
    if not text.startswith("tree\n") or "end of trees" not in text:
        raise WorkflowError(f"{path} is no model in LightGBM's text format")
    try:
        booster = lightgbm.Booster(model_str=text)
    except lightgbm.basic.LightGBMError as error:
        raise WorkflowError(f"{path} can't be used as a model: {error}") from error
    if tuple(booster.feature_name()) != NAMES:
        raise WorkflowError(
            f"{path} was trained on other features than the {len(NAMES)} of this version: train it anew"
        )
    if booster.num_model_per_iteration() != len(classes):
        raise WorkflowError(f"{path} has {booster.num_model_per_iteration()} classes; {facts.name} names {classes}")
    return Model(path, classes, booster)


def classify(
    scene: Scene,
    *,
    model: Model | str | Path | None = None,
    partial: bool = False,
    threads: int = 1,
    done: Callable[[int, int], None] = lambda *_: None,
) -> Classified:
    """Return the classes of the core of a scene.

    Parameters
    ----------
    scene : Scene
        Bands B02, B03, B04, B08, B05, B8A, B11 and B12, and 9,570 m around the core.
    model : Model, str or Path, optional
        What is used; default: the model that comes with the package.
    partial : bool
        Classify with what is given around the core; `Classified.complete` says which pixels are final.
    threads : int
        Threads of LightGBM; the result does not depend on them.
    done : callable
        Called with the rows of cells that are done, and all.

    Returns
    -------
    Classified
        The same in any window. Memory beside the scene is that of `workflows.features.features`.

    Raises
    ------
    MissingBandError, NeighbourhoodError
        If the scene lacks something.
    WorkflowError
        If the model can't be used.
    """
    scene.require(BANDS)
    if not partial:
        scene.require_radius(RADIUS, "classification")
    trained = model if isinstance(model, Model) else load_model(MODEL if model is None else model)
    canvas = Canvas.around(scene.core.grown(SEGMENTS_REACH).intersection(scene.box))
    found = features(scene, canvas, done)
    classes, margins = named(found, trained, threads=threads)
    choice = found.choice[canvas.slices(scene.core)]
    near = Canvas.around(scene.core)
    return Classified(
        scene.core,
        trained.classes,
        spread(classes, found, scene.core),
        choice,
        _cells(margins, canvas, near),
        final(scene, RADIUS),
    )


def named(found: Features, model: Model, *, threads: int = 1) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """Return class and margin of each segment, (cell rows, cell columns); 0 where a segment has no pixels.

    Parameters
    ----------
    found : Features
        Segments.
    model : Model
        What names them.
    threads : int
        Threads of LightGBM.
    """
    some = found.counts > 0
    own = np.zeros((*some.shape, len(model.classes)), np.int64)
    own[some] = model.probabilities(found.values[some], threads=threads)
    rows, columns = some.shape
    padded = np.pad(own, ((1, 1), (1, 1), (0, 0)))
    voices = np.pad(some.astype(np.int64), 1)
    total, voters = (OWN_WEIGHT - 1) * own, (OWN_WEIGHT - 1) * some.astype(np.int64)
    for down, right in NEIGHBOURS:
        window = slice(1 + down, 1 + down + rows), slice(1 + right, 1 + right + columns)
        total += padded[window]
        voters += voices[window]
    ordered = np.sort(total, axis=-1)
    margins = (ordered[..., -1] - ordered[..., -2]) // np.maximum(voters, 1)
    classes = total.argmax(axis=-1) + 1
    return np.where(some, classes, 0).astype(np.uint8), np.where(some, margins, 0).astype(np.uint16)


def spread[T: np.generic](values: NDArray[T], found: Features, box: Box) -> NDArray[T]:
    """Return the value of each pixel's segment, (y, x) at 10 m of a box; 0 where there are no data.

    Parameters
    ----------
    values : ndarray, shape (cell rows, cell columns)
        Of the segments of the canvas.
    found : Features
        Which pixel is in which segment.
    box : Box
        A part of the canvas.
    """
    return _spread(_cells(values, found.canvas, Canvas.around(box)), found.choice[found.canvas.slices(box)], box)


def _cells[T: np.generic](values: NDArray[T], canvas: Canvas, near: Canvas) -> NDArray[T]:
    """Return the values of the cells of another canvas and one more on each side; 0 for those that are not there."""
    padded = np.pad(values, 1)
    row, column = canvas.top - near.top, near.left - canvas.left
    return padded[row : row + near.rows + 2, column : column + near.columns + 2]


def _spread[T: np.generic](values: NDArray[T], choice: NDArray[np.uint8], box: Box) -> NDArray[T]:
    """Return the value of each pixel's segment, 0 without data; values are of the cells that `_cells` returns."""
    near = Canvas.around(box)
    rows, columns = near.slices(box)
    steps = np.array([*NEIGHBOURS, (0, 0)], np.int32)
    across = np.arange(columns.start, columns.stop, dtype=np.int32) // CELL + 1
    found = np.zeros(choice.shape, values.dtype)
    for row in range(len(choice)):
        place = np.minimum(choice[row], len(NEIGHBOURS))
        spread = values[(row + rows.start) // CELL + 1 + steps[place, 0], across + steps[place, 1]]
        found[row] = np.where(place < len(NEIGHBOURS), spread, 0)
    return found
