"""Lesions, photographs, and what models said of them. No file stands behind a factory's photograph."""

from __future__ import annotations

import hashlib
import uuid
from zoneinfo import ZoneInfo

import factory

from melanoma_app.models import Lesion, LesionImage, ModelActivation, ModelVersion, Prediction
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import AnatomSiteGeneral, ImageType, OutcomeLabel, Role
from tests.factories.base import RecordFactory
from tests.factories.people import PatientFactory, UserFactory


def _digest(number: int) -> str:
    return hashlib.sha256(number.to_bytes(8)).hexdigest()


class LesionFactory(RecordFactory[Lesion]):
    """A patient's first lesion, unless `number` says otherwise."""

    class Meta:
        model = Lesion

    public_id = factory.LazyFunction(uuid.uuid4)
    patient = factory.SubFactory(PatientFactory)
    number = 1
    anatom_site_general = AnatomSiteGeneral.UPPER_EXTREMITY
    description = "Left forearm"


class LesionImageFactory(RecordFactory[LesionImage]):
    """A photograph taken now."""

    class Meta:
        model = LesionImage

    public_id = factory.LazyFunction(uuid.uuid4)
    lesion = factory.SubFactory(LesionFactory)
    storage_key = factory.LazyFunction(lambda: f"{uuid.uuid4().hex}.jpg")
    sha256 = factory.Sequence(_digest)
    upload_sha256 = factory.SelfAttribute("sha256")
    size_bytes = 120_000
    width_px = 600
    height_px = 600
    image_type = ImageType.DERMOSCOPIC
    captured_at = factory.LazyFunction(utc_now)
    captured_on = factory.LazyAttribute(
        lambda image: image.captured_at.astimezone(ZoneInfo(image.lesion.patient.clinic.time_zone)).date()
    )
    created_by = factory.SubFactory(UserFactory, clinic=factory.SelfAttribute("..lesion.patient.clinic"))


class ModelVersionFactory(RecordFactory[ModelVersion]):
    """A released model."""

    class Meta:
        model = ModelVersion

    public_id = factory.LazyFunction(uuid.uuid4)
    name = "drawn_model"
    version = factory.Sequence(lambda number: f"0.{number}.0")
    sha256 = factory.Sequence(_digest)
    input_size_px = 128
    preprocessing_version = "1"
    operating_point = "sensitivity 0.95 on validation"
    threshold = 0.5
    sensitivity = 0.95
    specificity = 0.9


class ModelActivationFactory(RecordFactory[ModelActivation]):
    """A switch to a model."""

    class Meta:
        model = ModelActivation

    number = factory.Sequence(lambda number: number + 1)
    model_version = factory.SubFactory(ModelVersionFactory)
    activated_by = factory.SubFactory(UserFactory, role=Role.ADMIN)
    reason = "Better on our photographs"


class PredictionFactory(RecordFactory[Prediction]):
    """A benign answer; `label=` and `malignancy_probability=` make another."""

    class Meta:
        model = Prediction

    public_id = factory.LazyFunction(uuid.uuid4)
    lesion_image = factory.SubFactory(LesionImageFactory)
    model_version = factory.SubFactory(ModelVersionFactory)
    malignancy_probability = factory.LazyAttribute(
        lambda one: 0.83 if one.label is OutcomeLabel.MALIGNANT else 0.12
    )
    label = OutcomeLabel.BENIGN
    threshold = 0.5
    operating_point = "sensitivity 0.95 on validation"
    preprocessing_version = "1"
    image_sha256 = factory.SelfAttribute("lesion_image.upload_sha256")
    latency_s = 0.05
    created_by = factory.SelfAttribute("lesion_image.created_by")
