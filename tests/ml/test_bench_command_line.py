"""python -m ml as people type it: rows on stdout, one clear line on stderr, and never TensorFlow to predict."""

import csv
import io
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ml.inference import Classifier, decode_image, find_released_model
from tests.ml.drawn_lesions import TinyRelease

REPOSITORY = Path(__file__).resolve().parents[2]


def run(*arguments: object, folder: Path = REPOSITORY) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "ml", *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_one_row_an_image_is_printed_when_images_are_predicted(lesion_file: Callable[[str], Path]) -> None:
    paths = [lesion_file("plain.jpg"), lesion_file('comma, "quote" und Ümlaut.jpg')]

    done = run("predict", "--model", "custom_cnn", *paths)

    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert (done.returncode, done.stderr) == (0, "")
    assert [row["path"] for row in rows] == [str(path) for path in paths]
    classifier = Classifier.load(find_released_model("custom_cnn"))
    for row, path in zip(rows, paths, strict=True):
        expected = classifier.predict(decode_image(path.read_bytes()))
        assert float(row["probability"]) == pytest.approx(expected.probability, abs=1e-6)
        assert row["label"] == expected.label


def test_other_images_are_scored_when_one_is_unreadable(
    lesion_file: Callable[[str], Path], tmp_path: Path
) -> None:
    good, missing = lesion_file("good.jpg"), tmp_path / "missing.jpg"
    words = tmp_path / "words.jpg"
    words.write_text("no image")

    done = run("predict", "--model", find_released_model("custom_cnn").name, words, good, missing, tmp_path)

    assert done.returncode == 1
    assert [row["path"] for row in csv.DictReader(io.StringIO(done.stdout))] == [str(good)]
    lines = done.stderr.splitlines()
    assert len(lines) == 3
    assert lines[0] == f"error: {words}: This file is not an image: choose a JPEG or PNG photograph."
    assert lines[1].startswith(f"error: {missing}: cannot be read (No such file")
    assert lines[2].startswith(f"error: {tmp_path}: cannot be read (Is a directory")


def test_model_is_found_by_its_folder_when_given_as_a_path(
    tiny_release: TinyRelease, lesion_file: Callable[[str], Path]
) -> None:
    done = run("predict", "--model", tiny_release.folder, lesion_file("one.jpg"))

    assert done.returncode == 0
    assert done.stdout.startswith("path,probability,label\n")


def test_tensorflow_stays_unloaded_when_images_are_predicted(lesion_file: Callable[[str], Path]) -> None:
    program = (
        "import sys\nfrom ml.__main__ import main\n"
        "status = main(sys.argv[1:])\n"
        "heavy = {'tensorflow', 'keras', 'sklearn', 'matplotlib', 'tf2onnx', 'onnx'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else status)"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, "predict", "--model", "custom_cnn", str(lesion_file("one.jpg"))],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")


def assert_one_clear_line(done: "subprocess.CompletedProcess[str]", *words: str) -> None:
    assert done.returncode == 1
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    for word in words:
        assert word in lines[0]


def test_model_is_refused_in_one_line_when_unknown(lesion_file: Callable[[str], Path]) -> None:
    assert_one_clear_line(
        run("predict", "--model", "resnet9", lesion_file("a.jpg")),
        "'resnet9'",
        find_released_model("custom_cnn").name,
    )


def test_model_is_refused_in_one_line_when_tampered(
    tmp_path: Path, lesion_file: Callable[[str], Path]
) -> None:
    folder = shutil.copytree(find_released_model("custom_cnn"), tmp_path / "copy")
    with (folder / "model.onnx").open("ab") as file:
        file.write(b"\0")

    assert_one_clear_line(run("predict", "--model", folder, lesion_file("a.jpg")), "sha256 differs")


def test_training_is_refused_in_one_line_when_experiment_is_unknown(tmp_path: Path) -> None:
    done = run("train", "custom_rnn", "--runs", tmp_path / "runs")

    assert_one_clear_line(done, "no experiment 'custom_rnn'", "custom_cnn_kaggle")
    assert not (tmp_path / "runs").exists()


def test_training_is_refused_in_one_line_when_data_is_missing(tmp_path: Path) -> None:
    done = run("train", "custom_cnn_kaggle", "--data", tmp_path, "--runs", tmp_path / "runs")

    assert_one_clear_line(done, "no manifest.csv", "--data or MELANOMA_DATA")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("command", [("evaluate", "none"), ("export", "none", "--version", "1.0.0")])
def test_run_is_refused_in_one_line_when_there_is_none(tmp_path: Path, command: tuple[str, ...]) -> None:
    done = run(*command, "--runs", tmp_path)

    assert_one_clear_line(done, "no run in")


def test_run_is_released_when_data_is_elsewhere(tiny_release: TinyRelease, tmp_path: Path) -> None:
    done = run(
        *("export", "tiny", "--version", "0.3.0", "--runs", tiny_release.run_folder.parent),
        *("--released", tmp_path / "released", "--data", tmp_path / "no data"),
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout == f"released {tmp_path / 'released' / 'custom_cnn-0.3.0'}\n"
    assert Classifier.load(tmp_path / "released" / "custom_cnn-0.3.0").manifest.version == "0.3.0"
