"""Record totals: the sums of the overview, kept up in the transaction that changes what they count."""

from __future__ import annotations

from sqlalchemy import delete, func, insert, select, update

from melanoma_app.extensions import db
from melanoma_app.models import Lesion, OpenTask, Patient, RecordTotal
from melanoma_app.models.patient_merge import is_not_merged
from melanoma_app.models.vocabulary import OpenTaskKind, OutcomeLabel


def add_to_totals(*, clinic_id: int, **changes: int) -> None:
    """Add to some totals of a clinic; the caller commits.

    The caller has called `record_event`, whose lock on the clinic's audit chain makes writers take turns, so that none
    begins the clinic's row twice.

    Args:
        clinic_id: Whose.
        changes: By how much, by the total's name; below 0 for less.
    """
    changes = {name: change for name, change in changes.items() if change}
    if not changes:
        return
    added = {name: getattr(RecordTotal, name) + change for name, change in changes.items()}
    # Past the session, which would write what is counted first: an import writes many rows at a time.
    matched = db.session.connection().execute(
        update(RecordTotal).where(RecordTotal.clinic_id == clinic_id).values(added)
    )
    if not matched.rowcount:
        # The clinic's first record, or the first change of a record that is older than this table.
        write_totals(clinic_id=clinic_id)


def write_totals(*, clinic_id: int) -> None:
    """Count a clinic's totals anew; the caller holds the lock of its audit chain, and commits."""
    db.session.flush()
    totals = count_totals(clinic_id)
    db.session.execute(delete(RecordTotal).where(RecordTotal.clinic_id == clinic_id))
    db.session.execute(insert(RecordTotal).values(clinic_id=clinic_id, **totals))


def read_totals(clinic_id: int) -> dict[str, int]:
    """The totals that are kept of a clinic, by their names; zeros where nothing is on record yet."""
    columns = [column for column in RecordTotal.__table__.columns if column.name != "clinic_id"]
    row = db.session.execute(select(*columns).where(RecordTotal.clinic_id == clinic_id)).mappings().first()
    return dict(row) if row else dict.fromkeys((column.name for column in columns), 0)


def count_totals(clinic_id: int) -> dict[str, int]:
    """What a clinic's totals have to be, by their names."""
    in_lists = (Patient.clinic_id == clinic_id, is_not_merged())
    unsigned = (OpenTask.clinic_id == clinic_id, OpenTask.kind == OpenTaskKind.UNSIGNED)
    counts = {
        "patients": select(func.count()).select_from(Patient).where(*in_lists),
        "lesions": select(func.count()).select_from(Lesion).join(Lesion.patient).where(*in_lists),
        "awaiting_review": select(func.count()).select_from(OpenTask).where(*unsigned),
        "high_risk_unsigned": select(func.count())
        .select_from(OpenTask)
        .where(*unsigned, OpenTask.outcome == OutcomeLabel.MALIGNANT),
    }
    return {name: db.session.scalar(query) or 0 for name, query in counts.items()}
