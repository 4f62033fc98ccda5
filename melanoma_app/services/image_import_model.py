"""The model of an image import: the active one, made to score many photographs, followed when it is switched."""

from __future__ import annotations

from melanoma_app.extensions import db
from melanoma_app.model_shelf import ModelPin
from melanoma_app.models import ModelVersion, Prediction
from melanoma_app.services.actor import Actor
from melanoma_app.services.image_import_files import ScoredFile
from melanoma_app.services.model_activation import find_active_pin, load_active_model
from melanoma_app.services.model_answers import make_prediction
from melanoma_app.services.model_versions import ensure_model_version
from ml.inference import Classifier


class ImportModel:
    """Loaded when it is first asked for, and again after another one was activated."""

    def __init__(self) -> None:
        self._pin: ModelPin | None = None
        self._classifier: Classifier | None = None
        self._versions: dict[tuple[str, str], ModelVersion] = {}

    def load(self) -> Classifier:
        """The model that is active now; ends the caller's transaction.

        Raises:
            UnavailableError: It is missing or damaged.
        """
        pin = find_active_pin()
        db.session.commit()
        if self._classifier is None or pin != self._pin:
            self._pin, self._classifier = pin, load_active_model(pin=pin, is_for_many=True)
            # Now, for it commits: within a batch's transaction that would end its locks.
            version = ensure_model_version(manifest=self._classifier.manifest)
            self._versions[self._classifier.manifest.identifier, version.sha256] = version
        return self._classifier

    def make_prediction(self, scored: ScoredFile, *, image_sha256: str, actor: Actor) -> Prediction | None:
        """The answer's row, in no session yet; None where no model has looked."""
        if scored.answer is None:
            return None
        manifest = scored.answer.manifest
        return make_prediction(
            answer=scored.answer,
            image_sha256=image_sha256,
            latency_s=scored.latency_s,
            actor=actor,
            model_version=self._versions[manifest.identifier, manifest.sha256],
        )
