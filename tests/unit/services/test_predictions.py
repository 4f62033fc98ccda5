"""Predictions and images, given out again."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path

import pytest

from melanoma_app.errors import NotFoundError, UnavailableError
from melanoma_app.models import AuditEvent, Clinic, User
from melanoma_app.models.vocabulary import AuditAction, OutcomeLabel
from melanoma_app.services.actor import Actor
from melanoma_app.services.lesions import read_patient_record
from melanoma_app.services.predictions import read_image, read_prediction
from tests.examining import examine
from tests.factories import PredictionFactory, actor_of
from tests.records import Records

pytestmark = pytest.mark.usefixtures("context")


def test_image_is_audited_and_whole_when_read(lesion_id: uuid.UUID, actor: Actor, records: Records) -> None:
    image = examine(lesion_id, actor).lesion_image

    stored = read_image(public_id=image.public_id, actor=actor)

    assert hashlib.sha256(stored.content).hexdigest() == stored.sha256 == image.sha256
    event = records.one(AuditEvent, AuditEvent.action == AuditAction.IMAGE_READ)
    assert event.subject_public_id == image.public_id


@pytest.mark.parametrize("damage", ["one bit", "cut", "gone"])
def test_image_is_refused_when_its_file_is_damaged(
    lesion_id: uuid.UUID, actor: Actor, records: Records, damage: str
) -> None:
    image = examine(lesion_id, actor).lesion_image
    (file,) = records.files()
    spoil(file, damage)

    with pytest.raises(UnavailableError):
        read_image(public_id=image.public_id, actor=actor)


def test_nothing_is_found_when_of_another_clinic(lesion_id: uuid.UUID, actor: Actor, outsider: User) -> None:
    prediction = examine(lesion_id, actor)

    with pytest.raises(NotFoundError):
        read_prediction(public_id=prediction.public_id, actor=actor_of(outsider))
    with pytest.raises(NotFoundError):
        read_image(public_id=prediction.lesion_image.public_id, actor=actor_of(outsider))


def test_record_shows_each_images_last_answer_when_scored_twice(clinic: Clinic, actor: Actor) -> None:
    first = PredictionFactory(lesion_image__lesion__patient__clinic=clinic)
    second = PredictionFactory(lesion_image=first.lesion_image, label=OutcomeLabel.MALIGNANT)

    record = read_patient_record(public_id=first.lesion_image.lesion.patient.public_id, actor=actor)

    assert [one.id for one in record.lesions[0].predictions] == [second.id]


def spoil(file: Path, damage: str) -> None:
    """Damage a stored file as a failing disk would."""
    content = bytearray(file.read_bytes())
    if damage == "gone":
        file.unlink()
        return
    if damage == "cut":
        del content[len(content) // 2 :]
    else:
        content[len(content) // 2] ^= 1
    file.write_bytes(content)
