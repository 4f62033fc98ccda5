"""Somebody who works on the records of a clinic through the services, at random; no model is asked."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, date, datetime
from random import Random
from typing import Any, TypeVar

from sqlalchemy import Select, select

from melanoma_app.errors import ConflictError
from melanoma_app.extensions import db
from melanoma_app.models import Lesion, LesionImage, ModelVersion, Patient, PatientMerge, Prediction, Review
from melanoma_app.models.vocabulary import (
    AnatomSiteGeneral,
    AuditAction,
    FitzpatrickSkinType,
    Gender,
    ImageType,
    OutcomeLabel,
    ReviewPlan,
)
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import lock_chain, record_event
from melanoma_app.services.counting import recount_patients
from melanoma_app.services.histopathology import record_histopathology
from melanoma_app.services.lesions import edit_lesion, find_lesion
from melanoma_app.services.patient_merges import merge_patients, revert_merge
from melanoma_app.services.patients import PatientDetails, edit_patient
from melanoma_app.services.reviews import sign_review
from tests.records import end_app_transaction

Row = TypeVar("Row")


def enter_answer(lesion_id: uuid.UUID, label: OutcomeLabel, model_id: int, actor: Actor) -> uuid.UUID:
    """A photograph with its answer in one transaction, as an examination enters it; gives the photograph's id."""
    lock_chain(actor.clinic_id)
    lesion = find_lesion(public_id=lesion_id, actor=actor)
    now = datetime.now(UTC)
    image = LesionImage(
        public_id=uuid.uuid4(),
        lesion=lesion,
        storage_key=uuid.uuid4().hex,
        sha256="0" * 64,
        upload_sha256="0" * 64,
        size_bytes=1,
        width_px=1,
        height_px=1,
        image_type=ImageType.DERMOSCOPIC,
        captured_at=now,
        captured_on=now.date(),
        created_by_id=actor.user.id,
    )
    db.session.add_all([image, _answer(image, label, model_id, actor)])
    record_event(
        action=AuditAction.IMAGE_ADDED,
        actor=actor,
        subject_public_id=image.public_id,
        patient=lesion.patient,
    )
    recount_patients(patient_ids=[lesion.patient_id], clinic_id=actor.clinic_id)
    db.session.commit()
    return image.public_id


def sign(image_id: uuid.UUID, conclusion: OutcomeLabel, actor: Actor) -> None:
    """Sign a photograph with its newest answer."""
    newest = db.session.scalars(
        select(Prediction.public_id)
        .join(Prediction.lesion_image)
        .where(LesionImage.public_id == image_id)
        .order_by(Prediction.id.desc())
        .limit(1)
    ).first()
    sign_review(
        image_public_id=image_id,
        prediction_public_id=newest,
        conclusion=conclusion,
        plan=ReviewPlan.BIOPSY,
        reason="Because",
        actor=actor,
    )


def change_patient(patient: Patient, actor: Actor, **changes: object) -> None:
    """Say of a patient what was said before, but for some changes."""
    said = {name: getattr(patient, name) for name in PatientDetails.__dataclass_fields__}
    details = replace(PatientDetails(**said), **changes)  # type: ignore[arg-type]  # as the test names them
    edit_patient(public_id=patient.public_id, details=details, version=patient.version, actor=actor)


class Clerk:
    """Does anything at all with the records of a clinic, one thing after the other."""

    def __init__(self, rng: Random, actor: Actor) -> None:
        self.rng, self.actor = rng, actor
        self.patients = select(Patient).where(Patient.clinic_id == actor.clinic_id)
        self.lesions = select(Lesion).join(Lesion.patient).where(Patient.clinic_id == actor.clinic_id)
        self.images = (
            select(LesionImage)
            .join(LesionImage.lesion)
            .join(Lesion.patient)
            .where(Patient.clinic_id == actor.clinic_id)
        )

    def act(self) -> str:
        """Do one thing, and say what it was."""
        act = self.rng.choice(
            [
                *(self.examine, self.examine, self.score_again, self.edit_patient, self.edit_lesion),
                *(self.sign, self.report, self.merge, self.revert),
            ]
        )
        end_app_transaction()
        act()
        end_app_transaction()
        return act.__name__

    def examine(self) -> None:
        lesion, model = self._pick(self.lesions), self._pick(select(ModelVersion))
        if lesion and model:
            enter_answer(lesion.public_id, self._outcome(), model.id, self.actor)

    def score_again(self) -> None:
        image, model = self._pick(self.images), self._pick(select(ModelVersion))
        if image and model:
            db.session.add(_answer(image, self._outcome(), model.id, self.actor))
            owner = db.session.scalars(select(Lesion.patient_id).where(Lesion.id == image.lesion_id)).one()
            recount_patients(patient_ids=[owner], clinic_id=self.actor.clinic_id)
            db.session.commit()

    def edit_patient(self) -> None:
        merged = select(PatientMerge.merged_id).where(PatientMerge.reverted_at.is_(None))
        if patient := self._pick(self.patients.where(Patient.id.not_in(merged))):
            change_patient(
                patient,
                self.actor,
                gender=self.rng.choice(list(Gender)),
                birth_date=self.rng.choice([patient.birth_date, date(2000, 2, 29), date(1931, 7, 1)]),
                fitzpatrick_skin_type=self.rng.choice([None, *FitzpatrickSkinType]),
            )

    def edit_lesion(self) -> None:
        if lesion := self._pick(self.lesions):
            edit_lesion(
                public_id=lesion.public_id,
                description="",
                anatom_site_general=self.rng.choice(list(AnatomSiteGeneral)),
                actor=self.actor,
            )

    def sign(self) -> None:
        if image := self._pick(self.images.where(LesionImage.id.not_in(select(Review.lesion_image_id)))):
            sign(image.public_id, self._outcome(), self.actor)

    def report(self) -> None:
        if lesion := self._pick(self.lesions):
            born = db.session.get_one(Patient, lesion.patient_id).birth_date
            record_histopathology(
                lesion_public_id=lesion.public_id,
                diagnosis="D",
                outcome=self._outcome(),
                reported_on=max(self.rng.choice([date(2025, 3, 31), date(2026, 1, 1)]), born),
                actor=self.actor,
            )

    def merge(self) -> None:
        one, other = self._pick(self.patients), self._pick(self.patients)
        if one and other and one is not other:
            try:
                merge_patients(
                    kept_public_id=one.public_id,
                    merged_public_id=other.public_id,
                    reason="One person",
                    actor=self.actor,
                )
            except ConflictError:  # one of them is part of a merge already
                db.session.rollback()

    def revert(self) -> None:
        kept = self.patients.with_only_columns(Patient.id)
        standing = select(PatientMerge).where(
            PatientMerge.kept_id.in_(kept), PatientMerge.reverted_at.is_(None)
        )
        if merge := self._pick(standing):
            revert_merge(public_id=merge.public_id, actor=self.actor)

    def _outcome(self) -> OutcomeLabel:
        return self.rng.choice(list(OutcomeLabel))

    def _pick(self, rows: Select[Row]) -> Row | None:
        found: Any = db.session.scalars(rows).all()
        return self.rng.choice(found) if found else None


def _answer(image: LesionImage, label: OutcomeLabel, model_id: int, actor: Actor) -> Prediction:
    return Prediction(
        public_id=uuid.uuid4(),
        lesion_image=image,
        model_version_id=model_id,
        malignancy_probability=0.5,
        label=label,
        threshold=0.5,
        operating_point="o",
        preprocessing_version="1",
        image_sha256="0" * 64,
        latency_s=0,
        created_by_id=actor.user.id,
    )
