"""Everything that is on record of one patient, as files that the patient can take along (GDPR Art. 15 and 20)."""

from __future__ import annotations

import json
import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import String, cast, or_, select
from sqlalchemy.orm import joinedload

from melanoma_app.extensions import db, image_storage
from melanoma_app.models import (
    Addendum,
    AuditEvent,
    Base,
    Checklist,
    ConsentDecision,
    FirstRead,
    Histopathology,
    Lesion,
    LesionImage,
    MergedLesion,
    ModelVersion,
    Patient,
    PatientMerge,
    Prediction,
    Review,
    User,
)
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import record_event
from melanoma_app.services.export_archive import ArchiveWriter, ExportedArchive
from melanoma_app.services.fhir_export import make_bundle
from melanoma_app.services.image_files import read_image_file
from melanoma_app.services.patient_rows import PatientRows
from melanoma_app.services.patients import find_patient

SCHEMA_VERSION: Final = 1
"""Of `record.json`; it grows when a name changes its meaning or goes."""
ENTRIES_AT_ONCE: Final = 1000
_SERVERS_OWN: Final = frozenset({"id", "clinic_id", "storage_key", "thumbnail_key"})
"""Columns that say nothing of the patient: keys of the database and names of the server's files."""
_README: Final = """This archive holds everything that the clinic has on record of one patient.

record.json   the record: what was said of the patient, answers about consent, lesions, photographs, what models and
              people said of them, laboratory reports. Times are ISO 8601 in UTC, probabilities 0-1, null is "not
              known". Its "schema_version" is {version}.
images/       the photographs as they are stored; "file" in record.json names each. The small copies that lists show are
              made from them and left out.
audit.json    who saw or changed the record, when, oldest first; "patients_listed" is a list in which the patient stood.
fhir.json     the same record as a FHIR R4 Bundle, for another clinic's system.

Left out is what is only counted or derived from the record: search keys, counters, the worklist; and photographs of an
upload that have not been taken in yet.
The archive holds names and health data. Keep it where nobody else can read it.
"""
Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class _Names:
    """What keys of other tables stand for."""

    people: dict[int, str]
    models: dict[int, str]


def export_everything(*, public_id: uuid.UUID, actor: Actor) -> ExportedArchive:
    """A ZIP of the whole record, the stored photographs and the audit entries of one patient; audited.

    The photographs are read one after the other, and after the transaction: nobody waits for them.

    Raises:
        NotFoundError: The clinic has no such patient.
        MergedPatientError: The record was merged into another one, which is the one to export.
        UnavailableError: A stored photograph is gone or damaged.
    """
    patient = find_patient(public_id=public_id, actor=actor)
    rows = _read_rows(patient)
    record = _describe_record(patient, rows, actor)
    with ArchiveWriter() as archive:
        archive.add("README.txt", _README.format(version=SCHEMA_VERSION))
        archive.add("record.json", _write(record))
        archive.add("fhir.json", _write(make_bundle(patient=patient)))
        entries = _add_audit_entries(archive, patient, rows[PatientMerge], actor)
        record_event(
            action=AuditAction.PATIENT_EXPORTED,
            actor=actor,
            subject_public_id=public_id,
            patient=patient,
            details={
                "lesions": len(rows[Lesion]),
                "images": len(rows[LesionImage]),
                "audit_entries": entries,
            },
        )
        db.session.commit()
        for image in rows[LesionImage]:
            content = read_image_file(key=image.storage_key, sha256=image.sha256, store=image_storage.store)
            archive.add(_file_of(image), content)
        return archive.finish(name=f"patient-{public_id}.zip")


def _read_rows(patient: Patient) -> dict[type[Base], Sequence[Any]]:
    """Every row of the record, in a number of queries that does not grow with it."""
    return {
        model: db.session.scalars(select(model).where(condition).order_by(model.id)).all()
        for model, condition in PatientRows(patient.id).in_order
    }


