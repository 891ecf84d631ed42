"""Training is a function of its images, and judged on scenes that it never saw."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from workflows import judge, train
from workflows.atmosphere import atmosphere
from workflows.classify import load_model
from workflows.features import NAMES
from workflows.specimens import BARE, CLASSES, CLOUD, ORDER, VEGETATION, WATER, lifted, rules, specimens

if TYPE_CHECKING:
    from pathlib import Path

    from workflows.classify import Model

SPECTRA = {
    WATER: (1050, 800, 550, 300, 270, 250, 250, 200, 180, 60, 10, 80, 60),
    VEGETATION: (1100, 790, 780, 460, 850, 2450, 3200, 3250, 3500, 1100, 10, 1750, 800),
    BARE: (1250, 1100, 1150, 1400, 1650, 1850, 2050, 2150, 2350, 800, 10, 2900, 2350),
    CLOUD: (4600, 4500, 4300, 4350, 4400, 4800, 5100, 5000, 5300, 2000, 40, 3900, 3100),
}
SIDE = 192


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folders with a date each: four squares of 960 m, one of each class, a little uneven."""
    folder = tmp_path_factory.mktemp("images")
    squares = np.array([[WATER, VEGETATION], [BARE, CLOUD]]).repeat(SIDE // 2, axis=0).repeat(SIDE // 2, axis=1)
    table = np.zeros((CLOUD + 1, len(ORDER)))
    table[list(SPECTRA)] = list(SPECTRA.values())
    for number, name in enumerate(("spring", "autumn")):
        uneven = np.random.default_rng(number).uniform(0.9, 1.1, (SIDE, SIDE, 1))
        (folder / name).mkdir()
        np.save(folder / name / f"{name}.npy", (table[squares] * uneven / 10_000)[None].astype(np.float32))
    return folder


def test_rules_name_what_is_typical_and_nothing_in_between() -> None:
    spectra = np.array(list(SPECTRA.values())) / 10_000
    between = (spectra[0] + spectra[1]) / 2
    toa = {band: np.array([*spectra[:, place], between[place]])[None] for place, band in enumerate(ORDER)}
    cloud = np.array([[0.0, 0.0, 0.1, 0.9, 0.5]])
    assert rules(toa, cloud).tolist() == [[WATER, VEGETATION, BARE, CLOUD, 0]]
    assert rules(toa, np.full((1, 5), 0.5)).tolist() == [[0] * 5]


def test_the_same_images_make_the_same_model(images: Path, tmp_path: Path) -> None:
    made = []
    for name in ("first.txt", "second.txt"):
        assert train.main(["--data", str(images), "--out", str(tmp_path / name)]) == 0
        made.append((tmp_path / name).read_bytes())
    assert made[0] == made[1]
    assert load_model(tmp_path / "first.txt").classes == CLASSES
    facts = json.loads((tmp_path / "first.json").read_text())
    assert facts["features"] == list(NAMES)
    assert set(facts["segments"]) == {"spring", "autumn"}
    assert facts["segments"]["spring"]["water"] > 20
    assert facts["segments"]["spring"]["shadow"] == 0


def test_a_scene_is_judged_by_models_that_never_saw_it(
    images: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def watched(samples: train.Samples) -> Model:
        seen.append(set(samples.places))
        return train.trained(samples)

    monkeypatch.setattr(judge, "trained", watched)
    assert judge.main(["--data", str(images)]) == 0
    assert {"spring"} in seen
    assert {"autumn"} in seen
    assert all(len(places) == 1 for places in seen)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("spring, ")]
    assert [line.split(":")[0] for line in lines[:3]] == [f"spring, {way}" for way in judge.WAYS]
    assert all(float(line.split(": ")[1].split(" %")[0]) > 95 for line in lines)


def test_a_report_leaves_out_what_no_other_scene_has() -> None:
    counts = np.zeros((6, 6), np.int64)
    counts[WATER, WATER], counts[WATER, CLOUD], counts[BARE, CLOUD] = 90, 10, 50
    text = judge.report("here", "single pixels", counts, trained_on=[True, True, False, True, True])
    assert text.splitlines() == [
        "here, single pixels: 90.0 % of 100 labelled pixels",
        "    water: water 90, cloud 10",
        "    bare (no other scene has it): cloud 50",
    ]


def test_lifting_is_the_inverse_of_what_adjacency_corrects_over_even_ground() -> None:
    terms = atmosphere(
        "B04",
        satellite="A",
        sun_zenith=40.0,
        view_zenith=5.0,
        relative_azimuth=90.0,
        optical_thickness=0.1,
        aerosol="maritime",
    )
    ground = np.array([0.0, 0.1, 0.6])
    seen = lifted(ground, terms)
    assert seen[0] == pytest.approx(terms.gases * terms.path)
    y = (seen / terms.gases - terms.path) / (terms.down * (terms.direct + terms.diffuse))
    assert y / (1 + terms.albedo * y) == pytest.approx(ground)


def test_folders_without_images_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main(["--data", str(tmp_path), "--out", str(tmp_path / "model.txt")]) == 2
    assert f"{tmp_path} has no *.npy" in capsys.readouterr().err
    assert judge.main(["--data", str(tmp_path)]) == 2
    np.save(tmp_path / "dark.npy", np.full((1, 48, 48, 13), 0.12, np.float32))
    assert [one.name for one in specimens(tmp_path)] == ["dark[0]"]
    assert train.main(["--data", str(tmp_path), "--out", str(tmp_path / "model.txt")]) == 2
    assert "no segment has a label" in capsys.readouterr().err
