"""Two photographs of one lesion: which are shown, and what changed between them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from melanoma_app.errors import InvalidInputError, NotFoundError
from melanoma_app.models import AuditEvent, Clinic, Lesion, LesionImage, User
from melanoma_app.models.vocabulary import AuditAction, ImageType
from melanoma_app.services.actor import Actor
from melanoma_app.services.comparison import Comparison, read_comparison
from tests.factories import (
    LesionFactory,
    LesionImageFactory,
    ModelVersionFactory,
    PredictionFactory,
    actor_of,
)
from tests.records import Records

pytestmark = pytest.mark.usefixtures("context")

FIRST = datetime(2026, 3, 12, 9, tzinfo=UTC)


@pytest.fixture
def lesion(clinic: Clinic) -> Lesion:
    return LesionFactory(patient__clinic=clinic)


@pytest.fixture
def images(lesion: Lesion) -> Sequence[LesionImage]:
    """Three photographs, thirty days apart, oldest first, put on record in another order."""
    taken = {
        month: LesionImageFactory(lesion=lesion, captured_at=FIRST + timedelta(days=30 * month))
        for month in (1, 0, 2)
    }
    return [taken[month] for month in range(3)]


def compare(
    lesion: Lesion, actor: Actor, left: LesionImage | None = None, right: LesionImage | None = None
) -> Comparison:
    return read_comparison(
        lesion_public_id=lesion.public_id,
        left_id=left and left.public_id,
        right_id=right and right.public_id,
        actor=actor,
    )


def shown(comparison: Comparison) -> tuple[int, int]:
    return comparison.left.record.image.id, comparison.right.record.image.id


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [(None, None, (0, 2)), (2, None, (2, 1)), (None, 0, (1, 0)), (1, 0, (1, 0))],
)
def test_oldest_and_newest_free_ones_are_taken_when_a_side_is_left_open(
    lesion: Lesion,
    images: Sequence[LesionImage],
    actor: Actor,
    left: int | None,
    right: int | None,
    expected: tuple[int, int],
) -> None:
    left_image, right_image = (None if one is None else images[one] for one in (left, right))

    comparison = compare(lesion, actor, left_image, right_image)

    assert shown(comparison) == tuple(images[one].id for one in expected)


def test_steps_pass_over_the_other_side_when_it_lies_between(
    lesion: Lesion, images: Sequence[LesionImage], actor: Actor
) -> None:
    comparison = compare(lesion, actor, images[0], images[1])

    left, right = comparison.left, comparison.right
    assert left.older is None
    assert left.newer is not None
    assert left.newer.image.id == images[2].id
    assert right.older is None
    assert right.newer is not None
    assert right.newer.image.id == images[2].id


def test_changes_are_counted_from_left_to_right_when_both_are_known(lesion: Lesion, actor: Actor) -> None:
    model = ModelVersionFactory()
    before, after = (
        LesionImageFactory(
            lesion=lesion, captured_at=FIRST + timedelta(days=days), clin_size_long_diam_mm=size
        )
        for days, size in ((0, 4.5), (92, 6.0))
    )
    for image, probability in ((before, 0.12), (after, 0.155)):
        PredictionFactory(lesion_image=image, model_version=model, malignancy_probability=probability)

    forwards, backwards = compare(lesion, actor, before, after), compare(lesion, actor, after, before)

    assert (forwards.days_between, backwards.days_between) == (92, -92)
    assert (forwards.size_change_mm, backwards.size_change_mm) == (1.5, -1.5)
    assert forwards.probability_change == pytest.approx(0.035)
    assert backwards.probability_change == pytest.approx(-0.035)
    assert not forwards.has_different_models
    assert not forwards.has_different_image_types


def test_no_change_is_given_when_two_model_versions_answered(
    lesion: Lesion, images: Sequence[LesionImage], actor: Actor
) -> None:
    for image in images[:2]:
        PredictionFactory(lesion_image=image)

    comparison = compare(lesion, actor, images[0], images[1])

    assert comparison.has_different_models
    assert comparison.probability_change is None


def test_nothing_is_made_up_when_one_was_neither_scored_nor_measured(lesion: Lesion, actor: Actor) -> None:
    scored = LesionImageFactory(lesion=lesion, clin_size_long_diam_mm=4.0)
    PredictionFactory(lesion_image=scored)
    other = LesionImageFactory(lesion=lesion, image_type=ImageType.CLINICAL_CLOSE_UP)

    comparison = compare(lesion, actor, scored, other)

    assert (comparison.probability_change, comparison.size_change_mm) == (None, None)
    assert not comparison.has_different_models
    assert comparison.has_different_image_types


def test_photograph_is_unknown_when_of_another_lesion(
    lesion: Lesion, images: Sequence[LesionImage], actor: Actor, records: Records
) -> None:
    others = LesionImageFactory(lesion=LesionFactory(patient=lesion.patient, number=2))

    for left, right in ((others, images[0]), (images[0], others), (others, others), (None, others)):
        with pytest.raises(NotFoundError):
            compare(lesion, actor, left, right)
    assert records.count(AuditEvent) == 0


def test_comparison_is_refused_when_both_are_the_same_photograph(
    lesion: Lesion, images: Sequence[LesionImage], actor: Actor
) -> None:
    with pytest.raises(InvalidInputError, match="same photograph"):
        compare(lesion, actor, images[0], images[0])


def test_comparison_is_refused_when_there_is_one_photograph(lesion: Lesion, actor: Actor) -> None:
    image = LesionImageFactory(lesion=lesion)

    for left in (None, image):
        with pytest.raises(InvalidInputError, match="two photographs"):
            compare(lesion, actor, left)


def test_reading_is_audited_once_when_compared(
    lesion: Lesion, images: Sequence[LesionImage], actor: Actor, records: Records
) -> None:
    compare(lesion, actor)

    event = records.one(AuditEvent)
    assert (event.action, event.subject_public_id) == (AuditAction.PATIENT_READ, lesion.public_id)
    assert images


def test_lesion_is_unknown_when_of_another_clinic(
    lesion: Lesion, images: Sequence[LesionImage], outsider: User
) -> None:
    with pytest.raises(NotFoundError):
        compare(lesion, actor_of(outsider), images[0], images[1])
