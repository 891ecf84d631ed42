"""Classes are the same in any window, whatever it is aligned to, and need the ground that is stated."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workflows.country import COLOURS, country
from workflows.classify import MODEL, NODATA, RADIUS, Classified, classify, load_model
from workflows.errors import MissingBandError, NeighbourhoodError, WorkflowError
from workflows.features import NAMES
from workflows.scene import RESOLUTION, Box, Scene
from workflows.segments import segment

if TYPE_CHECKING:
    from pathlib import Path

UP = 9_600
CORE = Box(600_000, -1_800, 603_000, 1_200)
"""Across the equator."""


@pytest.fixture(scope="module")
def land() -> Scene:
    wide = country(CORE.grown(UP), edge=9_300)
    return replace(wide, core=CORE)


@pytest.fixture(scope="module")
def whole(land: Scene) -> Classified:
    return classify(land)


def differing(found: Classified, other: Classified) -> int:
    return int((found.classes != other.classes[other.box.slices(found.box, 10)]).sum())


def test_the_radius_is_within_ten_kilometres() -> None:
    assert RADIUS == 9_570


def test_every_class_is_there(whole: Classified) -> None:
    assert whole.names == ("water", "vegetation", "bare", "cloud", "shadow")
    shares = {name: (whole.classes == code).mean() for code, name in enumerate(("none", *whole.names))}
    assert min(shares.values()) > 0.03, shares
    assert whole.complete.all()
    assert (whole.margins() > 5_000).mean() > 0.3
    assert (whole.margins()[whole.classes == NODATA] == 0).all()


@settings(max_examples=5, deadline=None)
@given(place=st.tuples(st.integers(0, 40), st.integers(0, 40)), size=st.tuples(st.integers(1, 10), st.integers(1, 10)))
def test_a_window_has_the_bytes_of_the_whole(
    land: Scene, whole: Classified, place: tuple[int, int], size: tuple[int, int]
) -> None:
    left, top = CORE.left + 60 * place[0], CORE.top - 60 * place[1]
    part = Box(left, top - 60 * size[1], left + 60 * size[0], top)
    found = classify(land.cut(part.grown(UP), part))
    inside = CORE.slices(part, 10)
    assert np.array_equal(found.classes, whole.classes[inside])
    assert np.array_equal(found.choice, whole.choice[inside])
    assert np.array_equal(found.margins(), whole.margins()[inside])


def test_a_segment_has_one_class(land: Scene, whole: Classified) -> None:
    some = CORE.grown(-900)
    segments = segment(replace(land, core=some))
    classes = whole.classes[CORE.slices(some, 10)]
    names = segments.ids()
    assert np.array_equal(segments.choice, whole.choice[CORE.slices(some, 10)])
    pairs = np.unique(np.stack([names.ravel(), classes.ravel()]), axis=1)
    assert len(np.unique(pairs[0])) == pairs.shape[1]


def test_the_south_is_as_the_north() -> None:
    north = Box(600_000, 48_000, 602_400, 50_400)
    scene = country(north)
    far = Box(600_000, 48_000 - 9_600_000, 602_400, 50_400 - 9_600_000)  # whole cells of 160 m and pixels of 60 m
    first, second = (classify(one, partial=True) for one in (scene, replace(scene, box=far, core=far)))
    assert np.array_equal(first.classes, second.classes)
    assert np.array_equal(first.margin, second.margin)


def test_threads_do_not_matter(land: Scene, whole: Classified) -> None:
    part = CORE.grown(-1_200)
    found = classify(land.cut(part.grown(UP), part), threads=2)
    assert differing(found, whole) == 0
    assert np.array_equal(found.margins(), whole.margins()[CORE.slices(part, 10)])


def test_who_has_less_gets_something_else(land: Scene, whole: Classified) -> None:
    steps: list[tuple[int, int]] = []
    found = classify(land.cut(CORE), partial=True, done=lambda *step: steps.append(step))
    assert differing(found, whole) > 100
    assert not found.complete.any()
    assert steps[-1] == (steps[-1][1], steps[-1][1])
    middle = CORE.grown(-1_200)
    found = classify(land.cut(middle.grown(UP), CORE), partial=True)
    assert found.whole == middle
    assert np.array_equal(found.classes[found.complete], whole.classes[found.complete])
    assert (found.margins() != whole.margins()).any()


@pytest.fixture(scope="module")
def far_sighted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that looks at the largest square of the context only."""
    values = np.random.default_rng(1).integers(-20, 21, (400, len(NAMES)))
    labels = values[:, NAMES.index("contrast9120_B08")] > 0
    settings = {"objective": "multiclass", "num_class": 2, "verbosity": -1, "num_threads": 1, "min_data_in_leaf": 1}
    data = lightgbm.Dataset(values.astype(np.float64), labels, feature_name=list(NAMES), params={"verbosity": -1})
    path = tmp_path_factory.mktemp("model") / "far.txt"
    path.write_text(lightgbm.train(settings, data, 3).model_to_string())
    path.with_suffix(".json").write_text(json.dumps({"classes": ["dark", "light"]}))
    return path


