from __future__ import annotations

import hashlib
import io
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from PIL import Image
from sqlalchemy import text

from melanoma_app.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    QualityRefusedError,
    UnavailableError,
)
from melanoma_app.extensions import db
from melanoma_app.models import AuditEvent, Clinic, LesionImage, ModelVersion, Prediction, User
from melanoma_app.models.vocabulary import AuditAction, OutcomeLabel
from melanoma_app.services import examinations
from melanoma_app.services.actor import Actor
from melanoma_app.services.examinations import captured_on_day, score_image
from melanoma_app.services.model_answers import ModelAnswer, ask_model
from melanoma_app.storage import LocalImageStore
from ml.inference import Classifier, QualityIssue, decode_image
from tests.examining import FILES_AN_IMAGE, examine, take_photograph
from tests.factories import ClinicFactory, LesionFactory, PredictionFactory, UserFactory, actor_of
from tests.photographs import draw_blurred_photograph, draw_large_photograph, draw_photograph
from tests.records import Records
from tests.released import SERVED

pytestmark = pytest.mark.usefixtures("context")


@pytest.mark.parametrize("irregularity", [0.0, 1.0])
def test_answer_is_the_released_models_when_asked_directly(
    lesion_id: uuid.UUID, actor: Actor, irregularity: float
) -> None:
    upload = draw_photograph(seed=5, irregularity=irregularity)
    model = Classifier.load(SERVED)

    prediction = examine(lesion_id, actor, upload=upload)

    expected = model.predict(decode_image(upload))
    assert prediction.malignancy_probability == pytest.approx(expected.probability, abs=1e-6)
    assert prediction.label.value == expected.label
    assert prediction.threshold == expected.threshold


def test_row_tells_what_was_scored_by_what_when_stored(
    lesion_id: uuid.UUID, actor: Actor, records: Records
) -> None:
    examine(lesion_id, actor, upload=draw_photograph())

    prediction, image = records.one(Prediction), records.one(LesionImage)
    model = records.one(ModelVersion)
    assert prediction.image_sha256 == image.upload_sha256 == hashlib.sha256(draw_photograph()).hexdigest()
    assert f"{model.name}-{model.version}" == SERVED.name
    assert model.sha256 == hashlib.sha256((SERVED / "model.onnx").read_bytes()).hexdigest()
    assert prediction.created_by_id == image.created_by_id == actor.user.id
    assert 0 < prediction.latency_s < 30


def test_row_describes_the_stored_file_when_stored(
    lesion_id: uuid.UUID, actor: Actor, records: Records
) -> None:
    examine(lesion_id, actor, upload=draw_large_photograph())

    image = records.one(LesionImage)
    content = records.stored(image.storage_key).read_bytes()
    assert (image.sha256, image.size_bytes) == (hashlib.sha256(content).hexdigest(), len(content))
    assert (image.width_px, image.height_px) == Image.open(io.BytesIO(content)).size == (2000, 1500)


def test_thumbnail_is_small_when_the_photograph_is_large(
    lesion_id: uuid.UUID, actor: Actor, records: Records
) -> None:
    examine(lesion_id, actor, upload=draw_large_photograph())

    thumbnail = records.stored(str(records.one(LesionImage).thumbnail_key))
    assert Image.open(io.BytesIO(thumbnail.read_bytes())).size == (320, 240)
    assert thumbnail.stat().st_size < 20_000


def test_model_is_registered_once_when_it_answers_twice(
    lesion_id: uuid.UUID, actor: Actor, records: Records
) -> None:
    examine(lesion_id, actor)
    examine(lesion_id, actor)

    assert records.count(ModelVersion) == 1
    assert records.count(Prediction) == 2
    assert len(records.files()) == 2 * FILES_AN_IMAGE


def test_addition_is_audited_when_stored(lesion_id: uuid.UUID, actor: Actor, records: Records) -> None:
    prediction = examine(lesion_id, actor)

    event = records.one(AuditEvent, AuditEvent.action == AuditAction.IMAGE_ADDED)
    assert event.details == {"prediction": str(prediction.public_id)}


@pytest.mark.parametrize(
    "change",
    [
        lambda one: setattr(one, "label", OutcomeLabel.MALIGNANT),
        lambda one: setattr(one, "malignancy_probability", 0.9),
        lambda one: db.session.delete(one),
    ],
    ids=["label", "probability", "delete"],
)
def test_prediction_stays_when_anything_would_change_it(
    records: Records, change: Callable[[Prediction], None]
) -> None:
    PredictionFactory()
    change(db.session.scalars(db.select(Prediction)).one())

    with pytest.raises(RuntimeError, match="never changed"):
        db.session.flush()
    db.session.rollback()


