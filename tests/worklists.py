"""The worklist beside the factories, which write behind the services' back, and what it has to say in plain Python."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from melanoma_app.extensions import db
from melanoma_app.models import Histopathology, Lesion, LesionImage, OpenTask, Patient, Prediction, Review
from melanoma_app.models.vocabulary import OutcomeLabel, ReviewPlan
from melanoma_app.services.open_tasks import refresh_open_tasks
from tests.records import Records

Task = tuple[Any, ...]
"""Kind, photograph, patient, review, probability, outcome, since when, due day."""


def list_what_waits(clinic_id: int) -> None:
    """Put on a clinic's worklist what the factories wrote."""
    patient_ids = db.session.scalars(select(Patient.id).where(Patient.clinic_id == clinic_id)).all()
    refresh_open_tasks(patient_ids=patient_ids, clinic_id=clinic_id)
    db.session.commit()


def read_tasks(clinic_id: int) -> list[Task]:
    """What stands on a clinic's worklist."""
    tasks = db.session.scalars(select(OpenTask).where(OpenTask.clinic_id == clinic_id)).all()
    found = [
        (
            one.kind.value,
            one.lesion_image_id,
            one.patient_id,
            one.review_id,
            None if one.risk_order is None else -one.risk_order,
            one.outcome,
            one.since,
            one.due_on,
        )
        for one in tasks
    ]
    db.session.rollback()
    return sorted(found, key=lambda task: task[1])


def work_out_tasks(clinic_id: int, records: Records) -> list[Task]:
    """What has to stand there, from every row of the record."""
    patient_ids = {one.id for one in records.all(Patient, Patient.clinic_id == clinic_id)}
    reviews = {one.lesion_image_id: one for one in records.all(Review)}
    answers = {one.lesion_image_id: one for one in records.all(Prediction)}  # the newest comes last
    photographs, reports = records.all(LesionImage), records.all(Histopathology)
    tasks: list[Task] = []
    for lesion in records.all(Lesion):
        if lesion.patient_id not in patient_ids:
            continue
        own = [one for one in photographs if one.lesion_id == lesion.id]
        for image in own:
            if image.id not in reviews:
                answer = answers.get(image.id)
                tasks.append(
                    (
                        "unsigned",
                        image.id,
                        lesion.patient_id,
                        None,
                        answer.malignancy_probability if answer else -1,
                        answer.label if answer else None,
                        image.captured_at,
                        None,
                    )
                )
        signed = sorted((reviews[one.id] for one in own if one.id in reviews), key=lambda one: one.id)
        of_lesion = [one for one in reports if one.lesion_id == lesion.id]
        biopsies = [
            one
            for one in signed
            if one.plan is ReviewPlan.BIOPSY
            and not [report for report in of_lesion if report.recorded_at > one.signed_at]
        ]
        monitored = [
            one
            for one in signed[-1:]
            if one.plan is ReviewPlan.MONITOR
            and not [image for image in own if image.captured_at > one.signed_at]
        ]
        for kind, waiting in (("histology", biopsies[:1]), ("monitoring", monitored)):
            tasks += [
                (
                    kind,
                    one.lesion_image_id,
                    lesion.patient_id,
                    one.id,
                    None,
                    None,
                    one.signed_at,
                    one.due_on if kind == "monitoring" else None,
                )
                for one in waiting
            ]
    return sorted(tasks, key=lambda task: task[1])


def count_unsigned(tasks: list[Task]) -> tuple[int, int]:
    """The unsigned photographs among some tasks, and those of them that are called malignant."""
    outcomes = [task[5] for task in tasks if task[0] == "unsigned"]
    return len(outcomes), outcomes.count(OutcomeLabel.MALIGNANT)
