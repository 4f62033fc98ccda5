"""The bench from images to a served model, by its commands alone: 200 drawn images, two epochs."""

import csv
import io
import json
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from ml.__main__ import main
from ml.inference import Classifier, decode_image
from ml.training import measures
from tests.ml.drawn_lesions import draw_lesion

_IMAGES_A_CLASS = {"train": 80, "test": 20}


class Walk(NamedTuple):
    """What the commands left behind."""

    images: Path
    split_file: Path
    runs: Path
    results: Path
    released: Path
    page: Path


def bench(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    """Check, split, train, evaluate, compare and export, one command after the other."""
    folder = tmp_path_factory.mktemp("walk")
    images = folder / "images"
    seed = 0
    for part, count in _IMAGES_A_CLASS.items():
        for name in ("benign", "malignant"):
            (images / part / name).mkdir(parents=True)
            for number in range(count):
                seed += 1
                drawn = draw_lesion(malignant=name == "malignant", seed=seed)
                drawn.save(images / part / name / f"{number}.png")
    walk = Walk(
        images,
        folder / "split.json",
        folder / "runs",
        folder / "results",
        folder / "released",
        folder / "docs" / "models.md",
    )
    source = f"kaggle:{images}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measures, "BOOTSTRAP_ROUNDS", 20)  # a minute of arithmetic that no test looks at
        patch.setattr(measures, "MIN_IMAGES_A_CLASS", 5)
        assert bench("dataset", "check", source) == 0
        assert bench("dataset", "split", source, "--out", walk.split_file) == 0
        assert (
            bench(
                *("train", "custom_cnn_kaggle", "--name", "smoke", "--epochs", 2, "--input-size-px", 32),
                *("--source", source, "--split", walk.split_file, "--runs", walk.runs, "--tensorboard"),
            )
            == 0
        )
        assert bench("evaluate", "smoke", "--runs", walk.runs, "--views", 8) == 0
        assert (
            bench(
                *("compare", "smoke", "--runs", walk.runs, "--results", walk.results),
                *("--out", walk.page, "--released", _empty(walk.released)),
            )
            == 0
        )
        assert (
            bench("export", "smoke", "--version", "0.1.0", "--runs", walk.runs, "--released", walk.released)
            == 0
        )
    return walk


def _empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_every_image_is_used_once_when_a_split_file_divides_them(walk: Walk) -> None:
    parts = json.loads((walk.runs / "smoke" / "split.json").read_text())

    paths = [path for part in parts.values() for path in part]
    assert len(paths) == len(set(paths)) == 200
    assert all(parts[name] for name in ("train", "validation", "test"))


def test_run_says_that_two_epochs_were_trained_when_finished(walk: Walk) -> None:
    state = json.loads((walk.runs / "smoke" / "state.json").read_text())

    assert (state["finished"], len(state["history"])) == (True, 2)
    assert list((walk.runs / "smoke" / "tensorboard").iterdir())
    assert (walk.runs / "smoke" / "training_curves.png").is_file()


def test_served_answer_is_the_evaluated_one_when_released(
    walk: Walk, capsys: pytest.CaptureFixture[str]
) -> None:
    with (walk.runs / "smoke" / "predictions.csv").open(newline="") as file:
        evaluated = {row["path"]: float(row["probability"]) for row in csv.DictReader(file)}
    chosen = sorted(evaluated)[::7]

    assert bench("predict", "--model", walk.released / "custom_cnn-0.1.0", *chosen) == 0

    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["path"] for row in rows] == chosen
    for row in rows:
        assert float(row["probability"]) == pytest.approx(evaluated[row["path"]], abs=2e-4)


def test_release_tells_its_calibration_doubt_and_limits_when_loaded(walk: Walk) -> None:
    classifier = Classifier.load(walk.released / "custom_cnn-0.1.0")
    lesion = decode_image(next((walk.images / "test" / "malignant").iterdir()).read_bytes())

    manifest = classifier.manifest
    assert manifest.views == 8
    assert manifest.uncertain_band is not None
    assert manifest.uncertain_band.low <= manifest.threshold <= manifest.uncertain_band.high
    assert classifier.explain(lesion).shape == (2, 2)
    verdict = classifier.assess(lesion)
    assert verdict is not None
    assert verdict.measures.short_side_px == 40


