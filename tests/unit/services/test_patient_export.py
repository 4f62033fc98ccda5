"""The export of everything about one patient."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any
from zipfile import ZipFile

import pytest

from melanoma_app.errors import NotFoundError, UnavailableError
from melanoma_app.models import AuditEvent, Base, LesionImage, Patient
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.services.actor import Actor
from melanoma_app.services.patient_export import export_everything
from melanoma_app.services.patient_search import search_patients
from tests.factories import PatientFactory, PatientMergeFactory
from tests.fhir import check_bundle
from tests.full_records import FAMILY_NAME, MRN, fill_record, tables_below_patient
from tests.records import Records, end_app_transaction

pytestmark = pytest.mark.usefixtures("context")
DERIVED = {"counted_test", "open_task", "patient_search_key", "staged_photograph"}
"""Counted from the record, keys of it, or not on record yet: the archive's README says so."""
SERVERS_OWN = {"id", "clinic_id", "storage_key", "thumbnail_key"}


@pytest.fixture
def patient(actor: Actor) -> Patient:
    return fill_record(actor)


def unzip(patient: Patient, actor: Actor) -> dict[str, bytes]:
    end_app_transaction()
    exported = export_everything(public_id=patient.public_id, actor=actor)
    with exported.content as file:
        content = file.read()
    assert len(content) == exported.size_bytes
    assert exported.name == f"patient-{patient.public_id}.zip"
    with ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def names_in(value: Any) -> Iterator[str]:
    """Every name of every object in a JSON document."""
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from names_in(one)


def test_every_column_of_every_table_is_in_the_record_when_exported(patient: Patient, actor: Actor) -> None:
    told = set(names_in(json.loads(unzip(patient, actor)["record.json"])))

    for table in tables_below_patient() - DERIVED:
        for column in Base.metadata.tables[table].columns:
            targets = {key.column.table.name for key in column.foreign_keys}
            if column.name in SERVERS_OWN or targets & tables_below_patient():
                continue  # a key of ours, or said by where the row stands
            name = {"public_id": "id", "model_version_id": "model"}.get(
                column.name, column.name.removesuffix("_id") if targets else column.name
            )
            assert name in told, f"{table}.{column.name}"


def test_record_reads_by_itself_when_opened(patient: Patient, actor: Actor, records: Records) -> None:
    files = unzip(patient, actor)

    record = json.loads(files["record.json"])
    assert record["schema_version"] == 1
    assert (record["patient"]["family_name"], record["patient"]["mrn"]) == (FAMILY_NAME, MRN)
    (lesion,) = record["lesions"]
    (image,) = lesion["images"]
    assert image["predictions"][0]["model"].startswith("mobilenet_v2")
    assert image["review"]["prediction"] == image["predictions"][0]["id"]
    assert image["review"]["signed_by"] == actor.user.display_name
    assert image["review"]["addenda"][0]["text"]
    assert lesion["histopathology"][0]["diagnosis"] == "Compound naevus"
    assert {one["purpose"] for one in record["consents"]} == {"ai_analysis", "research"}
    stored = records.one(LesionImage)
    assert files[image["file"]] == records.stored(stored.storage_key).read_bytes()
    check_bundle(json.loads(files["fhir.json"]))
    assert b"schema_version" in files["README.txt"]


def test_readers_are_named_when_they_saw_the_patient_in_a_list_too(
    patient: Patient, actor: Actor, records: Records
) -> None:
    other = PatientFactory(clinic=actor.user.clinic)
    end_app_transaction()
    search_patients(search="", actor=actor)

    entries = json.loads(unzip(patient, actor)["audit.json"])

    assert [one["action"] for one in entries][:2] == ["patient_registered", "lesion_added"]
    (listed,) = [one for one in entries if one["action"] == "patients_listed"]
    assert listed["by"] == actor.user.username
    assert str(other.public_id) not in json.dumps(entries)


def test_export_is_audited_when_made(patient: Patient, actor: Actor, records: Records) -> None:
    unzip(patient, actor)

    entry = records.one(AuditEvent, AuditEvent.action == AuditAction.PATIENT_EXPORTED)
    assert entry.patient_public_id == patient.public_id
    assert (entry.details["lesions"], entry.details["images"]) == (1, 1)


def test_merged_record_is_in_it_when_the_merge_holds(actor: Actor, records: Records) -> None:
    merge = PatientMergeFactory(kept__clinic=actor.user.clinic, merged__family_name="Formerly")

    record = json.loads(unzip(merge.kept, actor)["record.json"])

    assert record["merges"][0]["merged_patient"]["family_name"] == "Formerly"
    assert record["merges"][0]["reason"] == "Registered twice"


def test_nothing_is_exported_when_the_patient_is_another_clinics(actor: Actor) -> None:
    with pytest.raises(NotFoundError):
        unzip(PatientFactory(), actor)


def test_export_is_refused_when_a_photograph_is_damaged(
    patient: Patient, actor: Actor, records: Records
) -> None:
    records.stored(records.one(LesionImage).storage_key).write_bytes(b"x")

    with pytest.raises(UnavailableError, match="damaged"):
        unzip(patient, actor)
