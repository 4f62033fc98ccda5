"""The demo's stories: made-up patients who show, one each, what the clinical record can do.

All of it goes through the services, with one exception: a review that is to have been signed long ago (an overdue
follow-up, a laboratory report that should have come) is written directly, for no service lets anybody sign in the past.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

import numpy as np

from melanoma_app.extensions import db
from melanoma_app.models import Patient, Review
from melanoma_app.models.base import utc_now
from melanoma_app.models.checklist import ABCDE, SEVEN_POINT_WEIGHTS
from melanoma_app.models.vocabulary import (
    AuditAction,
    BirthDatePrecision,
    ClinicalImpression,
    ConsentPurpose,
    FitzpatrickSkinType,
    Gender,
    ImageType,
    OutcomeLabel,
    ReviewPlan,
)
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import record_event
from melanoma_app.services.body_map import REGIONS, BodyPlace
from melanoma_app.services.checklists import record_checklist
from melanoma_app.services.consents import record_consent
from melanoma_app.services.counting import recount_patients
from melanoma_app.services.demo_images import draw_lesion
from melanoma_app.services.examinations import record_examination
from melanoma_app.services.first_reads import record_first_read
from melanoma_app.services.histopathology import record_histopathology
from melanoma_app.services.lesion_images import ImageRecord
from melanoma_app.services.lesions import add_lesion
from melanoma_app.services.patient_merges import merge_patients
from melanoma_app.services.patients import PatientDetails, clinic_day, register_patient
from melanoma_app.services.reviews import add_addendum, sign_review

DRAWN: Final = "Drawn for the demo"
_OVERRIDE: Final = "Demo: the clinician's own look decides, not the drawing."
_BENIGN, _MALIGNANT = OutcomeLabel.BENIGN, OutcomeLabel.MALIGNANT


@dataclass(kw_only=True)
class Storyteller:
    """Makes the records of the stories.

    Args:
        actor: The demo's clinician, who does and signs everything.
        random: Where the places on the body map come from.
    """

    actor: Actor
    random: np.random.Generator
    _told: int = field(default=0, init=False)

    def tell_all(self) -> None:
        """Make every story, the one to look at first last, so that it stands at the top of the lists."""
        self._estimated_birth_date()
        self._merged_duplicate()
        self._withdrawn_consent()
        self._every_plan_signed_today()
        self._reported_histology()
        self._overdue_histology()
        self._overdue_monitoring()
        self._growing_lesion()

    def mark(self, region_key: str) -> BodyPlace:
        """A place inside a region of the body map."""
        region = next(one for one in REGIONS if one.key == region_key)
        (left, right), (top, bottom) = (
            (min(shares), max(shares)) for shares in zip(*region.polygon, strict=True)
        )
        while True:
            x, y = self.random.uniform(left, right), self.random.uniform(top, bottom)
            if region.contains(x, y):
                return BodyPlace(view=region.view, x=round(x, 4), y=round(y, 4))

    def sign_back_then(
        self,
        record: ImageRecord,
        *,
        plan: ReviewPlan,
        days_ago: int,
        conclusion: OutcomeLabel = _BENIGN,
        due_days_ago: int | None = None,
    ) -> None:
        """A review that was signed some days ago, past the service; the audit tells when it was really written."""
        due_on = None if due_days_ago is None else self._today() - timedelta(days=due_days_ago)
        review = Review(
            public_id=uuid.uuid4(),
            lesion_image_id=record.image.id,
            prediction_id=record.prediction.id if record.prediction else None,
            conclusion=conclusion,
            reason=_reason(record, conclusion),
            plan=plan,
            due_on=due_on,
            signed_at=utc_now() - timedelta(days=days_ago),
            signed_by_id=self.actor.user.id,
        )
        db.session.add(review)
        record_event(
            action=AuditAction.REVIEW_SIGNED,
            actor=self.actor,
            subject_public_id=review.public_id,
            patient=record.image.lesion.patient,
            details={"image": str(record.image.public_id), "demo": "dated back"},
        )
        recount_patients(patient_ids=[record.image.lesion.patient_id], clinic_id=self.actor.clinic_id)
        db.session.commit()

    def _growing_lesion(self) -> None:
        """Four photographs over a year: follow-ups that were kept, and a last one that waits for its signature."""
        patient = self._patient("Rowan", "Iris", Gender.FEMALE, date(1961, 3, 14), is_at_risk=True)
        lesion = self._lesion(patient, "back-left-upper-back")
        visits = ((390, 0.72, 0.15, 4.0), (270, 0.85, 0.35, 5.0), (130, 1.0, 0.6, 6.5), (1, 1.15, 0.85, 8.5))
        for days_ago, size, irregularity, diameter_mm in visits:
            record = self._photograph(
                lesion, days_ago, irregularity, seed=7001, size=size, diameter_mm=diameter_mm
            )
            if days_ago > 1:
                self.sign_back_then(
                    record, plan=ReviewPlan.MONITOR, days_ago=days_ago - 1, due_days_ago=days_ago - 125
                )
        image_id = record.image.public_id
        self._first_read(image_id, ClinicalImpression.MALIGNANT, "Darker and wider than in summer.")
        found = {"asymmetry", "border_irregularity", "diameter_over_6_mm", "evolution"}
        points = {"atypical_pigment_network", "irregular_dots_globules", "regression_structures"}
        self._checklist(image_id, found, points)
        benign = self._photograph(self._lesion(patient, "front-right-forearm"), 2, 0.05, seed=7002)
        self._checklist(benign.image.public_id, set(), set())

    def _overdue_monitoring(self) -> None:
        for name, region, weeks in (("Emil", "front-left-chest", 3), ("Otto", "back-right-thigh", 11)):
            patient = self._patient("Larch", name, Gender.MALE, date(1955, 8, 2 + weeks))
            record = self._photograph(self._lesion(patient, region), 220, 0.4, seed=7100 + weeks)
            self.sign_back_then(record, plan=ReviewPlan.MONITOR, days_ago=219, due_days_ago=7 * weeks)

    def _overdue_histology(self) -> None:
        patient = self._patient("Yew", "Nora", Gender.FEMALE, date(1970, 11, 30))
        record = self._photograph(self._lesion(patient, "back-midline-lower-back"), 45, 0.95, seed=7201)
        self.sign_back_then(record, plan=ReviewPlan.BIOPSY, days_ago=44, conclusion=_MALIGNANT)

    def _reported_histology(self) -> None:
        """Two biopsies with their reports, one of them a melanoma whose review has an addendum."""
        reports = (
            ("Hugo", "back-right-upper-back", "Superficial spreading melanoma", _MALIGNANT, 0.7),
            ("Jonas", "front-left-lower-leg", "Dysplastic compound naevus", _BENIGN, None),
        )
        for number, (name, region, diagnosis, outcome, breslow_thickness_mm) in enumerate(reports):
            patient = self._patient("Elm", name, Gender.MALE, date(1949 + 20 * number, 5, 21))
            lesion = self._lesion(patient, region)
            record = self._photograph(lesion, 70, 0.9 - 0.3 * number, seed=7300 + number)
            self.sign_back_then(record, plan=ReviewPlan.BIOPSY, days_ago=69, conclusion=_MALIGNANT)
            record_histopathology(
                lesion_public_id=lesion,
                diagnosis=diagnosis,
                outcome=outcome,
                reported_on=self._today() - timedelta(days=52),
                breslow_thickness_mm=breslow_thickness_mm,
                actor=self.actor,
            )
        patient = self._patient("Elm", "Clara", Gender.FEMALE, date(1983, 1, 9))
        record = self._photograph(self._lesion(patient, "front-left-upper-arm"), 4, 0.8, seed=7310)
        review = self._sign(record, ReviewPlan.BIOPSY, _MALIGNANT, diagnosis="Melanoma to be ruled out")
        add_addendum(
            review_public_id=review.public_id,
            text="The patient asked by telephone: the excision is planned for next week.",
            actor=self.actor,
        )

    def _every_plan_signed_today(self) -> None:
        patient = self._patient("Hazel", "Mara", Gender.FEMALE, date(1990, 6, 5))
        plans = (
            ("front-midline-abdomen", 0.02, ReviewPlan.REASSURE, _BENIGN),
            ("front-left-thigh", 0.3, ReviewPlan.MONITOR, _BENIGN),
            ("back-left-forearm", 0.7, ReviewPlan.REFER, _MALIGNANT),
        )
        for number, (region, irregularity, plan, conclusion) in enumerate(plans):
            record = self._photograph(self._lesion(patient, region), 2, irregularity, seed=7400 + number)
            self._first_read(record.image.public_id, ClinicalImpression.UNSURE, "")
            self._sign(record, plan, conclusion)

    def _withdrawn_consent(self) -> None:
        """A photograph with an answer, and one without: the patient has changed her mind in between."""
        patient = self._patient("Willow", "Edith", Gender.FEMALE, date(1938, 12, 24))
        lesion = self._lesion(patient, "front-right-face")
        self._photograph(lesion, 160, 0.2, seed=7501)
        record_consent(
            patient_public_id=patient.public_id,
            purpose=ConsentPurpose.AI_ANALYSIS,
            is_given=False,
            actor=self.actor,
        )
        self._photograph(lesion, 3, 0.25, seed=7501, size=1.05)

    def _merged_duplicate(self) -> None:
        born = date(1977, 9, 17)
        kept = self._patient("Oak", "Hanna", Gender.FEMALE, born)
        self._photograph(self._lesion(kept, "back-right-forearm"), 75, 0.1, seed=7601)
        twice = self._patient("Oack", "Hannah", Gender.FEMALE, born)
        self._photograph(self._lesion(twice, "front-right-thigh"), 12, 0.15, seed=7602)
        merge_patients(
            kept_public_id=kept.public_id,
            merged_public_id=twice.public_id,
            reason="Registered twice with a misspelt name; born on the same day, same address.",
            actor=self.actor,
        )

    def _estimated_birth_date(self) -> None:
        patient = self._patient(
            "Alder", "Toni", Gender.UNKNOWN, date(1944, 7, 1), precision=BirthDatePrecision.ESTIMATED
        )
        self._photograph(self._lesion(patient, "front-left-neck"), 30, 0.3, seed=7701)

    def _patient(
        self,
        family_name: str,
        given_name: str,
        gender: Gender,
        birth_date: date,
        *,
        precision: BirthDatePrecision = BirthDatePrecision.EXACT,
        is_at_risk: bool = False,
    ) -> Patient:
        self._told += 1
        return register_patient(
            details=PatientDetails(
                mrn=f"DEMO-{1000 + self._told}",
                family_name=family_name,
                given_name=given_name,
                birth_date=birth_date,
                birth_date_precision=precision,
                gender=gender,
                fitzpatrick_skin_type=FitzpatrickSkinType.II,
                personal_history_of_melanoma=is_at_risk,
                family_history_of_melanoma=is_at_risk,
                consent_to_care=True,
                consent_to_ai_analysis=True,
                consent_to_research=True,
            ),
            actor=self.actor,
        )

    def _lesion(self, patient: Patient, region_key: str) -> uuid.UUID:
        lesion = add_lesion(
            patient_public_id=patient.public_id,
            description=DRAWN,
            place=self.mark(region_key),
            actor=self.actor,
        )
        return lesion.public_id

    def _photograph(
        self,
        lesion: uuid.UUID,
        days_ago: int,
        irregularity: float,
        *,
        seed: int,
        size: float = 0.9,
        diameter_mm: float | None = None,
    ) -> ImageRecord:
        return record_examination(
            lesion_public_id=lesion,
            upload=draw_lesion(seed=seed, irregularity=irregularity, size=size),
            image_type=ImageType.DERMOSCOPIC,
            captured_at=utc_now() - timedelta(days=days_ago, minutes=20),
            clin_size_long_diam_mm=diameter_mm,
            quality_override_reason=DRAWN,
            actor=self.actor,
        )

    def _sign(
        self, record: ImageRecord, plan: ReviewPlan, conclusion: OutcomeLabel, *, diagnosis: str = ""
    ) -> Review:
        return sign_review(
            image_public_id=record.image.public_id,
            prediction_public_id=record.prediction.public_id if record.prediction else None,
            conclusion=conclusion,
            clinical_diagnosis=diagnosis,
            plan=plan,
            reason=_reason(record, conclusion),
            due_on=self._today() + timedelta(days=90) if plan is ReviewPlan.MONITOR else None,
            actor=self.actor,
        )

    def _first_read(self, image_id: uuid.UUID, impression: ClinicalImpression, note: str) -> None:
        record_first_read(image_public_id=image_id, impression=impression, note=note, actor=self.actor)

    def _checklist(self, image_id: uuid.UUID, found: set[str], points: set[str]) -> None:
        record_checklist(
            image_public_id=image_id,
            abcde={name: name in found for name in ABCDE},
            seven_point={name: name in points for name in SEVEN_POINT_WEIGHTS},
            actor=self.actor,
        )

    def _today(self) -> date:
        return clinic_day(utc_now(), actor=self.actor)


def _reason(record: ImageRecord, conclusion: OutcomeLabel) -> str:
    is_override = record.prediction is not None and record.prediction.label is not conclusion
    return _OVERRIDE if is_override else ""
