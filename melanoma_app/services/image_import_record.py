"""What the record says of the photographs that a batch of an import lists: whose, which lesion, whether there."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import joinedload

from melanoma_app.errors import ConflictError, InvalidInputError, NotFoundError
from melanoma_app.extensions import db
from melanoma_app.models import Lesion, LesionImage, Patient, PatientMerge
from melanoma_app.models.vocabulary import AnatomSiteGeneral
from melanoma_app.services.actor import Actor
from melanoma_app.services.image_manifest import ListedPhotograph
from melanoma_app.services.import_memory import DryRunMemory
from melanoma_app.services.photographs import check_captured_at, check_care

IMPORTED: Final = "Imported lesion"
"""The description of an imported lesion, followed by the source's name for it: by that it is found again."""


@dataclass(frozen=True, kw_only=True)
class KnownLesion:
    """A lesion as far as an import needs to know it.

    Args:
        site: Where it is.
        row: The lesion; None for one that a dry run would have made.
    """

    site: AnatomSiteGeneral
    row: Lesion | None


@dataclass(kw_only=True)
class BatchRecord:
    """The part of the record that a batch is about, and what was added to it since.

    Args:
        actor: Who imports.
        memory: What earlier batches of a dry run would have added; None for a real run.
        patients: By MRN.
        merged: The keys of those that were merged into another record.
        lesions: By patient and description.
        holders: By patient and digest: the descriptions of the lesions that have a photograph of those bytes.
        last_numbers: By patient: the highest number of a lesion; read under lock alone.
    """

    actor: Actor
    memory: DryRunMemory | None
    patients: dict[str, Patient] = field(default_factory=dict)
    merged: set[int] = field(default_factory=set)
    lesions: dict[tuple[int, str], KnownLesion] = field(default_factory=dict)
    holders: dict[tuple[int, str], list[str]] = field(default_factory=dict)
    last_numbers: dict[int, int] = field(default_factory=dict)

    def find_patient(self, listed: ListedPhotograph) -> Patient:
        """Whose a photograph is.

        Raises:
            NotFoundError: The clinic has no patient of that MRN.
            ConflictError: The record was merged into another one.
        """
        patient = self.patients.get(listed.mrn)
        if patient is None:
            message = "No patient has this MRN. Import the patient first."
            raise NotFoundError(message, fields={"mrn": [message]})
        if patient.id in self.merged:
            message = (
                "This record was merged into another record of the same person. Give the MRN of that one."
            )
            raise ConflictError(message, fields={"mrn": [message]})
        return patient

    def is_there(self, listed: ListedPhotograph, digest: str) -> bool:
        """Whether the photograph is on record for the lesion that is meant.

        The same bytes may show two lesions, so they count for one only unless the source names another. A photograph
        whose lesion carries no name of the source's was taken in by hand: it is there.
        """
        patient = self.find_patient(listed)
        held_by = self.holders.get((patient.id, digest), [])
        if self.memory:
            held_by = [*held_by, *(self.memory.recall("photograph", patient.id, digest) or ())]
        named = f"{IMPORTED} "
        return any(
            not (listed.source_lesion and other.startswith(named) and other != describe(listed))
            for other in held_by
        )

    def check(self, listed: ListedPhotograph) -> None:
        """Hold a photograph that is not there yet to the rules that need the record.

        Raises:
            NotFoundError: There is no such patient.
            ConflictError: The patient was merged, or has refused care.
            InvalidInputError: The day cannot be right, or the lesion is on record at another site.
        """
        patient = self.find_patient(listed)
        check_care(patient)
        try:
            check_captured_at(listed.captured_at, patient=patient, actor=self.actor)
        except InvalidInputError as error:
            raise InvalidInputError(error.message, fields={"captured_on": [error.message]}) from error
        lesion = self.find_lesion(listed)
        if lesion is not None and lesion.site is not listed.site:
            message = (
                f"This lesion is on record at another site ({lesion.site}). Correct the file or the record."
            )
            raise ConflictError(message, fields={"anatom_site_general": [message]})

    def find_lesion(self, listed: ListedPhotograph) -> KnownLesion | None:
        """The lesion that a photograph goes to; None for one that is to be made."""
        if not listed.source_lesion:
            return None
        key = self.find_patient(listed).id, describe(listed)
        known = self.lesions.get(key)
        if known is None and self.memory and (site := self.memory.recall("lesion", *key)):
            known = KnownLesion(site=AnatomSiteGeneral(site), row=None)
        return known

    def note(self, listed: ListedPhotograph, digest: str, row: Lesion | None) -> None:
        """Remember that a photograph, and its lesion, are there from now on."""
        patient, description = self.find_patient(listed), describe(listed)
        self.lesions.setdefault((patient.id, description), KnownLesion(site=listed.site, row=row))
        self.holders.setdefault((patient.id, digest), []).append(description)
        if self.memory:
            held_by = self.memory.recall("photograph", patient.id, digest) or []
            self.memory.keep([*held_by, description], "photograph", patient.id, digest)
            self.memory.keep(listed.site.value, "lesion", patient.id, description)

    def next_number(self, patient: Patient) -> int:
        """The number of the patient's next lesion, which is made now."""
        self.last_numbers[patient.id] = self.last_numbers.get(patient.id, 0) + 1
        return self.last_numbers[patient.id]


