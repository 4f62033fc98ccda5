"""Laboratory reports: what can be recorded, and which one counts."""

from __future__ import annotations

import uuid
from datetime import date, timedelta

import pytest

from melanoma_app.errors import InvalidInputError, NotFoundError
from melanoma_app.models import AuditEvent, Clinic, Histopathology, User
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import AuditAction, OutcomeLabel
from melanoma_app.services.actor import Actor
from melanoma_app.services.histopathology import newest_histopathology, record_histopathology
from tests.factories import HistopathologyFactory, LesionFactory, actor_of
from tests.records import Records

pytestmark = pytest.mark.usefixtures("context")

TODAY = utc_now().date()
BIRTH = date(1962, 4, 27)


def record(lesion_id: uuid.UUID, actor: Actor, **values: object) -> Histopathology:
    given = {"diagnosis": "Melanoma in situ", "outcome": OutcomeLabel.MALIGNANT, "reported_on": TODAY}
    return record_histopathology(lesion_public_id=lesion_id, actor=actor, **given | values)  # type: ignore[arg-type]


def test_report_is_kept_and_audited_when_recorded(
    lesion_id: uuid.UUID, actor: Actor, records: Records
) -> None:
    record(lesion_id, actor, diagnosis="  Nodular\tmelanoma ", breslow_thickness_mm=1.2, reported_on=BIRTH)

    kept = records.one(Histopathology)
    assert (kept.diagnosis, kept.outcome, kept.breslow_thickness_mm, kept.reported_on) == (
        "Nodular melanoma",
        OutcomeLabel.MALIGNANT,
        1.2,
        BIRTH,
    )
    event = records.one(AuditEvent, AuditEvent.action == AuditAction.HISTOPATHOLOGY_RECORDED)
    assert event.subject_public_id == kept.public_id
    assert "melanoma" not in str(event.details)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("diagnosis", {"diagnosis": " \t"}),
        ("diagnosis", {"diagnosis": "é" * 201}),
        ("reported_on", {"reported_on": TODAY + timedelta(days=1)}),
        ("reported_on", {"reported_on": BIRTH - timedelta(days=1)}),
        ("breslow_thickness_mm", {"breslow_thickness_mm": 0.8, "outcome": OutcomeLabel.BENIGN}),
        ("breslow_thickness_mm", {"breslow_thickness_mm": 0.0}),
        ("breslow_thickness_mm", {"breslow_thickness_mm": 100.1}),
        ("breslow_thickness_mm", {"breslow_thickness_mm": float("nan")}),
        ("breslow_thickness_mm", {"breslow_thickness_mm": float("inf")}),
    ],
    ids=str,
)
def test_nothing_is_kept_when_a_value_cannot_be_right(
    lesion_id: uuid.UUID, actor: Actor, records: Records, field: str, change: dict[str, object]
) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        record(lesion_id, actor, **change)

    assert list(refusal.value.fields) == [field]
    assert records.count(Histopathology) == 0
    assert records.count(AuditEvent, AuditEvent.action == AuditAction.HISTOPATHOLOGY_RECORDED) == 0


def test_lesion_is_unknown_when_of_another_clinic(
    lesion_id: uuid.UUID, outsider: User, records: Records
) -> None:
    with pytest.raises(NotFoundError):
        record(lesion_id, actor_of(outsider))

    assert records.count(Histopathology) == 0


def test_newest_report_counts_when_one_was_corrected(clinic: Clinic) -> None:
    lesion, other, without = (LesionFactory(patient__clinic=clinic) for _ in range(3))
    HistopathologyFactory(lesion=lesion, reported_on=TODAY)
    corrected = HistopathologyFactory(lesion=lesion, reported_on=TODAY - timedelta(days=9))
    theirs = HistopathologyFactory(lesion=other)

    found = newest_histopathology(lesion_ids=[lesion.id, other.id, without.id])

    assert {lesion_id: report.public_id for lesion_id, report in found.items()} == {
        lesion.id: corrected.public_id,
        other.id: theirs.public_id,
    }