def test_page_is_written_again_alike_when_only_the_kept_results_are_left(walk: Walk, tmp_path: Path) -> None:
    page = tmp_path / "models.md"

    status = bench(
        "compare", "--results", walk.results, "--out", page, "--released", _empty(tmp_path / "none")
    )

    assert status == 0
    assert page.read_text() == walk.page.read_text()
    assert page.with_suffix(".png").read_bytes() == walk.page.with_suffix(".png").read_bytes()


def test_page_holds_the_figures_of_the_run_when_compared(walk: Walk) -> None:
    metrics = json.loads((walk.runs / "smoke" / "metrics.json").read_text())
    row = next(line for line in walk.page.read_text().splitlines() if line.startswith("| custom_cnn | smoke"))

    cells = [cell.strip() for cell in row.strip("|").split("|")]
    test = metrics["sets"]["test"]
    assert cells[2] == "32"
    assert [float(cell) for cell in cells[3:7]] == pytest.approx(
        [test["at_0.5"][name]["value"] for name in ("accuracy", "precision", "recall", "f1")], abs=5e-4
    )
    assert float(re.split(r"[ (]", cells[7])[0]) == pytest.approx(test["auc"]["value"], abs=5e-4)


def test_card_is_written_again_alike_when_compared(walk: Walk, tmp_path: Path) -> None:
    card = walk.released / "custom_cnn-0.1.0" / "MODEL_CARD.md"
    before = card.read_text()
    card.write_text("")

    bench("compare", "--results", walk.results, "--out", tmp_path / "models.md", "--released", walk.released)

    assert card.read_text() == before


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--source", "folder:{images}/train"), "go together"),
        (
            ("--source", "folder:{images}/train", "--split", "{split}"),
            "give the run on images of your own a --name",
        ),
        (("--name", "n", "--epochs", "0"), "epochs must be 1 or more"),
        (("--name", "n", "--learning-rate", "0"), "learning_rate must be above 0"),
        (("--name", "n", "--architecture", "alexnet", "--data", "{images}"), "no manifest.csv"),
        (("--weights", "{images}/none.keras"), "cannot be read"),
        (("--workers", "0"), "--workers must be 1 or more"),
        (("--epochs", "3"), "give the changed experiment a --name"),
        (
            ("--name", "n", "--source", "folder:{images}/train", "--split", "{images}/no.json"),
            "no split file",
        ),
        (
            ("--name", "n", "--source", "folder:{images}/test", "--split", "{split}"),
            "is not among the images",
        ),
    ],
)
def test_training_is_refused_in_one_line_when_an_option_is_wrong(
    walk: Walk, capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: tuple[str, ...], reason: str
) -> None:
    given = [one.format(images=walk.images, split=walk.split_file) for one in arguments]

    status = bench("train", "custom_cnn_kaggle", "--runs", tmp_path / "runs", *given)

    lines = capsys.readouterr().err.splitlines()
    assert (status, len(lines)) == (1, 1), lines
    assert lines[0].startswith("error: ")
    assert reason in lines[0]
    assert not (tmp_path / "runs").exists()


def test_comparison_is_refused_when_nothing_is_kept(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    status = bench("compare", "--results", tmp_path, "--out", tmp_path / "docs" / "models.md")

    assert status == 1
    assert "no kept results" in capsys.readouterr().err
    assert not (tmp_path / "docs").exists()


def test_comparison_is_refused_when_a_run_is_not_evaluated(
    walk: Walk, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run = tmp_path / "runs" / "smoke"
    run.mkdir(parents=True)
    (run / "state.json").write_text((walk.runs / "smoke" / "state.json").read_text())

    status = bench("compare", "smoke", "--runs", tmp_path / "runs", "--results", tmp_path / "results")

    assert status == 1
    assert "evaluate smoke" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()
