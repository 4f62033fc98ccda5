"""What a network tells apart: its classes, the labels it is taught, and malignancy read from its answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ml.training.config import TaskName, TrainingConfig
from ml.training.datasets import LabelledImage
from ml.training.errors import BenchError


@dataclass(frozen=True)
class Task:
    """The classes of a task.

    Attributes:
        classes: in the order of the network's outputs.
        malignant: which of them are.
    """

    classes: tuple[str, ...]
    malignant: tuple[bool, ...]


TASKS: Final[dict[TaskName, Task]] = {
    "malignancy": Task(classes=("benign", "malignant"), malignant=(False, True)),
    "diagnosis": Task(  # of HAM10000: Tschandl, Rosendahl, Kittler 2018, table 1
        classes=("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"),
        malignant=(True, True, False, False, True, False, False),
    ),
}


def count_outputs(config: TrainingConfig) -> int:
    """Outputs of the network: one (the probability of malignancy) or one a class."""
    binary = config.task == "malignancy" and config.loss != "categorical_crossentropy"
    return 1 if binary else len(TASKS[config.task].classes)


def class_indices(images: Sequence[LabelledImage], task: TaskName) -> NDArray[np.intp]:
    """The class of each image, intp (images,).

    Raises:
        BenchError: an image has none of the task's diagnoses.
    """
    if task == "malignancy":
        return np.array([image.malignant for image in images], dtype=np.intp)
    number = {name: index for index, name in enumerate(TASKS[task].classes)}
    for image in images:
        if image.diagnosis not in number:
            raise BenchError(
                f"{image.path} has the diagnosis {image.diagnosis!r}: the task {task} knows "
                f"{', '.join(number)} only; train it on ham10000"
            )
    return np.array([number[image.diagnosis] for image in images], dtype=np.intp)


def targets_of(images: Sequence[LabelledImage], config: TrainingConfig) -> NDArray[np.float32]:
    """What the network is taught: float32 (images, outputs), 0 or 1."""
    indices = class_indices(images, config.task)
    outputs = count_outputs(config)
    if outputs == 1:
        return indices.astype(np.float32)[:, np.newaxis]
    one_hot: NDArray[np.float32] = np.eye(outputs, dtype=np.float32)[indices]
    return one_hot


def malignancy_of(outputs: NDArray[np.floating], task: TaskName) -> NDArray[np.float64]:
    """Probability of malignancy from a network's answer.

    Args:
        outputs: (images, 1), the probability itself, or (images, classes), adding up to 1.
        task: of the network.

    Returns:
        float64 (images,), 0 to 1.
    """
    if outputs.shape[1] == 1:
        return outputs[:, 0].astype(np.float64)
    malignant: NDArray[np.float64] = (
        outputs[:, np.array(TASKS[task].malignant)].astype(np.float64).sum(axis=1)
    )
    return malignant.clip(0, 1)
