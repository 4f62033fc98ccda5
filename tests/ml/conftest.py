"""Drawn lesions, a small labelled collection of them, and one small run that is trained, judged and released."""

import csv
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ml.inference.quality import QualityGate
from ml.inference.quality_measures import QualityMeasures
from ml.training import measures
from ml.training.config import AugmentationConfig, TrainingConfig
from ml.training.datasets import LabelledImage, Split, read_manifest, split_sources
from ml.training.quality_limits import fit_quality_gate, measure_photographs
from tests.ml.drawn_lesions import TinyRelease, draw_lesion, encode
from tests.ml.spoilt_photographs import photograph, skin_features

REPOSITORY = Path(__file__).resolve().parents[2]
_COLUMNS = (
    "path",
    "source",
    "official_split",
    "diagnosis",
    "melanoma",
    "malignant",
    "isic_id",
    "lesion_id",
    "group",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let through, in these tests alone, the one warning that Keras' own code raises on numpy 2."""
    keras_on_numpy_2 = "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.filterwarnings(keras_on_numpy_2))


@pytest.fixture(scope="session")
def real_images() -> list[Path]:
    """A few real images where the data folder is there; none elsewhere, and the drawn ones have to do."""
    folder = Path(os.environ.get("MELANOMA_DATA") or REPOSITORY.parent / "shared" / "data")
    return [
        path
        for part in (
            "melanoma_cancer_dataset/test/benign",
            "melanoma_cancer_dataset/test/malignant",
            "ham10000_224",
        )
        for path in sorted((folder / part).glob("*.jpg"))[:8]
    ]


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder like the real one, drawn: three sources, twins across the splits and the sources."""
    folder = tmp_path_factory.mktemp("data")
    rows: list[tuple[str, ...]] = []

    def add(source: str, split: str, diagnosis: str, number: int, group: str) -> None:
        malignant = diagnosis in {"melanoma", "mel", "bcc"}
        path = f"{source}/{split or 'all'}/{diagnosis}_{number}.png"
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        draw_lesion(malignant=malignant, seed=len(rows)).save(folder / path)
        melanoma = diagnosis in {"melanoma", "mel"}
        rows.append((path, source, split, diagnosis, f"{melanoma:d}", f"{malignant:d}", "", "", group))

    kaggle = "kaggle_melanoma_10000"
    for number in range(30):
        add(kaggle, "train", "melanoma", number, f"m{number // 2}")
        add(kaggle, "train", "benign_unspecified", number, f"b{number // 2}")
    for number in range(8):
        add(kaggle, "test", "melanoma", number, "m0" if number == 0 else f"tm{number}")
        add(kaggle, "test", "benign_unspecified", number, f"tb{number}")
    for number in range(10):
        add("ham10000", "", "mel", number, f"m{number}")
        add("ham10000", "", "nv", number, f"hn{number}")
        add("ham10000", "", "bcc", number, f"hb{number}")
        add("isic2017", "train", "melanoma", number, f"m{number + 4}")
        add("isic2017", "train", "benign_unspecified", number, f"in{number}")
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([_COLUMNS, *rows])
    return folder


@pytest.fixture(scope="session")
def tiny_config() -> TrainingConfig:
    """Two epochs on 32-pixel images."""
    return TrainingConfig(
        name="tiny",
        architecture="custom_cnn",
        input_size_px=32,
        sources=("kaggle_melanoma_10000",),
        epochs=2,
        batch_size=8,
        validation_fraction=0.2,
        learning_rate=1e-3,
        patience_epochs=5,
        seed=7,
        augmentation=AugmentationConfig(rotation_degrees=20, flips=True, black_corner_share=0.2),
    )


@pytest.fixture(scope="session")
def split(data_folder: Path, tiny_config: TrainingConfig) -> Split:
    """The drawn collection's split."""
    return split_sources(
        read_manifest(data_folder),
        sources=tiny_config.sources,
        validation_fraction=tiny_config.validation_fraction,
        test_fraction=tiny_config.test_fraction,
        seed=tiny_config.seed,
    )


@pytest.fixture
def small_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put two convolutions in the place of MobileNetV2."""
    from ml.training.architectures import BACKBONES
    from tests.ml.small_networks import build_small_backbone

    small = replace(BACKBONES["mobilenet_v2"], build=build_small_backbone)
    monkeypatch.setitem(BACKBONES, "mobilenet_v2", small)


@pytest.fixture
def float32_afterwards() -> Iterator[None]:
    """Let a test train in another precision, which Keras keeps for the whole process."""
    import keras

    yield
    keras.mixed_precision.set_dtype_policy("float32")


@pytest.fixture(scope="session")
def tiny_run(
    data_folder: Path, tiny_config: TrainingConfig, split: Split, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of a trained run, not yet evaluated; to be copied before it is changed."""
    from ml.training.training import train

    runs = tmp_path_factory.mktemp("trained")
    train(tiny_config, split, data_folder=data_folder, runs_folder=runs)
    return runs / tiny_config.name


@pytest.fixture(scope="session")
def tiny_release(
    data_folder: Path, tiny_config: TrainingConfig, tiny_run: Path, tmp_path_factory: pytest.TempPathFactory
) -> TinyRelease:
    """Evaluate and export the trained run once, for all tests that look at the result."""
    from ml.training.evaluation import evaluate
    from ml.training.export import ReleaseImages, ReleaseOptions, drawn_pixels, export_release

    runs, released = tmp_path_factory.mktemp("runs"), tmp_path_factory.mktemp("released")
    shutil.copytree(tiny_run, runs / "tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measures, "BOOTSTRAP_ROUNDS", 20)  # a minute of arithmetic that no test looks at
        patch.setattr(measures, "MIN_IMAGES_A_CLASS", 5)
        evaluate(runs / "tiny", read_manifest(data_folder), data_folder=data_folder)
    folder = export_release(
        runs / "tiny",
        released_folder=released,
        options=ReleaseOptions(version="0.1.0"),
        images=ReleaseImages(parity=drawn_pixels(tiny_config.input_size_px), parity_kind="drawn"),
    )
    return TinyRelease(run_folder=runs / "tiny", folder=folder)


@pytest.fixture
def lesion_file(tmp_path: Path) -> Callable[[str], Path]:
    """Write a drawn lesion as JPEG under any name."""

    def write(name: str) -> Path:
        path = tmp_path / name
        path.write_bytes(encode(draw_lesion(malignant=True, seed=len(name), side_px=200), "JPEG", quality=90))
        return path

    return write


@pytest.fixture(scope="session")
def drawn_measures() -> list[QualityMeasures]:
    return measure_photographs(photograph(seed) for seed in range(120))


@pytest.fixture(scope="session")
def gate(drawn_measures: list[QualityMeasures]) -> QualityGate:
    """Fitted to drawn photographs and to features made for them."""
    return fit_quality_gate(drawn_measures, skin_features(120, seed=2), dimensions=4)


def few(images: Sequence[LabelledImage], per_class: int) -> tuple[LabelledImage, ...]:
    """The first images of each diagnosis."""
    names = sorted({image.diagnosis for image in images})
    return tuple(
        image for name in names for image in [one for one in images if one.diagnosis == name][:per_class]
    )


@pytest.fixture(scope="session")
def small_split(split: Split) -> Split:
    """Twelve training and four validation images."""
    return replace(split, train=few(split.train, 6), validation=few(split.validation, 2))


@pytest.fixture(scope="session")
def diagnosis_split(data_folder: Path) -> Split:
    """Pictures with diagnoses of HAM10000."""
    found = split_sources(
        read_manifest(data_folder),
        sources=("ham10000",),
        validation_fraction=0.3,
        test_fraction=0.2,
        seed=1,
    )
    return replace(found, train=few(found.train, 4), validation=few(found.validation, 1))


@pytest.fixture
def two_phases(small_backbone: None, tiny_config: TrainingConfig) -> TrainingConfig:
    """The head for an epoch, then from the second convolution on for two; without dropout nothing is chance."""
    return replace(
        tiny_config,
        name="two_phases",
        architecture="mobilenet_v2",
        epochs=3,
        head_epochs=1,
        head_learning_rate=0.05,
        learning_rate=0.01,
        fine_tune_from="second_conv",
        dropout=0.0,
        warmup_steps=2,
    )
