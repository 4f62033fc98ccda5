"""Photographs, given out again."""

from __future__ import annotations

import hashlib
import io
import uuid
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import event

from melanoma_app.errors import NotFoundError, UnavailableError
from melanoma_app.extensions import db
from melanoma_app.models import AuditEvent, Clinic, LesionImage, User
from melanoma_app.models.vocabulary import AuditAction, OutcomeLabel
from melanoma_app.services.actor import Actor
from melanoma_app.services.lesion_images import (
    find_lesion_image,
    list_image_records,
    read_image,
    read_thumbnail,
)
from tests.examining import FILES_AN_IMAGE, take_photograph
from tests.factories import LesionFactory, LesionImageFactory, PredictionFactory, ReviewFactory, actor_of
from tests.records import Records

pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture
def image(lesion_id: uuid.UUID, actor: Actor) -> LesionImage:
    """A stored photograph."""
    return take_photograph(lesion_id, actor).image


def test_image_is_audited_and_whole_when_read(image: LesionImage, actor: Actor, records: Records) -> None:
    stored = read_image(public_id=image.public_id, actor=actor)

    assert hashlib.sha256(stored.content).hexdigest() == stored.sha256 == image.sha256
    event = records.one(AuditEvent, AuditEvent.action == AuditAction.IMAGE_READ)
    assert event.subject_public_id == image.public_id


@pytest.mark.parametrize("damage", ["one bit", "cut", "gone"])
def test_image_is_refused_when_its_file_is_damaged(
    image: LesionImage, actor: Actor, records: Records, damage: str
) -> None:
    spoil(records.stored(image.storage_key), damage)

    with pytest.raises(UnavailableError):
        read_image(public_id=image.public_id, actor=actor)


def test_thumbnail_is_refused_when_its_file_is_damaged(
    image: LesionImage, actor: Actor, records: Records
) -> None:
    spoil(records.stored(str(image.thumbnail_key)), "one bit")

    with pytest.raises(UnavailableError):
        read_thumbnail(public_id=image.public_id, actor=actor)


def test_thumbnail_is_made_once_and_kept_when_it_is_missing(
    image: LesionImage, actor: Actor, records: Records
) -> None:
    records.stored(str(image.thumbnail_key)).unlink()
    records.execute("UPDATE lesion_image SET thumbnail_key = NULL")

    first = read_thumbnail(public_id=image.public_id, actor=actor)
    second = read_thumbnail(public_id=image.public_id, actor=actor)

    assert first == second
    assert max(Image.open(io.BytesIO(first.content)).size) == 320
    assert len(records.files()) == FILES_AN_IMAGE
    assert records.stored(str(records.one(LesionImage).thumbnail_key)).is_file()


def test_thumbnail_writes_no_entry_when_read(image: LesionImage, actor: Actor, records: Records) -> None:
    before = records.count(AuditEvent)

    read_thumbnail(public_id=image.public_id, actor=actor)

    assert records.count(AuditEvent) == before


@pytest.mark.parametrize("read", [find_lesion_image, read_image, read_thumbnail])
def test_image_is_unknown_when_of_another_clinic(clinic: Clinic, outsider: User, read: object) -> None:
    image = LesionImageFactory(lesion__patient__clinic=clinic)

    with pytest.raises(NotFoundError):
        read(public_id=image.public_id, actor=actor_of(outsider))  # type: ignore[operator]


def test_records_hold_newest_answer_and_review_when_listed(clinic: Clinic) -> None:
    lesion = LesionFactory(patient__clinic=clinic)
    older = LesionImageFactory(lesion=lesion)
    newer = LesionImageFactory(lesion=lesion)
    first = PredictionFactory(lesion_image=older)
    second = PredictionFactory(lesion_image=older, label=OutcomeLabel.MALIGNANT)
    review = ReviewFactory(prediction=first)
    other = LesionFactory(patient=lesion.patient, number=2)

    found = list_image_records(lesion_ids=[lesion.id, other.id])

    assert found[other.id] == []
    assert [record.image.id for record in found[lesion.id]] == [newer.id, older.id]
    unseen, seen = found[lesion.id]
    assert (unseen.prediction, unseen.review) == (None, None)
    assert seen.prediction is not None
    assert seen.review is not None
    assert (seen.prediction.id, seen.review.id) == (second.id, review.id)
    assert seen.prediction.model_version.name == second.model_version.name
    assert seen.review.signed_by.display_name == review.signed_by.display_name


def test_queries_stay_three_when_there_are_many_images(clinic: Clinic) -> None:
    lesion = LesionFactory(patient__clinic=clinic)
    for _ in range(4):
        ReviewFactory(prediction__lesion_image__lesion=lesion)
    asked: list[str] = []
    event.listen(db.engine, "before_cursor_execute", lambda *values: asked.append(values[2]))

    records = list_image_records(lesion_ids=[lesion.id])[lesion.id]

    assert len([record.review for record in records if record.review]) == 4
    assert len([statement for statement in asked if statement.lstrip().startswith("SELECT")]) == 3


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
