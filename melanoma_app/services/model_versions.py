"""The released models that have served here."""

from __future__ import annotations

import uuid

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from melanoma_app.extensions import db
from melanoma_app.models import ModelVersion
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.services.audit import record_event
from ml.inference import ModelManifest


def ensure_model_version(*, manifest: ModelManifest) -> ModelVersion:
    """The row of a released model, made when the model is first seen; commits."""
    known = select(ModelVersion).where(
        ModelVersion.name == manifest.name,
        ModelVersion.version == manifest.version,
        ModelVersion.sha256 == manifest.sha256,
    )
    if (found := db.session.scalars(known).one_or_none()) is not None:
        return found
    model_version = ModelVersion(
        public_id=uuid.uuid4(),
        name=manifest.name,
        version=manifest.version,
        sha256=manifest.sha256,
        input_size_px=manifest.input_size_px,
        preprocessing_version=manifest.preprocessing_version,
        operating_point=manifest.operating_point.name,
        threshold=manifest.threshold,
        sensitivity=manifest.operating_point.sensitivity,
        specificity=manifest.operating_point.specificity,
    )
    try:
        # A savepoint: what the session has loaded stays usable.
        with db.session.begin_nested():
            db.session.add(model_version)
    except IntegrityError:
        # Another process has just seen it for the first time, too.
        return db.session.scalars(known).one()
    record_event(
        action=AuditAction.MODEL_REGISTERED,
        actor=None,
        origin="model registry",
        subject_public_id=model_version.public_id,
        details={"model": manifest.identifier, "sha256": manifest.sha256},
    )
    db.session.commit()
    return model_version
