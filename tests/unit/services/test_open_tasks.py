"""The worklist's rows and the totals, whatever the services do, and what checks and mends them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from datetime import timedelta
from random import Random
from typing import Final, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from melanoma_app.errors import ConflictError
from melanoma_app.extensions import db
from melanoma_app.models import (
    Clinic,
    Lesion,
    LesionImage,
    Patient,
    PatientMerge,
    Prediction,
    RecordTotal,
    Review,
)
from melanoma_app.models.base import Base, utc_now
from melanoma_app.models.vocabulary import AnatomSiteGeneral, Gender, OutcomeLabel, ReviewPlan
from melanoma_app.services.actor import Actor
from melanoma_app.services.count_check import count_what_is_uncounted, rebuild_statistics, verify_statistics
from melanoma_app.services.counting import recount_patients
from melanoma_app.services.examinations import score_image
from melanoma_app.services.histopathology import record_histopathology
from melanoma_app.services.lesions import add_lesion
from melanoma_app.services.patient_merges import merge_patients, revert_merge
from melanoma_app.services.patients import PatientDetails, register_patient
from melanoma_app.services.record_totals import read_totals
from melanoma_app.services.reviews import sign_review
from tests.examining import take_photograph
from tests.factories import (
    LesionFactory,
    LesionImageFactory,
    PatientFactory,
    PredictionFactory,
    ReviewFactory,
    UserFactory,
    actor_of,
)
from tests.factories.base import session
from tests.records import Records
from tests.worklists import count_unsigned, read_tasks, work_out_tasks

MALIGNANT, BENIGN = OutcomeLabel.MALIGNANT, OutcomeLabel.BENIGN
STEPS: Final = (
    "register",
    "add_lesion",
    "photograph",
    "photograph",
    "score",
    "sign",
    "sign",
    "report",
    "merge",
    "undo",
)
EXAMPLES: Final = {"sqlite": 10, "mariadb": 5}
T = TypeVar("T", bound=Base)
pytestmark = pytest.mark.usefixtures("context")


class Ward:
    """Somebody at work in a clinic of their own, on whatever chance picks out."""

    def __init__(self, records: Records, seed: int) -> None:
        self._user = UserFactory()
        self.actor = actor_of(self._user)
        self._records, self._random = records, Random(seed)

    def register(self) -> None:
        details = PatientDetails(
            mrn=uuid.uuid4().hex,
            family_name="Muster",
            given_name="Iris",
            birth_date=utc_now().date() - timedelta(days=15_000),
            gender=Gender.FEMALE,
        )
        register_patient(details=details, actor=self.actor)

    def add_lesion(self) -> None:
        if patient := self._pick(self._standing()):
            site = AnatomSiteGeneral.PALMS_SOLES
            add_lesion(
                patient_public_id=patient.public_id,
                description="",
                anatom_site_general=site,
                actor=self.actor,
            )

    def photograph(self) -> None:
        """Nobody has asked for consent, so no model looks."""
        if lesion := self._pick(self._lesions()):
            taken_at = utc_now() - timedelta(days=self._random.choice([0, 400]))
            take_photograph(lesion.public_id, self.actor, captured_at=taken_at)

    def score(self) -> None:
        """As a model would, without its time."""
        if image := self._pick(self._images()):
            PredictionFactory(
                lesion_image=session.get_one(
                    LesionImage, image.id
                ),  # not the detached one: both may be alive
                created_by=self._user,
                label=self._random.choice([MALIGNANT, BENIGN]),
                malignancy_probability=self._random.choice([0, 0.1 + 0.2, 1 / 3, 1]),
            )
            patient_id = self._records.one(Lesion, Lesion.id == image.lesion_id).patient_id
            recount_patients(patient_ids=[patient_id], clinic_id=self.actor.clinic_id)
            db.session.commit()

    def sign(self) -> None:
        signed = {one.lesion_image_id for one in self._records.all(Review)}
        if image := self._pick([one for one in self._images() if one.id not in signed]):
            answers = self._records.all(Prediction, Prediction.lesion_image_id == image.id)
            conclusion = answers[-1].label if answers else BENIGN
            plan = self._random.choice([ReviewPlan.MONITOR, ReviewPlan.BIOPSY, ReviewPlan.REFER])
            sign_review(
                image_public_id=image.public_id,
                prediction_public_id=answers[-1].public_id if answers else None,
                conclusion=conclusion,
                plan=plan,
                due_on=utc_now().date() + timedelta(days=90) if plan is ReviewPlan.MONITOR else None,
                actor=self.actor,
            )

    def report(self) -> None:
        if lesion := self._pick(self._lesions()):
            record_histopathology(
                lesion_public_id=lesion.public_id,
                diagnosis="Naevus",
                outcome=BENIGN,
                reported_on=utc_now().date(),
                actor=self.actor,
            )

    def merge(self) -> None:
        standing = self._standing()
        if len(standing) > 1:
            kept, merged = (one.public_id for one in self._random.sample(standing, 2))
            try:
                merge_patients(kept_public_id=kept, merged_public_id=merged, reason="x", actor=self.actor)
            except ConflictError:
                db.session.rollback()  # merges do not nest

    def undo(self) -> None:
        if merge := self._pick(self._merges()):
            revert_merge(public_id=merge.public_id, actor=self.actor)

    def totals(self) -> dict[str, int]:
        """What the record adds up to, row by row."""
        unsigned, malignant = count_unsigned(work_out_tasks(self.actor.clinic_id, self._records))
        return {
            "patients": len(self._standing()),
            "lesions": len(self._lesions()),
            "awaiting_review": unsigned,
            "high_risk_unsigned": malignant,
        }

    def _pick(self, rows: Sequence[T]) -> T | None:
        return self._random.choice(rows) if rows else None

    def _patients(self) -> list[int]:
        return [one.id for one in self._records.all(Patient, Patient.clinic_id == self.actor.clinic_id)]

    def _merges(self) -> Sequence[PatientMerge]:
        own = PatientMerge.kept_id.in_(self._patients())
        return self._records.all(PatientMerge, own, PatientMerge.reverted_at.is_(None))

    def _standing(self) -> Sequence[Patient]:
        merged = [one.merged_id for one in self._merges()]
        return self._records.all(
            Patient, Patient.clinic_id == self.actor.clinic_id, Patient.id.not_in(merged)
        )

    def _lesions(self) -> Sequence[Lesion]:
        return self._records.all(Lesion, Lesion.patient_id.in_(self._patients()))

    def _images(self) -> Sequence[LesionImage]:
        return self._records.all(LesionImage, LesionImage.lesion_id.in_([one.id for one in self._lesions()]))


def test_rows_are_what_the_record_says_when_services_did_whatever_they_do(
    records: Records, database_kind: str
) -> None:
    @settings(max_examples=EXAMPLES[database_kind])
    @given(steps=st.lists(st.sampled_from(STEPS), min_size=4, max_size=18), seed=st.integers(0, 2**32))
    def try_out(steps: list[str], seed: int) -> None:
        ward = Ward(records, seed)
        for step in ("register", "add_lesion", "photograph", *steps):
            getattr(ward, step)()

        assert read_tasks(ward.actor.clinic_id) == work_out_tasks(ward.actor.clinic_id, records)
        assert read_totals(ward.actor.clinic_id) == ward.totals()

    try_out()


@pytest.mark.parametrize("consents", [True, None])
def test_photograph_stands_on_the_worklist_when_it_was_sent_or_scored_again(
    actor: Actor, clinic: Clinic, records: Records, consents: bool | None
) -> None:
    patient = PatientFactory(clinic=clinic, consent_to_ai_analysis=consents)
    take_photograph(LesionFactory(patient=patient).public_id, actor)
    image = records.one(LesionImage)

    assert [task[1] for task in read_tasks(clinic.id)] == [image.id]
    assert read_tasks(clinic.id) == work_out_tasks(clinic.id, records)
    if consents:
        records.execute("UPDATE open_task SET risk_order = -0.5, outcome = NULL")
        score_image(image_public_id=image.public_id, actor=actor)
        assert read_tasks(clinic.id) == work_out_tasks(clinic.id, records)


def test_differences_are_told_and_mended_when_rows_were_tampered_with(
    records: Records, clinic: Clinic, recount: Callable[[], None]
) -> None:
    images = [LesionImageFactory(lesion__patient__clinic=clinic) for _ in range(4)]
    PredictionFactory(lesion_image=images[0], label=MALIGNANT)
    for image, plan in zip(images[2:], (ReviewPlan.BIOPSY, ReviewPlan.REASSURE), strict=True):
        ReviewFactory(prediction=None, lesion_image=image, plan=plan)
    recount()
    assert list(verify_statistics()) == []

    changed, missing, moved, extra = (image.id for image in images)
    records.execute("UPDATE open_task SET risk_order = -0.2 WHERE lesion_image_id = :id", id=changed)
    records.execute("DELETE FROM open_task WHERE lesion_image_id = :id", id=missing)
    records.execute("UPDATE open_task SET clinic_id = 1 WHERE lesion_image_id = :id", id=moved)
    records.execute(
        "INSERT INTO open_task (lesion_image_id, clinic_id, kind, patient_id, risk_order, since)"
        " VALUES (:id, :clinic, 'unsigned', :patient, 1, '2020-01-01')",
        id=extra,
        clinic=clinic.id,
        patient=images[3].lesion.patient_id,
    )
    records.execute("UPDATE record_total SET patients = 7 WHERE clinic_id = :id", id=clinic.id)

    assert {one.place: one.explanation for one in verify_statistics()} == {
        f"photograph {changed}": "it is on the worklist with another risk_order",
        f"photograph {missing}": "it is not on the worklist",
        f"photograph {moved}": "it is on the worklist with another clinic_id",
        f"photograph {extra}": "it is on the worklist, and should not be",
        "total of patients": "it says 7, the records say 4",
    }
    rebuild_statistics()
    assert list(verify_statistics()) == []
    assert read_tasks(clinic.id) == work_out_tasks(clinic.id, records)


def test_old_record_is_worked_out_when_the_app_starts(records: Records, clinic: Clinic) -> None:
    LesionImageFactory(lesion__patient__clinic=clinic)

    count_what_is_uncounted()

    assert len(read_tasks(clinic.id)) == 1
    assert records.one(RecordTotal, RecordTotal.clinic_id == clinic.id).lesions == 1
    records.execute("DELETE FROM open_task")
    count_what_is_uncounted()  # where they are kept, nothing is done
    assert read_tasks(clinic.id) == []
