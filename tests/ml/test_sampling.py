"""An epoch shows classes and sources in the mixture that is configured, and every image before one comes again."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.training.batches import PixelBatches
from ml.training.config import AugmentationConfig, TrainingConfig
from ml.training.datasets import LabelledImage
from ml.training.errors import BenchError
from ml.training.sampling import draw_epoch, images_an_epoch
from tests.ml.labelled import labelled


def collection(**sizes: tuple[int, int]) -> list[LabelledImage]:
    """Images of sources, each with so many benign and so many malignant ones."""
    return [
        labelled(1000 * malignant + number, malignant=bool(malignant), source=source)
        for source, counts in sizes.items()
        for malignant, count in enumerate(counts)
        for number in range(count)
    ]


UNEVEN = collection(a=(40, 20), b=(90, 10), c=(15, 25))  # 60, 100 and 40 of 200


def drawn(images: Sequence[LabelledImage], config: TrainingConfig, seed: int = 0) -> list[LabelledImage]:
    return [images[index] for index in draw_epoch(images, config, np.random.default_rng(seed))]


def test_every_image_is_shown_once_when_nothing_is_balanced(tiny_config: TrainingConfig) -> None:
    shown = drawn(UNEVEN, tiny_config)

    assert Counter(shown) == Counter(UNEVEN)
    assert shown != UNEVEN, "the order is another"


def test_order_is_a_plain_permutation_when_nothing_is_balanced(tiny_config: TrainingConfig) -> None:
    # As the first released network drew it.
    np.testing.assert_array_equal(
        draw_epoch(UNEVEN, tiny_config, np.random.default_rng((7, 3))),
        np.random.default_rng((7, 3)).permutation(200),
    )


@pytest.mark.parametrize("samples", [1, 50, 199, 200, 201, 550])
def test_images_are_shown_as_equally_often_as_can_be_when_their_number_is_given(
    tiny_config: TrainingConfig, samples: int
) -> None:
    config = replace(tiny_config, samples_an_epoch=samples)

    shown = Counter(drawn(UNEVEN, config))

    assert images_an_epoch(UNEVEN, config) == shown.total() == samples
    assert max(shown.values()) - (min(shown.values()) if len(shown) == 200 else 0) <= 1


def test_classes_are_equally_frequent_when_classes_are_balanced(tiny_config: TrainingConfig) -> None:
    shown = Counter(drawn(UNEVEN, replace(tiny_config, balance="class")))

    assert Counter(image.malignant for image in shown.elements()) == {True: 100, False: 100}
    assert {count for image, count in shown.items() if image.malignant} == {1, 2}  # 55 of them
    assert {count for image, count in shown.items() if not image.malignant} == {1}  # 145 of them


def test_source_tells_nothing_of_the_class_when_both_are_balanced(tiny_config: TrainingConfig) -> None:
    config = replace(tiny_config, balance="class_and_source", samples_an_epoch=1000)

    shown = Counter(drawn(UNEVEN, config))

    shares = Counter((image.malignant, image.source) for image in shown.elements())
    assert shares == {
        (label, source): n
        for label in (True, False)
        for source, n in zip("abc", (150, 250, 100), strict=True)
    }
    for stratum in shares:
        counts = [shown[image] for image in UNEVEN if (image.malignant, image.source) == stratum]
        assert max(counts) - min(counts) <= 1, "every image of a stratum before one comes again"


@given(
    sizes=st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), min_size=1, max_size=4),
    samples=st.integers(0, 200),
    balance=st.sampled_from(["none", "class", "class_and_source"]),
    seed=st.integers(0, 100),
)
def test_epoch_is_as_long_as_wanted_and_even_when_images_are_random(
    sizes: list[tuple[int, int]], samples: int, balance: str, seed: int
) -> None:
    images = collection(**dict(zip("abcd", sizes, strict=False)))
    config = replace(A_RUN, balance=balance, samples_an_epoch=samples)

    shown = Counter(drawn(images, config, seed))

    wanted = samples or len(images)
    rounded_strata = {"none": 0, "class": 2, "class_and_source": 2 * len(sizes)}[balance]
    assert abs(shown.total() - wanted) <= rounded_strata / 2
    if balance != "none":
        classes = Counter(image.malignant for image in shown.elements())
        assert classes[True] == classes[False]


def test_source_is_left_out_of_an_epoch_when_its_share_is_less_than_half_an_image(
    tiny_config: TrainingConfig,
) -> None:
    images = collection(a=(200, 200), b=(1, 1))
    config = replace(tiny_config, balance="class_and_source", samples_an_epoch=100)

    assert Counter(image.source for image in drawn(images, config)) == {"a": 100}


@pytest.mark.parametrize("lacking", [(10, 0), (0, 10)], ids=["malignant", "benign"])
def test_balance_is_refused_when_a_source_lacks_a_class(
    tiny_config: TrainingConfig, lacking: tuple[int, int]
) -> None:
    images = collection(a=(20, 20), b=lacking)

    with pytest.raises(BenchError, match="class_and_source needs benign and malignant images of b"):
        drawn(images, replace(tiny_config, balance="class_and_source"))
    assert len(drawn(images, replace(tiny_config, balance="class"))) == 50


@pytest.mark.parametrize("balance", ["none", "class", "class_and_source"])
def test_epoch_is_the_same_when_the_seed_is(tiny_config: TrainingConfig, balance: str) -> None:
    config = replace(tiny_config, balance=balance)

    assert drawn(UNEVEN, config, 5) == drawn(UNEVEN, config, 5)
    assert drawn(UNEVEN, config, 5) != drawn(UNEVEN, config, 6)


def batches_of(config: TrainingConfig, images: Sequence[LabelledImage]) -> PixelBatches:
    pixels = np.random.default_rng(0).integers(0, 256, (len(images), 8, 8, 3), dtype=np.uint8)
    return PixelBatches(pixels, images, config=config, augment_seed=(1, 0))


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_batches_are_the_same_and_in_order_when_several_threads_prepare_them(
    tiny_config: TrainingConfig, workers: int
) -> None:
    batches = batches_of(replace(tiny_config, batch_size=16, balance="class_and_source"), UNEVEN)

    prepared = list(batches.prepared(workers))

    assert len(prepared) == len(batches) == 13
    for index, (pixels, targets, waited_s) in enumerate(prepared):
        for ours, theirs in zip((pixels, targets), batches[index], strict=True):
            np.testing.assert_array_equal(ours, theirs)
        assert waited_s >= 0


@pytest.mark.parametrize(
    "changes",
    [{"balance": "class_and_source", "samples_an_epoch": 400}, {"samples_an_epoch": 400}],
    ids=["balanced", "not balanced"],
)
def test_image_looks_different_each_time_when_an_epoch_shows_it_again(
    tiny_config: TrainingConfig, changes: dict[str, object]
) -> None:
    config = replace(
        tiny_config, batch_size=400, augmentation=AugmentationConfig(brightness_fraction=0.5), **changes
    )
    images = collection(a=(1, 1))

    pixels, targets = batches_of(config, images)[0]

    assert targets.sum() == 200
    assert len({one.tobytes() for one in pixels}) > 300


def test_batches_are_refused_when_a_thread_meets_an_error(tiny_config: TrainingConfig) -> None:
    batches = batches_of(tiny_config, UNEVEN)
    batches._pixels = batches._pixels[:50]  # shorter than the records, as a damaged cache would be

    with pytest.raises(IndexError):
        list(batches.prepared(2))


A_RUN = TrainingConfig(
    name="a_run",
    architecture="custom_cnn",
    input_size_px=32,
    sources=("a",),
    epochs=1,
    batch_size=8,
    validation_fraction=0.2,
    learning_rate=1e-3,
    patience_epochs=1,
    seed=1,
    augmentation=AugmentationConfig(),
)
"""For Hypothesis, which takes no fixtures of a session."""
