"""Training speed from the cache of decoded images against the same from arrays in memory.

    .venv/bin/python -m benchmarks.training_input [--network mobilenet_v2] [--data FOLDER]

Both sides train the same network on the same images in one process, an epoch each in turns. Prints images a second of
both, their ratio and its limit, what a step waited for data, and what the first epoch costs, which has to decode.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from config import PROJECT_ROOT
from ml.experiments import custom_cnn_kaggle, mobilenet_v2_160
from ml.training.config import NO_WEIGHTS, TrainingConfig
from ml.training.datasets import MANIFEST_FILE, LabelledImage, read_manifest

EXPERIMENTS: Final = {
    "custom_cnn": custom_cnn_kaggle.EXPERIMENT,
    "mobilenet_v2": mobilenet_v2_160.EXPERIMENT,
}
LOWEST_RATIO: Final = 0.9
DRAWN_SIDE_PX: Final = 300  # of the Kaggle set's images


@dataclass(frozen=True)
class Epoch:
    """One measured epoch: images a second, and milliseconds that a step waited for data."""

    images_a_s: float
    wait_ms: float


def main() -> None:
    """Measure and print everything."""
    options = parse_arguments()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    config = replace(
        EXPERIMENTS[options.network], balance="none", samples_an_epoch=0, weights=NO_WEIGHTS, warmup_steps=0
    )
    with tempfile.TemporaryDirectory() as folder:
        images, data_folder = find_images(options.data, options.images, Path(folder) / "drawn")
        kind = "drawn" if data_folder != options.data else "real"
        print(
            f"{config.architecture} at {config.input_size_px} px, {len(images)} {kind} images, batches of "
            f"{config.batch_size}, {options.rounds} epochs each, {options.workers} worker threads\n"
        )
        measure(config, images, data_folder, Path(folder) / "cache", options.rounds, options.workers)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training_input")
    parser.add_argument("--network", choices=EXPERIMENTS, default="custom_cnn")
    data = Path(os.environ.get("MELANOMA_DATA") or PROJECT_ROOT.parent / "shared" / "data")
    parser.add_argument(
        "--data", type=Path, default=data, help="folder with manifest.csv; drawn images without"
    )
    parser.add_argument("--images", type=int, default=1600)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=1, help="threads that prepare batches")
    return parser.parse_args()


def find_images(data_folder: Path, count: int, drawn_folder: Path) -> tuple[tuple[LabelledImage, ...], Path]:
    """Images from all over the data folder, or drawn ones, and the folder that their paths are relative to."""
    if not (data_folder / MANIFEST_FILE).is_file():
        return draw_images(count, drawn_folder), drawn_folder
    known = read_manifest(data_folder)
    return known[:: max(1, len(known) // count)][:count], data_folder


def draw_images(count: int, folder: Path) -> tuple[LabelledImage, ...]:
    """JPEG files of noise about a colour; the light ones are benign."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(7)
    images = []
    for number in range(count):
        malignant = number % 2 == 1
        pixels = generator.normal(90 if malignant else 190, 20, (DRAWN_SIDE_PX, DRAWN_SIDE_PX, 3))
        path = f"{number}.jpg"
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / path, quality=90)
        images.append(
            LabelledImage(
                path=path,
                source="drawn",
                official_split="",
                diagnosis="",
                melanoma=malignant,
                malignant=malignant,
                group=path,
            )
        )
    return tuple(images)


def measure(
    config: TrainingConfig,
    images: Sequence[LabelledImage],
    data_folder: Path,
    cache_folder: Path,
    rounds: int,
    workers: int,
) -> None:
    """One epoch that decodes, then epochs from the cache and from memory in turns."""
    from ml.training.pixels import load_pixels

    model = build_network(config)
    where: dict[str, Any] = {"data_folder": data_folder, "cache_folder": cache_folder}
    train_epoch(model, np.zeros((len(images), *model.input_shape[1:]), np.uint8), images, config, 0, workers)
    started = time.perf_counter()
    load_pixels(images, **where, size_px=config.input_size_px)
    decoding_s = time.perf_counter() - started
    cached = load_pixels(images, **where, size_px=config.input_size_px)
    first = train_epoch(model, cached, images, config, 1, workers)
    in_memory = np.array(cached)
    memory: list[Epoch] = []
    cache: list[Epoch] = []
    for number in range(rounds):
        sides = [(memory, in_memory), (cache, cached)]
        for found, pixels in sides if number % 2 else sides[::-1]:
            found.append(train_epoch(model, pixels, images, config, number + 2, workers))
    first_rate = len(images) / (decoding_s + len(images) / first.images_a_s)
    report(memory, cache, first_rate=first_rate, decoding_s=decoding_s, images=len(images))


def build_network(config: TrainingConfig) -> Any:
    """The network of an experiment, compiled as for training."""
    import keras

    from ml.training.architectures import build

    keras.utils.set_random_seed(config.seed)
    model = build(config.architecture, input_size_px=config.input_size_px)
    model.compile(
        optimizer=keras.optimizers.Adam(config.learning_rate),
        loss="binary_crossentropy",
        metrics=["accuracy", keras.metrics.AUC(name="auc")],
    )
    return model


def train_epoch(
    model: Any,
    pixels: NDArray[np.uint8],
    images: Sequence[LabelledImage],
    config: TrainingConfig,
    number: int,
    workers: int,
) -> Epoch:
    """One epoch, with its augmentation, in the steps of `ml.training.training`."""
    from ml.training.batches import PixelBatches

    batches = PixelBatches(pixels, images, config=config, augment_seed=(config.seed, number))
    waited_s = 0.0
    started = time.perf_counter()
    for values, targets, waited in batches.prepared(workers):
        model.train_on_batch(values, targets, return_dict=True)
        waited_s += waited
    return Epoch(
        images_a_s=len(images) / (time.perf_counter() - started), wait_ms=1000 * waited_s / len(batches)
    )


def report(
    memory: Sequence[Epoch], cache: Sequence[Epoch], *, first_rate: float, decoding_s: float, images: int
) -> None:
    """The table: medians."""
    speed = {
        name: statistics.median(epoch.images_a_s for epoch in side)
        for name, side in (("memory", memory), ("cache", cache))
    }
    wait = {
        name: statistics.median(epoch.wait_ms for epoch in side)
        for name, side in (("memory", memory), ("cache", cache))
    }
    ratio = speed["cache"] / speed["memory"]
    print(f"{'measure':<46}{'memory':>12}{'cache':>12}{'ratio':>8}  limit")
    print(
        f"{'training, images a second':<46}{speed['memory']:>12.1f}{speed['cache']:>12.1f}{ratio:>8.3f}"
        f"  ≥ {LOWEST_RATIO:.3f}"
    )
    print(f"{'waited for data, ms a step':<46}{wait['memory']:>12.2f}{wait['cache']:>12.2f}")
    print(f"{'first epoch with decoding, images a second':<46}{'':>12}{first_rate:>12.1f}")
    print(f"\ndecoding took {decoding_s:.1f} s once, {images / decoding_s:.0f} images a second")


if __name__ == "__main__":
    main()
