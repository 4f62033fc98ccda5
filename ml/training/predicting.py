"""What a trained network says of many images, each asked once: the mean over its views, batch by batch."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import keras
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ml.inference.views import mean_over_views, views_of
from ml.preprocessing import scale_pixels
from ml.training.datasets import LabelledImage
from ml.training.files import replacing

_INPUTS_A_BATCH: Final = 64


def predict_pixels(model: keras.Model, pixels: NDArray[np.uint8], *, views: int) -> NDArray[np.float64]:
    """A network's answers, averaged over the views of each image.

    Batch by batch, for as floats the images fill the memory.

    Args:
        model: from float32 (batch, size, size, 3), 0 to 1, to float32 (batch, outputs), 0 to 1.
        pixels: uint8 (images, size, size, 3), RGB.
        views: 1, or 8 for all flips and quarter turns.

    Returns:
        float64 (images, outputs), 0 to 1.
    """
    images_a_batch = max(1, _INPUTS_A_BATCH // views)
    answers = []
    with tqdm(total=len(pixels), desc="predict", unit="image", mininterval=5.0) as bar:
        for start in range(0, len(pixels), images_a_batch):
            inputs = scale_pixels(views_of(pixels[start : start + images_a_batch], views))
            answers.append(mean_over_views(np.asarray(model.predict_on_batch(inputs)), views))
            bar.update(len(inputs) // views)
    return np.concatenate(answers)


def write_predictions(
    path: Path,
    images: Sequence[LabelledImage],
    raw: NDArray[np.float64],
    calibrated: NDArray[np.float64],
) -> None:
    """Write a CSV row an image, by path: raw and calibrated probability of malignancy, and the image's label.

    Args:
        path: of the file.
        images: any order.
        raw: float64 (images,), mean over the views.
        calibrated: float64 (images,), what is served.
    """
    rows = [
        (image.path, before, after, "malignant" if image.malignant else "benign")
        for image, before, after in zip(images, raw.tolist(), calibrated.tolist(), strict=True)
    ]
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "raw_probability", "probability", "label"))
        writer.writerows(sorted(rows))
