"""Predictions and images, given out again."""

from __future__ import annotations

import uuid

import pytest

from melanoma_app.errors import NotFoundError
from melanoma_app.models import Clinic, User
from melanoma_app.models.vocabulary import OutcomeLabel
from melanoma_app.services.actor import Actor
from melanoma_app.services.lesions import read_patient_record
from melanoma_app.services.predictions import read_prediction
from tests.examining import examine
from tests.factories import PredictionFactory, actor_of

pytestmark = pytest.mark.usefixtures("context")


def test_nothing_is_found_when_of_another_clinic(lesion_id: uuid.UUID, actor: Actor, outsider: User) -> None:
    prediction = examine(lesion_id, actor)

    with pytest.raises(NotFoundError):
        read_prediction(public_id=prediction.public_id, actor=actor_of(outsider))


def test_record_shows_each_images_last_answer_when_scored_twice(clinic: Clinic, actor: Actor) -> None:
    first = PredictionFactory(lesion_image__lesion__patient__clinic=clinic)
    second = PredictionFactory(lesion_image=first.lesion_image, label=OutcomeLabel.MALIGNANT)

    record = read_patient_record(public_id=first.lesion_image.lesion.patient.public_id, actor=actor)

    assert [one.id for one in record.lesions[0].predictions] == [second.id]
