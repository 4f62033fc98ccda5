from __future__ import annotations

import hashlib
import io
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest
from PIL import Image

from melanoma_app.errors import ConflictError, InvalidInputError, NotFoundError
from melanoma_app.extensions import db
from melanoma_app.models import AuditEvent, Clinic, LesionImage, ModelVersion, Prediction, User
from melanoma_app.models.vocabulary import AuditAction, OutcomeLabel
from melanoma_app.services.actor import Actor
from melanoma_app.services.examinations import captured_on_day
from ml.inference import Classifier, decode_image
from tests.examining import examine
from tests.factories import ClinicFactory, LesionFactory, PredictionFactory, UserFactory, actor_of
from tests.photographs import draw_large_photograph, draw_photograph
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
    examine(lesion_id, actor)

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

    (file,) = records.files()
    image, content = records.one(LesionImage), file.read_bytes()
    assert (image.sha256, image.size_bytes) == (hashlib.sha256(content).hexdigest(), len(content))
    assert (image.width_px, image.height_px) == Image.open(io.BytesIO(content)).size == (2000, 1500)
    assert file.name == image.storage_key


def test_model_is_registered_once_when_it_answers_twice(
    lesion_id: uuid.UUID, actor: Actor, records: Records
) -> None:
    examine(lesion_id, actor)
    examine(lesion_id, actor)

    assert records.count(ModelVersion) == 1
    assert records.count(Prediction) == 2
    assert len(records.files()) == 2


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


def test_photograph_is_refused_when_the_patient_refused_the_model(
    clinic: Clinic, actor: Actor, records: Records
) -> None:
    lesion = LesionFactory(patient__clinic=clinic, patient__consent_to_ai_analysis=False)

    with pytest.raises(ConflictError, match="refused"):
        examine(lesion.public_id, actor)

    assert records.count(LesionImage) == 0
    assert records.files() == []


@pytest.mark.parametrize("consent", [True, None])
def test_photograph_is_taken_when_the_patient_did_not_refuse(
    clinic: Clinic, actor: Actor, consent: bool | None
) -> None:
    lesion = LesionFactory(patient__clinic=clinic, patient__consent_to_ai_analysis=consent)

    assert examine(lesion.public_id, actor)


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
