"""Parts of the test images are told apart rightly, and no number is given where there are too few."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from ml.training import measures
from ml.training.datasets import LabelledImage
from ml.training.errors import BenchError
from ml.training.evaluation_plots import draw_residuals
from ml.training.image_properties import QUARTERS, image_properties
from ml.training.residuals import residual_table
from ml.training.subgroups import age_band, subgroup_table
from ml.training.worst_mistakes import describe_mistakes, draw_mistakes, worst_mistakes
from tests.ml.drawn_lesions import draw_lesion
from tests.ml.labelled import labelled

GENERATOR = np.random.default_rng(8)
IMAGES = [
    replace(
        labelled(number, malignant=number % 2 == 0, source="ham10000"),
        sex="" if number % 4 == 3 else "female" if number % 3 else "male",
        age_years=None if number % 5 == 0 else float(number % 90),
    )
    for number in range(240)
]
POSITIVE = np.array([one.malignant for one in IMAGES])
PROBABILITIES = np.clip(GENERATOR.normal(0.3 + 0.4 * POSITIVE, 0.2), 0, 1)


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "BOOTSTRAP_ROUNDS", 20)


@pytest.mark.parametrize(
    ("age_years", "band"),
    [
        (0, "0-29"),
        (29.9, "0-29"),
        (30, "30-44"),
        (59, "45-59"),
        (60, "60-74"),
        (75, "75+"),
        (104, "75+"),
        (None, ""),
    ],
)
def test_age_falls_into_its_band(age_years: float | None, band: str) -> None:
    assert age_band(age_years) == band


def test_subgroups_are_measured_or_said_to_be_too_small_when_known() -> None:
    found = subgroup_table(IMAGES, POSITIVE, PROBABILITIES, thresholds={"at_served": 0.5}, seed=1)

    assert found["site"] == {"known": 0, "rows": []}
    assert found["sex"]["known"] == sum(one.sex != "" for one in IMAGES)
    rows = {row["name"]: row for row in found["sex"]["rows"]}
    assert sum(row["images"] for row in rows.values()) == 240
    women = np.array([one.sex == "female" for one in IMAGES])
    recall = np.mean(PROBABILITIES[women & POSITIVE] >= 0.5)
    assert rows["female"]["at_served"]["recall"]["value"] == pytest.approx(recall, abs=1e-4)
    assert rows["unknown"]["malignant"] == 0
    assert rows["unknown"]["auc"] is None
    assert rows["unknown"]["remark"] == "fewer than 30 malignant images"
    assert {row["name"] for row in found["age"]["rows"]} == {
        *("0-29", "30-44", "45-59", "60-74", "75+", "unknown")
    }
    assert [row["name"] for row in found["source"]["rows"]] == ["HAM10000"]


def test_residuals_are_the_means_when_counted_by_hand() -> None:
    light = np.where(np.arange(240) < 200, "dark", "bright")

    rows = residual_table(
        positive=POSITIVE,
        probabilities=PROBABILITIES,
        groups=[one.group for one in IMAGES],
        kinds={"light": light},
        seed=1,
    )

    by_kind = {(row["property"], row["kind"], row["class"]): row for row in rows}
    assert len(by_kind) == 9
    residuals = PROBABILITIES - POSITIVE
    assert by_kind["", "all images", "all"]["mean"]["value"] == pytest.approx(residuals.mean(), abs=1e-4)
    dark = by_kind["light", "dark", "malignant"]
    chosen = (light == "dark") & POSITIVE
    assert dark["mean"]["value"] == pytest.approx(residuals[chosen].mean(), abs=1e-4)
    assert dark["images"] == dark["malignant"] == chosen.sum()
    assert by_kind["light", "bright", "benign"]["mean"] is None  # 20 images


@pytest.fixture
def drawn(tmp_path: Path) -> tuple[list[LabelledImage], np.ndarray]:
    """Eight files, of rising brightness; the first two blurred, the last two with black corners."""
    images, pixels = [], []
    for number in range(8):
        picture = draw_lesion(malignant=number % 2 == 0, seed=number, side_px=64)
        picture = picture.point(lambda value, gain=0.5 + 0.06 * number: value * gain)
        if number < 2:
            picture = picture.filter(ImageFilter.GaussianBlur(4))
        if number > 5:
            rim = np.hypot(*np.mgrid[-32:32, -32:32]) > 34
            picture = Image.fromarray(np.where(rim[..., np.newaxis], 5, np.asarray(picture)).astype(np.uint8))
        stored = picture if number else picture.resize((700, 64))
        stored.save(tmp_path / f"{number}.png")
        images.append(replace(labelled(number, malignant=number % 2 == 0), path=f"{number}.png"))
        pixels.append(np.asarray(picture))
    return images, np.stack(pixels)


def test_properties_are_seen_when_pictures_have_them(
    drawn: tuple[list[LabelledImage], np.ndarray], tmp_path: Path
) -> None:
    images, pixels = drawn

    found = image_properties(images[::-1], pixels, np.arange(8)[::-1], data_folder=tmp_path)

    kinds = {name: values[::-1].tolist() for name, values in found.items()}
    assert kinds["black corners"] == ["none"] * 6 + ["present"] * 2
    assert kinds["stored size"] == ["above 512 px"] + ["up to 256 px"] * 7
    assert kinds["stored shape"] == ["oblong"] + ["square"] * 7
    assert kinds["sharpness"][:2] == [QUARTERS[0]] * 2
    means = pixels.mean(axis=(1, 2, 3))
    assert kinds["brightness"][int(means.argmax())] == QUARTERS[3]
    assert kinds["brightness"][int(means.argmin())] == QUARTERS[0]
    for name in ("brightness", "contrast", "sharpness"):
        assert sorted(kinds[name]) == sorted([*QUARTERS, *QUARTERS])


def test_properties_are_refused_when_a_file_has_gone(
    drawn: tuple[list[LabelledImage], np.ndarray], tmp_path: Path
) -> None:
    images, pixels = drawn
    (tmp_path / "3.png").unlink()

    with pytest.raises(BenchError, match=r"3\.png"):
        image_properties(images, pixels, np.arange(8), data_folder=tmp_path)


def test_worst_mistakes_come_first_when_ranked() -> None:
    missed, alarms = worst_mistakes(IMAGES, PROBABILITIES)

    assert len(missed) == len(alarms) == 12
    assert all(POSITIVE[missed])
    assert not any(POSITIVE[alarms])
    np.testing.assert_array_equal(PROBABILITIES[missed], np.sort(PROBABILITIES[POSITIVE])[:12])
    np.testing.assert_array_equal(PROBABILITIES[alarms], np.sort(PROBABILITIES[~POSITIVE])[::-1][:12])


def test_mistakes_say_nothing_of_the_machine_when_paths_are_absolute(tmp_path: Path) -> None:
    images = [
        replace(IMAGES[0], path=str(tmp_path / "data" / "a" / "b.jpg")),
        replace(IMAGES[1], path="/elsewhere/c.jpg"),
        replace(IMAGES[3], path="a/d.jpg"),
    ]

    found = describe_mistakes(images, np.array([0.1, 0.9, 0.8]), data_folder=tmp_path / "data")

    assert [one["path"] for one in found["missed"]] == ["a/b.jpg"]
    assert [one["path"] for one in found["false_alarms"]] == ["c.jpg", "a/d.jpg"]
    assert found["missed"][0]["probability"] == 0.1


def test_drawings_are_whole_when_a_class_has_few_images(tmp_path: Path) -> None:
    images, pixels = IMAGES[:5], np.zeros((9, 16, 16, 3), dtype=np.uint8)
    rows = residual_table(
        positive=POSITIVE,
        probabilities=PROBABILITIES,
        groups=[one.group for one in IMAGES],
        kinds={"source": np.full(240, "x")},
        seed=1,
    )

    draw_mistakes(images, PROBABILITIES[:5], pixels, np.arange(5), tmp_path / "worst.png", name="net")
    draw_residuals({"one": rows, "none": []}, tmp_path / "residuals.png", name="net")

    for name in ("worst.png", "residuals.png"):
        with Image.open(tmp_path / name) as picture:
            assert min(picture.size) > 200
