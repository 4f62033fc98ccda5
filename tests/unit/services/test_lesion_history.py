"""A lesion over time: the trend's points and series, and the laboratory beside what was said before it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from melanoma_app.errors import NotFoundError
from melanoma_app.models import AuditEvent, Clinic, Lesion, LesionImage, User
from melanoma_app.models.vocabulary import AuditAction, OutcomeLabel
from melanoma_app.services.actor import Actor
from melanoma_app.services.lesion_history import LesionHistory, read_lesion_history
from melanoma_app.services.reviews import add_addendum
from tests.factories import (
    HistopathologyFactory,
    LesionFactory,
    LesionImageFactory,
    ModelVersionFactory,
    PredictionFactory,
    ReviewFactory,
    actor_of,
)
from tests.records import Records

pytestmark = pytest.mark.usefixtures("context")

FIRST = datetime(2026, 1, 1, 9, tzinfo=UTC)


@pytest.fixture
def lesion(clinic: Clinic) -> Lesion:
    return LesionFactory(patient__clinic=clinic)


def photograph(lesion: Lesion, day: int) -> LesionImage:
    return LesionImageFactory(lesion=lesion, captured_at=FIRST + timedelta(days=day))


def read(lesion: Lesion, actor: Actor) -> LesionHistory:
    return read_lesion_history(public_id=lesion.public_id, actor=actor)


def test_photographs_are_in_time_order_when_recorded_in_another(lesion: Lesion, actor: Actor) -> None:
    late, early = photograph(lesion, 9), photograph(lesion, 0)

    assert [one.image.id for one in read(lesion, actor).photographs] == [early.id, late.id]


def test_series_are_apart_when_the_model_changed_between_photographs(lesion: Lesion, actor: Actor) -> None:
    old, new = ModelVersionFactory(), ModelVersionFactory()
    for day, model in ((0, old), (25, old), (100, new)):
        PredictionFactory(lesion_image=photograph(lesion, day), model_version=model)
    photograph(lesion, 300)  # unscored: it stretches nothing

    trend = read(lesion, actor).trend

    assert [(one.model_version.id, [point.time_share for point in one.points]) for one in trend] == [
        (old.id, [0, 0.25]),
        (new.id, [1]),
    ]


@pytest.mark.parametrize("count", [1, 2])
def test_points_stand_in_the_middle_when_all_were_taken_at_once(
    lesion: Lesion, actor: Actor, count: int
) -> None:
    model = ModelVersionFactory()
    for _ in range(count):
        PredictionFactory(lesion_image=photograph(lesion, 0), model_version=model)

    (series,) = read(lesion, actor).trend

    assert [point.time_share for point in series.points] == [0.5] * count


def test_trend_is_empty_when_no_model_has_looked(lesion: Lesion, actor: Actor) -> None:
    photograph(lesion, 0)

    assert read(lesion, actor).trend == []


def test_newest_answer_counts_when_a_photograph_was_scored_twice(lesion: Lesion, actor: Actor) -> None:
    image = photograph(lesion, 0)
    PredictionFactory(lesion_image=image)
    second = PredictionFactory(lesion_image=image, malignancy_probability=0.4)

    (series,) = read(lesion, actor).trend

    assert [point.prediction.id for point in series.points] == [second.id]


def test_laboratory_is_held_against_what_was_said_before_it_when_photographed_again(
    lesion: Lesion, actor: Actor
) -> None:
    before, on_the_day, after = (photograph(lesion, day) for day in (0, 10, 11))
    answer = PredictionFactory(lesion_image=before)
    review = ReviewFactory(prediction=answer)
    ReviewFactory(prediction=PredictionFactory(lesion_image=after))
    HistopathologyFactory(lesion=lesion, reported_on=on_the_day.captured_on, outcome=OutcomeLabel.MALIGNANT)

    check = read(lesion, actor).laboratory_check

    assert check is not None
    assert check.prediction is not None
    assert check.review is not None
    assert (check.prediction.id, check.review.id) == (answer.id, review.id)


def test_newest_report_comes_first_when_one_was_corrected(lesion: Lesion, actor: Actor) -> None:
    first, second = HistopathologyFactory(lesion=lesion), HistopathologyFactory(lesion=lesion)

    history = read(lesion, actor)

    assert [one.id for one in history.histopathology] == [second.id, first.id]
    assert history.laboratory_check is not None
    assert history.laboratory_check.histopathology.id == second.id
    assert history.laboratory_check.prediction is None


def test_reviews_come_with_their_addenda_when_there_are_some(lesion: Lesion, actor: Actor) -> None:
    reviews = [
        ReviewFactory(
            prediction=PredictionFactory(lesion_image=photograph(lesion, day)),
            signed_at=FIRST + timedelta(days=day),
        )
        for day in (0, 5)
    ]
    for text in ("first", "second"):
        add_addendum(review_public_id=reviews[0].public_id, text=text, actor=actor)

    history = read(lesion, actor)

    assert [one.id for one in history.reviews] == [reviews[1].id, reviews[0].id]
    assert [one.text for one in history.reviews[1].addenda] == ["first", "second"]
    assert history.reviews[1].addenda[0].written_by.id == actor.user.id


def test_reading_is_audited_once_when_the_lesion_is_opened(
    lesion: Lesion, actor: Actor, records: Records
) -> None:
    read(lesion, actor)

    event = records.one(AuditEvent)
    assert (event.action, event.subject_public_id, event.patient_public_id) == (
        AuditAction.PATIENT_READ,
        lesion.public_id,
        lesion.patient.public_id,
    )


def test_lesion_is_unknown_when_of_another_clinic(lesion: Lesion, outsider: User) -> None:
    with pytest.raises(NotFoundError):
        read(lesion, actor_of(outsider))