def describe(listed: ListedPhotograph) -> str:
    """The description of the lesion that a photograph goes to."""
    return f"{IMPORTED} {listed.source_lesion}".strip()


def read_record(
    *,
    batch: Collection[tuple[ListedPhotograph, str]],
    actor: Actor,
    memory: DryRunMemory | None = None,
    is_locking: bool = False,
) -> BatchRecord:
    """Read what the record says of some photographs, in four queries, or five.

    Args:
        batch: The photographs with the digests of their files.
        actor: Who imports.
        memory: Of a dry run.
        is_locking: Lock the patients, in one order, until the transaction ends: their records are about to be added to.
    """
    record = BatchRecord(actor=actor, memory=memory)
    patients = (
        select(Patient)
        .where(Patient.clinic_id == actor.clinic_id, Patient.mrn.in_({listed.mrn for listed, _ in batch}))
        .order_by(Patient.id)
        .execution_options(populate_existing=True)
    )
    found = db.session.scalars(patients.with_for_update() if is_locking else patients).all()
    record.patients = {patient.mrn: patient for patient in found}
    ids = [patient.id for patient in found]
    record.merged = set(
        db.session.scalars(
            select(PatientMerge.merged_id).where(
                PatientMerge.merged_id.in_(ids), PatientMerge.reverted_at.is_(None)
            )
        )
    )
    lesions = (
        select(Lesion)
        .where(Lesion.patient_id.in_(ids), Lesion.description.in_({describe(one) for one, _ in batch}))
        .options(joinedload(Lesion.patient))
        .order_by(Lesion.id)
        .execution_options(populate_existing=True)
    )
    for lesion in db.session.scalars(lesions):
        known = KnownLesion(site=lesion.anatom_site_general, row=lesion)
        record.lesions.setdefault((lesion.patient_id, lesion.description), known)
    holders = (
        select(Lesion.patient_id, LesionImage.upload_sha256, Lesion.description)
        .join(LesionImage, LesionImage.lesion_id == Lesion.id)
        .where(Lesion.patient_id.in_(ids), LesionImage.upload_sha256.in_({digest for _, digest in batch}))
    )
    for patient_id, digest, description in db.session.execute(holders):
        record.holders.setdefault((patient_id, digest), []).append(description)
    if is_locking:
        numbers = (
            select(Lesion.patient_id, func.max(Lesion.number))
            .where(Lesion.patient_id.in_(ids))
            .group_by(Lesion.patient_id)
        )
        record.last_numbers = {row[0]: row[1] for row in db.session.execute(numbers)}
    return record
