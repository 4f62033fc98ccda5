"""What the active model says of a picture: whether the photograph is good enough, and its answer."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass
from typing import Any

from PIL import Image

from melanoma_app.errors import UnavailableError
from melanoma_app.extensions import metrics
from melanoma_app.models import ModelVersion, Patient, Prediction
from melanoma_app.models.vocabulary import OutcomeLabel
from melanoma_app.services.actor import Actor
from melanoma_app.services.model_versions import ensure_model_version
from ml.inference import (
    PREPROCESSING_VERSION,
    Classifier,
    ModelIntegrityError,
    ModelManifest,
    ModelPrediction,
    QualityFinding,
    QualityVerdict,
)


@dataclass(frozen=True, kw_only=True)
class ModelAnswer:
    """What a model said of one picture; no verdict from a model that was released without a quality gate."""

    manifest: ModelManifest
    prediction: ModelPrediction
    verdict: QualityVerdict | None

    @property
    def findings(self) -> tuple[QualityFinding, ...]:
        """What is wrong with the photograph."""
        return self.verdict.findings if self.verdict else ()

    @property
    def quality(self) -> dict[str, Any] | None:
        """The verdict as a photograph's row keeps it."""
        if self.verdict is None:
            return None
        return {
            "findings": [finding.issue.value for finding in self.findings],
            "measures": asdict(self.verdict.measures),
        }


def may_model_look(patient: Patient) -> bool:
    """Whether a model may look at this patient's photographs: only after a yes, for not asked is not agreed."""
    return patient.consent_to_ai_analysis is True and patient.consent_to_care is not False


def ask_model(*, model: Classifier, image: Image.Image) -> ModelAnswer:
    """Let a model judge and score a picture.

    Raises:
        UnavailableError: The model gave no usable answer.
    """
    try:
        prediction, verdict = model.judge(image)
        metrics.observe_quality(verdict)
        return ModelAnswer(manifest=model.manifest, prediction=prediction, verdict=verdict)
    except ModelIntegrityError as error:
        raise UnavailableError(
            "The model gave no usable answer, so nothing was saved. Tell your engineer."
        ) from error


def make_prediction(
    *,
    answer: ModelAnswer,
    image_sha256: str,
    latency_s: float,
    actor: Actor,
    model_version: ModelVersion | None = None,
) -> Prediction:
    """An answer as a row that is in no session yet and belongs to no photograph; commits when the model is new here.

    Args:
        answer: What the model said.
        image_sha256: Of the bytes that were scored.
        latency_s: Seconds from the file to the answer.
        actor: Who asked.
        model_version: The row of the model that answered, where the caller has it.
    """
    metrics.count_prediction(
        model=answer.manifest.identifier,
        label=answer.prediction.label,
        probability=answer.prediction.probability,
        seconds=latency_s,
    )
    return Prediction(
        public_id=uuid.uuid4(),
        model_version=model_version or ensure_model_version(manifest=answer.manifest),
        malignancy_probability=answer.prediction.probability,
        label=OutcomeLabel(answer.prediction.label),
        threshold=answer.prediction.threshold,
        operating_point=answer.manifest.operating_point.name,
        preprocessing_version=PREPROCESSING_VERSION,
        image_sha256=image_sha256,
        latency_s=latency_s,
        created_by_id=actor.user.id,
    )