def _describe_record(patient: Patient, rows: dict[type[Base], Sequence[Any]], actor: Actor) -> Row:
    people = select(User.id, User.display_name).where(User.clinic_id == actor.clinic_id)
    names = _Names(
        people={row.id: row.display_name for row in db.session.execute(people)},
        models={
            model.id: f"{model.name} {model.version}" for model in db.session.scalars(select(ModelVersion))
        },
    )
    below = {
        "histopathology": _group(rows[Histopathology], "lesion_id", names),
        "predictions": _group(rows[Prediction], "lesion_image_id", names),
        "first_reads": _group(rows[FirstRead], "lesion_image_id", names),
        "checklists": _group(rows[Checklist], "lesion_image_id", names),
        "addenda": _group(rows[Addendum], "review_id", names),
    }
    answers = {one.id: str(one.public_id) for one in rows[Prediction]}
    reviews = {
        one.lesion_image_id: _describe(one, names)
        | {"prediction": answers.get(one.prediction_id), "addenda": below["addenda"][one.id]}
        for one in rows[Review]
    }
    images = defaultdict(list)
    for image in rows[LesionImage]:
        own = {name: below[name][image.id] for name in ("predictions", "first_reads", "checklists")}
        images[image.lesion_id].append(
            _describe(image, names) | {"file": _file_of(image)} | own | {"review": reviews.get(image.id)}
        )
    return {
        "schema_version": SCHEMA_VERSION,
        "exported_at": _plain(utc_now()),
        "clinic": patient.clinic.name,
        "patient": _describe(patient, names),
        "consents": [_describe(one, names) for one in rows[ConsentDecision]],
        "merges": list(_describe_merges(patient, names)),
        "lesions": [
            _describe(one, names)
            | {"images": images[one.id], "histopathology": below["histopathology"][one.id]}
            for one in rows[Lesion]
        ],
    }


def _describe_merges(patient: Patient, names: _Names) -> Iterator[Row]:
    """Each merge, undone or not; with the other record where the merge holds, for it is the same person's."""
    merges = (
        select(PatientMerge)
        .where(PatientRows(patient.id).of(PatientMerge))
        .order_by(PatientMerge.id)
        .options(joinedload(PatientMerge.kept), joinedload(PatientMerge.merged))
    )
    for merge in db.session.scalars(merges):
        described = _describe(merge, names) | {
            "kept": str(merge.kept.public_id),
            "merged": str(merge.merged.public_id),
            "moved_lesions": [
                {"id": str(one.lesion.public_id), "former_number": one.former_number}
                for one in db.session.scalars(
                    select(MergedLesion)
                    .where(MergedLesion.merge_id == merge.id)
                    .options(joinedload(MergedLesion.lesion))
                )
            ],
        }
        if merge.reverted_at is None:
            consents = select(ConsentDecision).where(ConsentDecision.patient_id == merge.merged_id)
            described["merged_patient"] = _describe(merge.merged, names)
            described["merged_consents"] = [_describe(one, names) for one in db.session.scalars(consents)]
        yield described


def _group(rows: Sequence[Any], parent: str, names: _Names) -> defaultdict[int, list[Row]]:
    groups: defaultdict[int, list[Row]] = defaultdict(list)
    for row in rows:
        groups[getattr(row, parent)].append(_describe(row, names))
    return groups


def _describe(row: Base, names: _Names) -> Row:
    """Every column by its name; a key gives way to the person or model it stands for, or to where the row stands."""
    described: Row = {}
    for column in row.__table__.columns:
        value = getattr(row, column.name)
        if column.name in _SERVERS_OWN:
            continue
        targets = {key.column.table.name for key in column.foreign_keys}
        if "user" in targets:
            described[column.name.removesuffix("_id")] = names.people.get(value)
        elif "model_version" in targets:
            described["model"] = names.models.get(value)
        elif not targets:
            described["id" if column.name == "public_id" else column.name] = _plain(value)
    return described


def _add_audit_entries(
    archive: ArchiveWriter, patient: Patient, merges: Sequence[PatientMerge], actor: Actor
) -> int:
    """Who saw or changed the record, lists included; a list's entry names other patients, so its details stay out."""
    merged = [merge.merged_id for merge in merges if merge.reverted_at is None]
    ids = [patient.public_id, *db.session.scalars(select(Patient.public_id).where(Patient.id.in_(merged)))]
    columns = (AuditEvent.occurred_at, AuditEvent.action, AuditEvent.actor_name)
    is_listed = [cast(AuditEvent.details, String).contains(str(one)) for one in ids]
    query = (
        select(*columns, AuditEvent.patient_public_id, AuditEvent.details)
        .where(
            or_(
                AuditEvent.patient_public_id.in_(ids),
                (AuditEvent.action == AuditAction.PATIENTS_LISTED) & or_(*is_listed),
            )
        )
        .order_by(AuditEvent.id)
        .execution_options(yield_per=ENTRIES_AT_ONCE)
    )
    count = 0
    with archive.adding_text("audit.json") as file:
        file.write("[")
        for moment, action, who, whose, details in db.session.execute(query):
            entry = {"occurred_at": _plain(moment), "action": _plain(action), "by": who}
            if whose is not None:
                entry["details"] = details
            file.write(("\n" if count == 0 else ",\n") + json.dumps(entry, ensure_ascii=False))
            count += 1
        file.write("\n]\n")
    return count


def _file_of(image: LesionImage) -> str:
    return f"images/{image.public_id}.jpg"


def _write(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def _plain(value: Any) -> Any:
    """As JSON has it: words by value, times and days ISO 8601."""
    if isinstance(value, date | datetime):
        return value.isoformat()
    return str(value) if isinstance(value, str | uuid.UUID) else value
