"""What a network is taught, and how malignancy is read from what it answers."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

from ml.training.config import TrainingConfig
from ml.training.errors import BenchError
from ml.training.loaders import _HAM10000_MALIGNANT
from ml.training.tasks import TASKS, class_indices, count_outputs, malignancy_of, targets_of
from tests.ml.labelled import labelled

SEVEN = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
IMAGES = [labelled(number, malignant=number in (1, 2)) for number in range(4)]
DIAGNOSED = [
    labelled(number, malignant=name in ("akiec", "bcc", "mel"), diagnosis=name)
    for number, name in enumerate(SEVEN[::-1])
]


@pytest.mark.parametrize("loss", ["binary_crossentropy", "focal"])
def test_targets_are_the_label_when_there_is_one_output(tiny_config: TrainingConfig, loss: str) -> None:
    config = replace(tiny_config, loss=loss)

    targets = targets_of(IMAGES, config)

    assert count_outputs(config) == 1
    assert targets.dtype == np.float32
    np.testing.assert_array_equal(targets, [[0], [1], [1], [0]])


def test_targets_are_two_columns_when_the_loss_is_categorical(tiny_config: TrainingConfig) -> None:
    config = replace(tiny_config, loss="categorical_crossentropy")

    targets = targets_of(IMAGES, config)

    assert count_outputs(config) == 2
    assert targets.dtype == np.float32
    np.testing.assert_array_equal(targets, [[1, 0], [0, 1], [0, 1], [1, 0]])


@pytest.mark.parametrize("loss", ["categorical_crossentropy", "focal"])
def test_targets_are_a_column_a_class_when_the_task_is_diagnosis(
    tiny_config: TrainingConfig, loss: str
) -> None:
    config = replace(tiny_config, task="diagnosis", loss=loss)

    targets = targets_of(DIAGNOSED, config)

    assert count_outputs(config) == 7
    np.testing.assert_array_equal(targets, np.eye(7)[::-1])
    np.testing.assert_array_equal(class_indices(DIAGNOSED, "diagnosis"), range(6, -1, -1))


def test_malignant_diagnoses_are_those_of_the_ham10000_loader() -> None:
    task = TASKS["diagnosis"]

    assert dict(zip(task.classes, task.malignant, strict=True)) == _HAM10000_MALIGNANT


def test_image_is_refused_when_its_diagnosis_is_foreign_to_the_task(tiny_config: TrainingConfig) -> None:
    config = replace(tiny_config, task="diagnosis", loss="focal")

    with pytest.raises(
        BenchError, match=r"a/9\.jpg has the diagnosis 'melanoma'.*akiec, .*ham10000"
    ) as refusal:
        targets_of([*DIAGNOSED, labelled(9, malignant=True)], config)
    assert "\n" not in str(refusal.value)


def test_malignancy_is_the_answer_itself_when_there_is_one_output() -> None:
    malignancy = malignancy_of(np.array([[0.25], [1.0]], dtype=np.float32), "malignancy")

    assert malignancy.dtype == np.float64
    assert malignancy.tolist() == [0.25, 1.0]


def test_malignancy_is_the_second_class_when_there_are_two() -> None:
    assert malignancy_of(np.array([[0.75, 0.25]]), "malignancy").tolist() == [0.25]


def test_malignancy_is_the_sum_of_the_malignant_classes_when_there_are_seven() -> None:
    outputs = np.array([[0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.37], [1, 0, 0, 0, 0, 0, 0]])

    np.testing.assert_allclose(malignancy_of(outputs, "diagnosis"), [0.01 + 0.02 + 0.16, 1])


@given(
    numpy_strategies.arrays(
        np.float32, st.tuples(st.integers(1, 5), st.just(7)), elements=st.floats(-20, 20, width=32)
    )
)
def test_malignancy_stays_between_0_and_1_when_answers_are_rounded(logits: np.ndarray) -> None:
    powers = np.exp(logits)
    outputs = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)

    malignancy = malignancy_of(outputs, "diagnosis")

    assert ((malignancy >= 0) & (malignancy <= 1)).all()
    benign = outputs.astype(float)[:, [2, 3, 5, 6]].sum(axis=1)
    np.testing.assert_allclose(malignancy + benign, 1, atol=1e-6)