def flat(core: Box) -> Scene:
    box = core.grown(UP + 120)
    bands = {
        name: np.full(box.shape(size), 3_000, np.uint16)
        for name, size in RESOLUTION.items()
        if name not in ("B01", "B06", "B07", "B09", "B10")
    }
    return Scene(box=box, core=core, bands=bands, offsets={})


@pytest.mark.parametrize(
    ("distance", "margins", "classes"), [(9_000, True, True), (9_420, True, False), (9_600, False, False)]
)
def test_ground_decides_as_far_as_the_radius_says_and_no_farther(
    far_sighted: Path, distance: int, margins: bool, classes: bool
) -> None:
    core = Box(608_640, 38_400, 608_820, 38_580)  # begins a cell, which sees farthest to the other side
    scene = flat(core)
    before = classify(scene, model=far_sighted)
    assert before.names == ("dark", "light")
    scene.bands["B08"][: (scene.box.top - core.top - distance) // 10] = 2_000
    after = classify(scene, model=far_sighted)
    assert (before.margin != after.margin).any() == margins
    assert (before.classes != after.classes).any() == classes


def test_a_swath_edge_is_no_reason_for_other_ground(land: Scene) -> None:
    """What has data is classified, what has none is not, and whether the rest is cut away makes no difference."""
    box = Box(598_800, -3_000, 603_000, 1_200)
    scene = land.cut(box)
    found = classify(scene, partial=True)
    empty = np.logical_or.reduce(
        [
            scene.bands[name].repeat(size // 10, 0).repeat(size // 10, 1) == 0
            for name, size in RESOLUTION.items()
            if name in scene.bands
        ]
    )
    assert 0.03 < empty.mean() < 0.97
    assert np.array_equal(found.classes == NODATA, empty)
    first = int((~empty).any(axis=0).argmax()) // 48 * 48
    less = Box(box.left + first * 10, box.bottom, box.right, box.top)
    assert first > 0
    assert differing(classify(scene.cut(less), partial=True), found) == 0


def test_what_can_not_be_classified_is_refused(land: Scene, tmp_path: Path) -> None:
    with pytest.raises(NeighbourhoodError, match=r"classification looks 9570 m .* there are 9540 m: .* 9600 m"):
        classify(replace(land, core=CORE.grown(60)))
    with pytest.raises(MissingBandError, match="B11 missing"):
        classify(replace(land, bands={name: dn for name, dn in land.bands.items() if name != "B11"}))
    with pytest.raises(WorkflowError, match=r"nothing\.txt can't be used as a model: FileNotFoundError"):
        classify(land, model=tmp_path / "nothing.txt")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda text: f"no model, {len(text)}", "is no model"),
        (lambda text: text[: len(text) // 3], "is no model"),
        (lambda text: text.replace("contrast300_B02", "contrast301_B02"), "other features than the 33 of this version"),
        (lambda text: text.replace("num_tree_per_iteration=5", "num_tree_per_iteration=4"), "can't be used|classes"),
    ],
    ids=["text", "cut", "features", "classes"],
)
def test_a_bad_model_is_refused(land: Scene, tmp_path: Path, spoil: object, message: str) -> None:
    path = tmp_path / "model.txt"
    assert callable(spoil)
    path.write_text(spoil(MODEL.read_text()))
    path.with_suffix(".json").write_bytes(MODEL.with_suffix(".json").read_bytes())
    with pytest.raises(WorkflowError, match=message):
        classify(land, model=path)


def test_a_model_needs_the_names_of_its_classes(tmp_path: Path) -> None:
    path = tmp_path / "model.txt"
    path.write_bytes(MODEL.read_bytes())
    for facts, message in (("[]", "TypeError"), ("{", "JSONDecodeError"), ('{"classes": ["a"]}', "5 classes")):
        path.with_suffix(".json").write_text(facts)
        with pytest.raises(WorkflowError, match=message):
            load_model(path)


def test_the_model_is_small_and_says_what_it_was_trained_on() -> None:
    facts = json.loads(MODEL.with_suffix(".json").read_text())
    assert facts["features"] == list(NAMES)
    assert set(COLOURS) == set(facts["classes"])
    assert MODEL.stat().st_size < 1_500_000
