"""The released models that have served here."""

from __future__ import annotations

import uuid
from dataclasses import asdict
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from melanoma_app.extensions import db
from melanoma_app.models import ModelVersion
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.services.audit import record_event
from ml.inference import ModelManifest


def ensure_model_version(*, manifest: ModelManifest) -> ModelVersion:
    """The row of a released model, made when the model is first seen; commits.

    What an older program did not yet read from the manifest is filled in; what is recorded is never replaced.
    """
    known = select(ModelVersion).where(
        ModelVersion.name == manifest.name,
        ModelVersion.version == manifest.version,
        ModelVersion.sha256 == manifest.sha256,
    )
    if (found := db.session.scalars(known).one_or_none()) is not None:
        _fill_in(found, manifest)
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
        **_measured(manifest),
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


def _measured(manifest: ModelManifest) -> dict[str, Any]:
    """The uncertain band and what the threshold reached on unseen images, by column; None where not known."""
    band, performance = manifest.uncertain_band, manifest.test_performance
    return {
        "uncertain_from": band.low if band else None,
        "uncertain_to": band.high if band else None,
        "test_performance": asdict(performance) if performance else None,
    }


def _fill_in(model_version: ModelVersion, manifest: ModelManifest) -> None:
    missing = {
        name: value
        for name, value in _measured(manifest).items()
        if value is not None and getattr(model_version, name) is None
    }
    if missing:
        for name, value in missing.items():
            setattr(model_version, name, value)
        db.session.commit()
