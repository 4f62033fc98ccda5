"""Patients from a CSV file: the same rules as for one who is registered by hand, in batches that can be resumed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Final

from sqlalchemy import select

from melanoma_app.errors import ClinicError, ConflictError, InvalidInputError, NotPermittedError
from melanoma_app.extensions import db
from melanoma_app.models import AuditChain, Patient
from melanoma_app.models.vocabulary import BirthDatePrecision, FitzpatrickSkinType, Gender
from melanoma_app.security.permissions import Permission
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import lock_chain
from melanoma_app.services.import_cells import parse_day, parse_word
from melanoma_app.services.import_errors import ErrorFile
from melanoma_app.services.import_memory import DryRunMemory
from melanoma_app.services.import_tables import Column, ImportTable, TableRow, batches
from melanoma_app.services.patients import PatientDetails, check_details, enter_patient

ROWS_A_COMMIT: Final = 200
"""What is lost at most when the import is killed; others wait no longer than one batch takes."""
_REQUIRED: Final = ("mrn", "family_name", "given_name", "birth_date", "gender")
_ANSWERS: Final = (
    "personal_history_of_melanoma",
    "family_history_of_melanoma",
    "consent_to_care",
    "consent_to_ai_analysis",
    "consent_to_research",
)
PATIENT_COLUMNS: Final = tuple(
    Column(name=field.name, is_required=field.name in _REQUIRED) for field in fields(PatientDetails)
)
Details = Mapping[str, str | None]
"""What is said of a patient, as text, by field."""


@dataclass(kw_only=True)
class PatientImportSummary:
    """How many rows came to what."""

    registered: int = 0
    already_there: int = 0
    refused: int = 0


def import_patients(
    *,
    table: ImportTable,
    errors: ErrorFile,
    actor: Actor,
    is_dry_run: bool = False,
    on_rows: Callable[[int], object] = lambda count: None,
) -> PatientImportSummary:
    """Register the patients of a table in the actor's clinic.

    A row that cannot be taken is written to the errors, and stops no other. A patient who is on record with the same
    details is left alone, one with other details is an error: an import changes nobody. An empty cell says nothing, so
    it differs from nothing. Each batch is kept as a whole with its audit entries, one a patient as ever; whoever
    imports the same table again goes on where it ended.

    Args:
        table: Opened with PATIENT_COLUMNS.
        errors: Where refused rows go.
        actor: Who imports.
        is_dry_run: Check everything, and write nothing but the errors.
        on_rows: Told how many rows were dealt with, batch by batch.

    Raises:
        NotPermittedError: The actor may not register patients.
    """
    if Permission.WRITE_PATIENTS not in actor.permissions:
        raise NotPermittedError("Only somebody who may register patients may import them.")
    summary = PatientImportSummary()
    with closing(DryRunMemory()) as memory:
        for rows in batches(table.rows(), ROWS_A_COMMIT):
            readable = [
                one for row in rows if (one := _read_or_refuse(row, table, errors, actor)) is not None
            ]
            chain = None if is_dry_run else lock_chain(actor.clinic_id)
            known = _find_known({values["mrn"] for _, values in readable}, actor)
            for row, values in readable:
                try:
                    is_new = (
                        _rehearse(row, values, known, memory)
                        if is_dry_run
                        else _take_in(row, values, known, actor, chain)
                    )
                except ClinicError as error:
                    errors.add(row, error)
                else:
                    summary.registered += is_new
                    summary.already_there += not is_new
            db.session.commit()
            errors.flush()
            on_rows(len(rows))
    summary.refused = errors.count
    return summary


def _read_or_refuse(
    row: TableRow, table: ImportTable, errors: ErrorFile, actor: Actor
) -> tuple[TableRow, dict[str, Any]] | None:
    try:
        table.check_width(row)
        return row, check_details(details=_read_details(row.values), actor=actor)
    except InvalidInputError as error:
        errors.add(row, error)
        return None


def _read_details(values: Mapping[str, str]) -> PatientDetails:
    """The details that a row gives; every cell that cannot be read is named."""
    problems: dict[str, list[str]] = {}
    read: dict[str, Any] = {}

    def attempt(name: str, parse: Callable[[str], Any]) -> None:
        text = values.get(name, "")
        if not text and name not in _REQUIRED:
            return
        try:
            read[name] = parse(text)
        except InvalidInputError as error:
            problems.update(error.fields)

    for name in ("mrn", "family_name", "given_name"):
        attempt(name, str)
    attempt("birth_date", partial(parse_day, field="birth_date"))
    for name, vocabulary in (
        ("gender", Gender),
        ("birth_date_precision", BirthDatePrecision),
        ("fitzpatrick_skin_type", FitzpatrickSkinType),
    ):
        attempt(name, partial(parse_word, vocabulary=vocabulary, field=name))
    for name in _ANSWERS:
        attempt(name, partial(_parse_answer, field=name))
    if problems:
        raise InvalidInputError("Some values need another look.", fields=problems)
    return PatientDetails(**read)


def _parse_answer(text: str, *, field: str) -> bool:
    answers = {"true": True, "false": False}
    if text.lower() in answers:
        return answers[text.lower()]
    message = "Write true or false, or leave the cell empty where nobody has asked."
    raise InvalidInputError(message, fields={field: [message]})


def _take_in(
    row: TableRow,
    values: dict[str, Any],
    known: dict[str, Details],
    actor: Actor,
    chain: AuditChain | None,
) -> bool:
    """Register a patient who is not on record yet; whether that was so."""
    mrn = values["mrn"]
    if mrn not in known:
        try:
            enter_patient(values=values, actor=actor, chain=chain)
        except ConflictError:
            # Somebody else has registered the same MRN since we looked.
            known |= _find_known([mrn], actor)
        else:
            known[mrn] = _plain(values)
            return True
    _refuse_difference(row, values, known[mrn])
    return False


def _rehearse(row: TableRow, values: dict[str, Any], known: dict[str, Details], memory: DryRunMemory) -> bool:
    """Whether a patient would be registered."""
    mrn = values["mrn"]
    found = known.get(mrn) or memory.recall(mrn)
    if found is None:
        memory.keep(_plain(values), mrn)
        return True
    _refuse_difference(row, values, found)
    return False


def _refuse_difference(row: TableRow, values: Mapping[str, Any], found: Details) -> None:
    said = _plain(values)
    differing = [name for name, text in row.values.items() if text and said[name] != found[name]]
    if differing:
        message = (
            f"A patient with this MRN is on record, or stands further up in the file, with another "
            f"{' and another '.join(differing)}. The record was left as it is: correct the file, or edit the patient."
        )
        raise ConflictError(message, fields={name: [] for name in differing} | {differing[0]: [message]})


def _find_known(mrns: Collection[str], actor: Actor) -> dict[str, Details]:
    """The details of the clinic's patients with these MRNs, merged ones included."""
    found = db.session.scalars(
        select(Patient).where(Patient.clinic_id == actor.clinic_id, Patient.mrn.in_(mrns))
    )
    return {patient.mrn: _plain({name: getattr(patient, name) for name in _FIELDS}) for patient in found}


def _plain(values: Mapping[str, Any]) -> Details:
    return {name: None if values[name] is None else str(values[name]) for name in _FIELDS}


_FIELDS: Final[Sequence[str]] = tuple(field.name for field in fields(PatientDetails))
