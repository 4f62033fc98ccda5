"""Photographs that a manifest lists: each as if it were sent by hand, many at a time, and resumable."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from typing import Final

from flask import current_app
from sqlalchemy import select

from melanoma_app.errors import ClinicError, NotPermittedError
from melanoma_app.extensions import db, image_storage
from melanoma_app.models import AuditChain, LesionImage
from melanoma_app.security.permissions import Permission
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import lock_chain
from melanoma_app.services.counting import recount_patients
from melanoma_app.services.image_files import discard_files
from melanoma_app.services.image_import_files import PhotographIntake, PhotographSource, ScoredFile
from melanoma_app.services.image_import_model import ImportModel
from melanoma_app.services.image_import_record import BatchRecord, describe, read_record
from melanoma_app.services.image_manifest import ListedPhotograph, read_listed
from melanoma_app.services.import_errors import RefusedRows
from melanoma_app.services.import_memory import DryRunMemory
from melanoma_app.services.import_tables import ImportTable, TableRow, batches
from melanoma_app.services.lesion_images import ImageRecord
from melanoma_app.services.lesions import enter_lesion
from melanoma_app.services.model_answers import may_model_look
from melanoma_app.services.photographs import Photograph, check_captured_at, enter_photograph

ROWS_A_COMMIT: Final = 64
"""What is done again at most after the import was killed."""
OVERRIDE_REASON: Final = "Imported"
"""Why a photograph that the quality gate stops is taken in: it cannot be taken again."""
Scoring = Future[ScoredFile | ClinicError]


@dataclass(kw_only=True)
class ImageImportSummary:
    """How many rows came to what.

    Args:
        added: Photographs taken in, or in a dry run: that would be.
        already_there: On record for that lesion before.
        refused: Written to the errors.
        unscored: Of those added: no model looked, for the patient has not agreed.
        overridden: Of those added: the quality gate found something.
    """

    added: int = 0
    already_there: int = 0
    refused: int = 0
    unscored: int = 0
    overridden: int = 0


def import_images(
    *,
    table: ImportTable,
    photographs: PhotographSource,
    errors: RefusedRows,
    actor: Actor,
    default_day: date | None = None,
    is_dry_run: bool = False,
    on_rows: Callable[[int], object] = lambda count: None,
    model: ImportModel | None = None,
) -> ImageImportSummary:
    """Take in the photographs that a manifest lists.

    Each goes through the guard, the decoder, the model and the store as one that is sent by hand
    (`record_examination`), under the same rules of consent. What the quality gate stops is taken in all the same, with
    the findings and the reason "Imported". Photographs of one `lesion_id` of a patient go to one lesion; without a
    `lesion_id` each gets one of its own.

    A row that cannot be taken is written to the errors, and stops no other. A photograph that is on record for that
    lesion is left alone, so whoever imports the same manifest again goes on where it ended. Rows and audit entries of
    a batch are kept together or not at all; the files of one that is not kept are removed.

    Args:
        table: Opened with MANIFEST_COLUMNS.
        photographs: Where the photographs come from.
        errors: Where refused rows go.
        actor: Who imports.
        default_day: When photographs were taken whose row does not say.
        is_dry_run: Check everything, files included, and write nothing but the errors.
        on_rows: Told how many rows were dealt with, batch by batch.
        model: Where the model stays from one call to the next, for who calls many times.

    Raises:
        NotPermittedError: The actor may not add lesions and photographs.
        UnavailableError: The model or the image store does not work; what was kept before stays.
    """
    if not {Permission.WRITE_PATIENTS, Permission.ADD_IMAGES} <= actor.permissions:
        raise NotPermittedError("Only somebody who may add lesions and photographs may import them.")
    with closing(DryRunMemory()) as memory:
        run = _Import(
            table=table,
            intake=PhotographIntake(
                source=photographs,
                max_upload_mb=current_app.config["MAX_UPLOAD_MB"],
                max_image_megapixels=current_app.config["MAX_IMAGE_MEGAPIXELS"],
            ),
            errors=errors,
            actor=actor,
            default_day=default_day,
            memory=memory if is_dry_run else None,
            model=model or ImportModel(),
        )
        run.go(on_rows)
    run.summary.refused = errors.count
    return run.summary


@dataclass(frozen=True, kw_only=True)
class _Waiting:
    """A photograph at work: what is listed, its file's digest, and what comes of it."""

    listed: ListedPhotograph
    digest: str
    scoring: Scoring