def test_photograph_is_refused_when_the_patient_refused_care(
    clinic: Clinic, actor: Actor, records: Records
) -> None:
    lesion = LesionFactory(patient__clinic=clinic, patient__consent_to_care=False)

    with pytest.raises(ConflictError, match="refused care"):
        take_photograph(lesion.public_id, actor)

    assert records.count(LesionImage) == len(records.files()) == 0


@pytest.mark.parametrize("consent", [False, None])
def test_model_is_not_asked_when_the_patient_did_not_agree(
    make_app: Callable[..., Flask], clinic: Clinic, actor: Actor, records: Records, consent: bool | None
) -> None:
    lesion = LesionFactory(patient__clinic=clinic, patient__consent_to_ai_analysis=consent)

    with make_app(MODEL_NAME="nothing").app_context():  # a model that is asked fails
        record = take_photograph(lesion.public_id, actor, upload=draw_blurred_photograph())

    assert record.prediction is None
    assert records.one(LesionImage).quality is None
    assert records.count(Prediction) == 0


def test_answer_is_dropped_when_the_patient_changes_their_mind_meanwhile(
    lesion_id: uuid.UUID, actor: Actor, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change_mind_and_ask(**values: Any) -> ModelAnswer:
        # Beside the app's session, which stays as it is.
        with records.engine.begin() as connection:
            connection.execute(text("UPDATE patient SET consent_to_ai_analysis = 0"))
        return ask_model(**values)

    monkeypatch.setattr(examinations, "ask_model", change_mind_and_ask)

    assert take_photograph(lesion_id, actor).prediction is None
    assert records.count(Prediction) == 0


class TestQuality:
    def test_nothing_is_stored_when_the_photograph_is_blurred(
        self, lesion_id: uuid.UUID, actor: Actor, records: Records
    ) -> None:
        with pytest.raises(QualityRefusedError) as refusal:
            examine(lesion_id, actor, upload=draw_blurred_photograph(), quality_override_reason="  ")

        assert [finding.issue for finding in refusal.value.findings] == [QualityIssue.BLURRED]
        assert list(refusal.value.fields) == ["quality"]
        assert records.count(LesionImage) == records.count(Prediction) == len(records.files()) == 0
        assert records.count(AuditEvent, AuditEvent.action == AuditAction.IMAGE_ADDED) == 0

    def test_findings_and_reason_are_kept_when_it_must_do(
        self, lesion_id: uuid.UUID, actor: Actor, records: Records
    ) -> None:
        examine(
            lesion_id, actor, upload=draw_blurred_photograph(), quality_override_reason=" Nothing  better "
        )

        image = records.one(LesionImage)
        assert image.quality is not None
        assert image.quality["findings"] == ["blurred"]
        assert image.quality["measures"]["short_side_px"] == 600
        assert image.quality_override_reason == "Nothing better"
        event = records.one(AuditEvent, AuditEvent.action == AuditAction.IMAGE_ADDED)
        assert event.details["quality_findings"] == ["blurred"]

    def test_reason_is_dropped_when_it_was_not_needed(
        self, lesion_id: uuid.UUID, actor: Actor, records: Records
    ) -> None:
        examine(lesion_id, actor, quality_override_reason="To be sure")

        image = records.one(LesionImage)
        assert image.quality is not None
        assert image.quality["findings"] == []
        assert image.quality_override_reason is None

    def test_reason_is_refused_when_it_is_too_long(self, lesion_id: uuid.UUID, actor: Actor) -> None:
        with pytest.raises(InvalidInputError) as refusal:
            examine(lesion_id, actor, quality_override_reason="x" * 501)

        assert list(refusal.value.fields) == ["quality_override_reason"]


@pytest.mark.parametrize("size_mm", [0, -1, 500.1, float("nan"), float("inf")])
def test_size_is_refused_when_it_cannot_be(
    lesion_id: uuid.UUID, actor: Actor, records: Records, size_mm: float
) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        examine(lesion_id, actor, clin_size_long_diam_mm=size_mm)

    assert list(refusal.value.fields) == ["clin_size_long_diam_mm"]
    assert records.files() == []


def test_size_is_kept_when_given(lesion_id: uuid.UUID, actor: Actor, records: Records) -> None:
    examine(lesion_id, actor, clin_size_long_diam_mm=4.5)

    assert records.one(LesionImage).clin_size_long_diam_mm == 4.5


def test_nothing_is_left_when_the_disk_is_full_at_the_thumbnail(
    lesion_id: uuid.UUID, actor: Actor, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = LocalImageStore.save

    def fill_up(store: LocalImageStore, data: bytes, *, key: str) -> None:
        if records.files():
            raise UnavailableError("The image could not be stored (No space left on device).")
        save(store, data, key=key)

    monkeypatch.setattr(LocalImageStore, "save", fill_up)

    with pytest.raises(UnavailableError):
        examine(lesion_id, actor)

    assert records.count(LesionImage) == records.count(Prediction) == len(records.files()) == 0


class TestScoring:
    @pytest.fixture
    def image(self, clinic: Clinic, actor: Actor) -> LesionImage:
        """A photograph that was taken before the patient agreed to analysis."""
        lesion = LesionFactory(patient__clinic=clinic, patient__consent_to_ai_analysis=None)
        return take_photograph(lesion.public_id, actor).image

    def test_stored_bytes_are_scored_when_the_patient_agrees_later(
        self, image: LesionImage, actor: Actor, records: Records
    ) -> None:
        records.execute("UPDATE patient SET consent_to_ai_analysis = 1")

        prediction = score_image(image_public_id=image.public_id, actor=actor)

        stored = records.stored(image.storage_key).read_bytes()
        expected = Classifier.load(SERVED).predict(decode_image(stored))
        assert prediction.image_sha256 == hashlib.sha256(stored).hexdigest()
        assert prediction.malignancy_probability == pytest.approx(expected.probability, abs=1e-6)
        assert records.one(LesionImage).quality is not None
        event = records.one(AuditEvent, AuditEvent.action == AuditAction.IMAGE_SCORED)
        assert event.subject_public_id == image.public_id

    def test_scoring_is_refused_when_the_patient_has_not_agreed(
        self, image: LesionImage, actor: Actor, records: Records
    ) -> None:
        with pytest.raises(ConflictError, match="not agreed"):
            score_image(image_public_id=image.public_id, actor=actor)

        assert records.count(Prediction) == 0

    def test_second_answer_is_a_row_of_its_own_when_scored_again(
        self, lesion_id: uuid.UUID, actor: Actor, records: Records
    ) -> None:
        image = take_photograph(lesion_id, actor).image

        score_image(image_public_id=image.public_id, actor=actor)

        assert [one.lesion_image_id for one in records.all(Prediction)] == [image.id, image.id]

    def test_photograph_is_unknown_when_of_another_clinic(self, image: LesionImage, outsider: User) -> None:
        with pytest.raises(NotFoundError):
            score_image(image_public_id=image.public_id, actor=actor_of(outsider))


def test_lesion_is_unknown_when_of_another_clinic(
    lesion_id: uuid.UUID, outsider: User, records: Records
) -> None:
    with pytest.raises(NotFoundError):
        examine(lesion_id, actor_of(outsider))

    assert records.files() == []


@pytest.mark.parametrize(
    "captured_at",
    [
        datetime.now(UTC) + timedelta(days=1),
        datetime(1962, 4, 26, 12, 0, tzinfo=UTC),  # the factories' patients are born a day later
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, tzinfo=UTC),
    ],
    ids=["tomorrow", "before the patient was born", "first day", "last day"],
)
def test_time_is_refused_when_it_cannot_be(
    lesion_id: uuid.UUID, actor: Actor, records: Records, captured_at: datetime
) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        examine(lesion_id, actor, captured_at=captured_at)

    assert list(refusal.value.fields) == ["captured_at"]
    assert records.files() == []


def test_time_is_taken_when_the_cameras_clock_runs_a_little_ahead(lesion_id: uuid.UUID, actor: Actor) -> None:
    assert examine(lesion_id, actor, captured_at=datetime.now(UTC) + timedelta(minutes=4))


def test_day_is_the_clinics_when_it_is_elsewhere(records: Records) -> None:
    clinic = ClinicFactory(time_zone="Pacific/Auckland")
    lesion = LesionFactory(patient__clinic=clinic)

    examine(
        lesion.public_id,
        actor_of(UserFactory(clinic=clinic)),
        captured_at=datetime(2026, 1, 31, 12, 0, tzinfo=UTC),
    )

    assert records.one(LesionImage).captured_on == date(2026, 2, 1)


def test_day_stands_for_noon_in_the_clinic_when_it_is_past(records: Records) -> None:
    actor = actor_of(UserFactory(clinic=ClinicFactory(time_zone="America/Lima")))

    moment = captured_on_day(date(2026, 1, 31), actor=actor)

    assert moment is not None
    assert moment.astimezone(UTC) == datetime(2026, 1, 31, 17, 0, tzinfo=UTC)
