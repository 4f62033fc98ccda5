from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from melanoma_app.extensions import db
from melanoma_app.models import (
    Addendum,
    Checklist,
    ConsentDecision,
    FirstRead,
    Histopathology,
    Lesion,
    LesionImage,
    Patient,
    PatientMerge,
    Review,
    User,
)
from melanoma_app.models.vocabulary import BirthDatePrecision, OutcomeLabel, ReviewPlan
from melanoma_app.services import demo
from melanoma_app.services.actor import Actor
from melanoma_app.services.overview import count_tiles
from melanoma_app.services.worklist import (
    list_overdue_monitoring,
    list_pending_histology,
    list_unsigned,
)
from tests.factories import PatientFactory
from tests.records import Records

pytestmark = pytest.mark.usefixtures("context")


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_every_part_of_the_record_is_shown_when_the_demo_is_loaded(
    records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "_PATIENTS", 1)

    demo.load_demo(instance_folder=tmp_path)

    for model in (Addendum, Checklist, ConsentDecision, FirstRead, PatientMerge):
        assert records.count(model), model.__name__
    assert {review.plan for review in records.all(Review)} == set(ReviewPlan)
    assert {one.outcome for one in records.all(Histopathology)} == set(OutcomeLabel)
    assert records.count(Patient, Patient.birth_date_precision == BirthDatePrecision.ESTIMATED)
    assert records.count(Lesion) == records.count(Lesion, Lesion.body_view.is_not(None))
    assert records.count(LesionImage, LesionImage.clin_size_long_diam_mm.is_not(None)) > 3
    actor = Actor(user=db.session.scalars(select(User).options(joinedload(User.clinic))).one())
    assert {one.is_overdue for one in list_pending_histology(actor=actor)} == {True, False}
    assert list_overdue_monitoring(actor=actor)
    assert list_unsigned(actor=actor).items[-1].prediction is None  # consent was withdrawn
    assert count_tiles(actor=actor).high_risk_unsigned


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_nothing_is_made_up_when_there_is_a_patient(records: Records, tmp_path: Path) -> None:
    PatientFactory()

    demo.load_demo(instance_folder=tmp_path)

    assert records.count(Patient) == 1
    assert demo.find_demo_account(instance_folder=tmp_path) is None