class _Import:
    """One run. While a batch is at work in threads, the one before it is written to the database."""

    def __init__(
        self,
        *,
        table: ImportTable,
        intake: PhotographIntake,
        errors: RefusedRows,
        actor: Actor,
        default_day: date | None,
        memory: DryRunMemory | None,
        model: ImportModel,
    ) -> None:
        self._table, self._intake, self._errors = table, intake, errors
        self._actor, self._default_day, self._memory = actor, default_day, memory
        self._store = None if memory else image_storage.store
        self._unkept: set[Scoring] = set()
        self._model = model
        self.summary = ImageImportSummary()

    def go(self, on_rows: Callable[[int], object]) -> None:
        # One more than there are cores: somebody is always waiting for the medium.
        workers = ThreadPoolExecutor(max_workers=len(os.sched_getaffinity(0)) + 1)
        try:
            before: tuple[int, list[_Waiting]] = 0, []
            for rows in batches(self._table.rows(), ROWS_A_COMMIT):
                at_work = len(rows), self._start(rows, workers)
                self._finish(before[1])
                on_rows(before[0])
                before = at_work
            self._finish(before[1])
            on_rows(before[0])
        finally:
            workers.shutdown(cancel_futures=True)
            db.session.rollback()
            self._discard(self._unkept)

    def _start(self, rows: Sequence[TableRow], workers: ThreadPoolExecutor) -> list[_Waiting]:
        """Look which rows need work, and begin it."""
        listed = [one for row in rows if (one := self._read(row)) is not None]
        digesting = [workers.submit(self._intake.source.digest, one.file_name) for one in listed]
        batch = []
        for one, future in zip(listed, digesting, strict=True):
            try:
                batch.append((one, future.result()))
            except ClinicError as error:
                self._errors.add(one.row, error)
        record = read_record(batch=batch, actor=self._actor, memory=self._memory)
        wanted = [(one, digest) for one, digest in batch if self._is_wanted(one, digest, record)]
        may_look = {one.mrn: may_model_look(record.patients[one.mrn]) for one, _ in wanted}
        model = self._model.load() if any(may_look.values()) and not self._memory else None
        db.session.commit()
        waiting = []
        for one, digest in wanted:
            scoring = workers.submit(
                self._intake.take_in_or_refuse,
                one.file_name,
                digest=digest,
                model=model if may_look[one.mrn] else None,
                store=self._store,
            )
            self._unkept.add(scoring)
            waiting.append(_Waiting(listed=one, digest=digest, scoring=scoring))
        return waiting

    def _read(self, row: TableRow) -> ListedPhotograph | None:
        try:
            self._table.check_width(row)
            return read_listed(row, default_day=self._default_day, actor=self._actor)
        except ClinicError as error:
            self._errors.add(row, error)
            return None

    def _is_wanted(self, listed: ListedPhotograph, digest: str, record: BatchRecord) -> bool:
        """Whether a photograph is to be taken in, as far as the record says now."""
        try:
            if record.is_there(listed, digest):
                self.summary.already_there += 1
                return False
            record.check(listed)
        except ClinicError as error:
            self._errors.add(listed.row, error)
            return False
        return True

    def _finish(self, waiting: Sequence[_Waiting]) -> None:
        """Write a batch into the record, in one transaction.

        The record is looked at once more, under lock: the batch before, or somebody else, may have changed it.
        """
        done = []
        for one in waiting:
            scored = one.scoring.result()
            if isinstance(scored, ClinicError):
                self._errors.add(one.listed.row, scored)
            else:
                done.append((one, scored))
        batch = [(one.listed, one.digest) for one, _ in done]
        chain = lock_chain(self._actor.clinic_id) if self._memory is None else None
        record = read_record(
            batch=batch, actor=self._actor, memory=self._memory, is_locking=self._memory is None
        )
        kept: dict[Scoring, ImageRecord | None] = {}
        for one, scored in done:
            if self._is_wanted(one.listed, one.digest, record):
                if chain is None:  # a dry run
                    kept[one.scoring] = None
                    record.note(one.listed, one.digest, None)
                    self.summary.unscored += not may_model_look(record.find_patient(one.listed))
                else:
                    kept[one.scoring] = self._enter(one, scored, record, chain)
        entries = [entry for entry in kept.values() if entry is not None]
        if entries:
            patient_ids = {entry.image.lesion.patient.id for entry in entries}
            recount_patients(patient_ids=patient_ids, clinic_id=self._actor.clinic_id)
        db.session.commit()
        self._unkept.difference_update(kept)
        self._discard(one.scoring for one in waiting if one.scoring not in kept)
        self.summary.added += len(kept)
        self.summary.unscored += sum(entry.prediction is None for entry in entries)
        self.summary.overridden += sum(entry.image.quality_override_reason is not None for entry in entries)
        self._errors.flush()

    def _enter(
        self, one: _Waiting, scored: ScoredFile, record: BatchRecord, chain: AuditChain
    ) -> ImageRecord:
        """Put a photograph on record, in the batch's transaction."""
        listed, actor = one.listed, self._actor
        patient = record.find_patient(listed)
        known = record.find_lesion(listed)
        lesion = (known and known.row) or enter_lesion(
            patient=patient,
            number=record.next_number(patient),
            chain=chain,
            values={"anatom_site_general": listed.site, "description": describe(listed)},
            actor=actor,
        )
        assert scored.files is not None  # noqa: S101 (only a dry run stores none)
        entry = enter_photograph(
            lesion=lesion,
            photograph=Photograph(
                upload_sha256=one.digest,
                image_type=listed.image_type,
                captured_at=check_captured_at(listed.captured_at, patient=patient, actor=actor),
                clin_size_long_diam_mm=listed.size_mm,
                quality_override_reason=OVERRIDE_REASON,
            ),
            size_px=scored.size_px,
            files=scored.files,
            answer=scored.answer,
            prediction=self._model.make_prediction(scored, image_sha256=one.digest, actor=actor),
            actor=actor,
            chain=chain,
        )
        record.note(listed, one.digest, lesion)
        return entry

    def _discard(self, futures: Iterable[Scoring]) -> None:
        """Remove the files of photographs that were not kept; never those that a row is found for."""
        futures = list(futures)
        self._unkept.difference_update(futures)
        scored = [one.result() for one in futures if not one.cancelled() and one.exception() is None]
        files = [one.files for one in scored if isinstance(one, ScoredFile) and one.files is not None]
        if not files or self._store is None:
            return
        on_record = set(
            db.session.scalars(
                select(LesionImage.storage_key).where(
                    LesionImage.storage_key.in_([one.storage_key for one in files])
                )
            )
        )
        db.session.commit()
        for one in files:
            if one.storage_key not in on_record:
                discard_files(keys=[one.storage_key, one.thumbnail_key], store=self._store)
