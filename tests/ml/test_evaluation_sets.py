"""Which images judge a run of one or of several collections."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ml.training.datasets import LabelledImage, Split, read_manifest, split_sources
from ml.training.evaluation_sets import EvaluationSet, evaluation_sets, sources_of, title_of

KAGGLE, HAM, ISIC = "kaggle_melanoma_10000", "ham10000", "isic2017"


@pytest.fixture(scope="module")
def images(data_folder: Path) -> tuple[LabelledImage, ...]:
    return read_manifest(data_folder)


def sets_of(
    images: tuple[LabelledImage, ...], *sources: str, left_out: str = ""
) -> tuple[Split, dict[str, EvaluationSet]]:
    split = split_sources(
        images,
        sources=sources,
        validation_fraction=0.2,
        test_fraction=0.3,
        left_out_source=left_out,
        seed=3,
    )
    return split, {one.key: one for one in evaluation_sets(images, split)}


def test_all_parts_of_all_sources_are_judged_when_trained_on_several(
    images: tuple[LabelledImage, ...],
) -> None:
    split, sets = sets_of(images, KAGGLE, HAM, ISIC)

    assert list(sets) == [
        "validation",
        "validation_ham10000",
        "validation_isic2017",
        "validation_kaggle_melanoma_10000",
        "test",
        "test_without_twins",
        "test_ham10000",
        "test_ham10000_melanoma",
        "test_isic2017",
        "test_all",
    ]
    assert all(one.in_source for one in sets.values())
    assert {one.source for one in sets["test"].images} == {KAGGLE}
    assert set(sets["test_all"].images) == set(split.test)
    assert len(sets["test_without_twins"].images) == len(sets["test"].images) - 1
    assert "HAM10000: malignant = melanoma, basal" in sets["test_all"].labels
    trained_on = {one.group for one in split.train}
    for one in sets.values():
        assert not {image.group for image in one.images} & trained_on
    apart = [sets[f"validation_{source}"].images for source in (HAM, ISIC, KAGGLE)]
    assert sorted(map(len, apart)) != [0, 0, 0]
    assert sum(map(len, apart)) == len(sets["validation"].images)


def test_whole_test_part_is_the_test_set_when_the_kaggle_set_is_not_trained_on(
    images: tuple[LabelledImage, ...],
) -> None:
    split, sets = sets_of(images, HAM, ISIC)

    assert set(sets["test"].images) == set(split.test)
    assert "test_without_twins" not in sets
    assert sets["test_ham10000"].title == "HAM10000, test part (drawn by group)"
    assert not sets[KAGGLE].in_source


def test_whole_collection_judges_when_it_was_left_out(images: tuple[LabelledImage, ...]) -> None:
    split, sets = sets_of(images, KAGGLE, ISIC, left_out=HAM)

    assert split.dropped
    assert set(sets[HAM].images) == {one for one in images if one.source == HAM}
    assert "ham10000_with_validation_twins" not in sets
    melanoma = sets["ham10000_melanoma"]
    assert {one.diagnosis for one in melanoma.images} == {"mel", "nv"}
    np.testing.assert_array_equal(melanoma.positive, [one.diagnosis == "mel" for one in melanoma.images])


def test_source_has_its_own_name_when_the_bench_does_not_know_it(
    images: tuple[LabelledImage, ...],
) -> None:
    own = tuple(replace(one, source="our clinic", official_split="") for one in images if one.source == HAM)

    split, sets = sets_of(own, "our clinic")

    assert sources_of(split) == ("our clinic",)
    assert list(sets) == ["validation", "test"]
    assert sets["test"].title == "our clinic, test part (drawn by group)"
    assert sets["test"].labels == "malignant as labelled"
    assert title_of(HAM) == "HAM10000"
