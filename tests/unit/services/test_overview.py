from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event

from melanoma_app.extensions import db
from melanoma_app.models import Clinic
from melanoma_app.models.vocabulary import OutcomeLabel
from melanoma_app.services.actor import Actor
from melanoma_app.services.overview import count_tiles, list_patient_summaries
from tests.factories import LesionFactory, LesionImageFactory, PatientFactory, PredictionFactory

MALIGNANT, BENIGN = OutcomeLabel.MALIGNANT, OutcomeLabel.BENIGN
pytestmark = pytest.mark.usefixtures("context")


def test_tiles_count_the_clinic_when_records_are_old_and_new(
    actor: Actor, clinic: Clinic, recount: Callable[[], None]
) -> None:
    now = datetime.now(UTC)
    monday = (now - timedelta(days=now.weekday())).replace(hour=0, minute=0, second=0, microsecond=0)
    lesions = [LesionFactory(patient=PatientFactory(clinic=clinic), number=number) for number in (1, 1)]
    LesionFactory(patient=lesions[0].patient, number=2)
    PatientFactory(clinic=clinic)
    for captured_at, label in [
        (monday, MALIGNANT),
        (now, BENIGN),
        (monday - timedelta(microseconds=1), MALIGNANT),
    ]:
        PredictionFactory(
            lesion_image=LesionImageFactory(lesion=lesions[0], captured_at=captured_at), label=label
        )
    PredictionFactory(label=MALIGNANT)  # in another clinic
    recount()
    statements: list[str] = []
    event.listen(db.engine, "before_cursor_execute", lambda *given: statements.append(given[2]))

    tiles = count_tiles(actor=actor)

    assert len([one for one in statements if one.startswith("SELECT")]) == 1
    assert (tiles.patients, tiles.lesions) == (3, 3)
    assert tiles.examinations_this_week == 2
    assert (tiles.awaiting_review, tiles.high_risk_unsigned, tiles.histology_overdue) == (3, 2, 0)
    assert tiles.week_starts_on == monday.date()


def test_summary_shows_the_latest_photographs_last_answer_when_there_are_several(
    actor: Actor, clinic: Clinic
) -> None:
    now = datetime.now(UTC)
    patient, without = PatientFactory(clinic=clinic), PatientFactory(clinic=clinic)
    first, second = (LesionFactory(patient=patient, number=number) for number in (1, 2))
    latest = LesionImageFactory(lesion=first, captured_at=now)
    PredictionFactory(lesion_image=latest, label=MALIGNANT)
    expected = PredictionFactory(lesion_image=latest, label=BENIGN)
    PredictionFactory(
        lesion_image=LesionImageFactory(lesion=second, captured_at=now - timedelta(days=1)),
        label=MALIGNANT,
    )

    summaries = {
        one.patient.id: one.last_prediction for one in list_patient_summaries(search="", actor=actor).items
    }

    assert summaries.keys() == {patient.id, without.id}
    assert summaries[without.id] is None
    assert summaries[patient.id].id == expected.id
