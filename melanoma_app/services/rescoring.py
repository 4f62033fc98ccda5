"""Re-scoring: every photograph that a model may look at gets an answer of the model that is active now."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, exists, func, insert, literal, select
from sqlalchemy.orm import contains_eager

from melanoma_app.errors import (
    ConflictError,
    FileMissingError,
    JobPausedError,
    JobStoppedError,
    NotPermittedError,
    UnavailableError,
)
from melanoma_app.extensions import classifier, db, image_storage
from melanoma_app.models import Job, JobItem, Lesion, LesionImage, ModelVersion, Patient, Prediction
from melanoma_app.models.vocabulary import AuditAction, JobItemState, JobKind
from melanoma_app.security.permissions import Permission
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import lock_chain, record_event
from melanoma_app.services.counting import recount_patients
from melanoma_app.services.image_files import DAMAGED, decode_stored_image, read_image_file
from melanoma_app.services.job_items import close_items, fail_items, find_open_items, lock_job
from melanoma_app.services.jobs import UNFINISHED, audit_new_job, enter_job
from melanoma_app.services.model_activation import find_active_pin, load_active_model
from melanoma_app.services.model_answers import ModelAnswer, ask_model, make_prediction, may_model_look
from melanoma_app.services.model_versions import ensure_model_version
from ml.inference import Classifier, ModelIntegrityError

NO_CONSENT: Final = "Not scored: the patient no longer agrees to analysis by a model."
SCORED_ALREADY: Final = "This model has scored it meanwhile."
SWITCHED: Final = (
    "Another model is active by now, so nothing more was scored with this one. "
    "Re-score with the model that is active, if you still want to."
)


@dataclass(frozen=True, kw_only=True)
class _Scored:
    """What came of looking at one photograph: an answer, or a problem in words.

    `is_outage` says that the store may be to blame, and not the photograph.
    """

    answer: ModelAnswer | None = None
    latency_s: float = 0.0
    problem: str = ""
    is_outage: bool = False


def count_unscored(*, actor: Actor) -> int:
    """How many photographs of the clinic the active model may look at and has not; 0 where it cannot be used."""
    try:
        manifest = classifier.shelf.choose(find_active_pin()).manifest
    except ModelIntegrityError:
        return 0
    if manifest is None:
        return 0
    version_id = db.session.scalar(
        select(ModelVersion.id).where(
            ModelVersion.name == manifest.name,
            ModelVersion.version == manifest.version,
            ModelVersion.sha256 == manifest.sha256,
        )
    )
    images = _unscored(version_id, actor.clinic_id)
    return db.session.scalar(select(func.count()).select_from(images.subquery())) or 0


def start_rescoring(*, actor: Actor, model: str | None = None) -> Job:
    """Begin to score every photograph of the clinic with the active model that it has not scored yet.

    Consent is asked for now and again for each photograph. Earlier answers stay; the new one counts from then on.
    A model that is switched meanwhile ends the job. Job, items and audit entry are kept together or not at all.

    Args:
        actor: Who asks for it.
        model: Name-version of the model that the actor saw as the active one; None if they did not look.

    Raises:
        NotPermittedError: The actor is no administrator.
        ConflictError: Another model is active, a re-scoring is under way, or there is nothing to score.
        UnavailableError: The model cannot be used.
    """
    if Permission.MANAGE_MODELS not in actor.permissions:
        raise NotPermittedError("Only an administrator may re-score photographs.")
    pin = find_active_pin()
    db.session.commit()
    try:
        manifest = classifier.shelf.check(pin)
    except ModelIntegrityError as error:
        raise UnavailableError(
            "The active model cannot be used at present, so nothing was begun. Tell your engineer."
        ) from error
    if model is not None and model != manifest.identifier:
        raise ConflictError(
            f"The active model is {manifest.identifier} by now, not {model}, so nothing was begun. Look at it first."
        )
    version = ensure_model_version(manifest=manifest)
    lock_chain(actor.clinic_id)
    _check_none_under_way(actor)
    job = enter_job(kind=JobKind.RESCORE, actor=actor, model_version=version)
    found = _unscored(version.id, actor.clinic_id).subquery()
    rows = select(
        literal(job.id), found.c.id, literal(JobItemState.WAITING.value), literal(0), literal("")
    ).order_by(found.c.id)
    columns = ["job_id", "subject_id", "state", "attempts", "note"]
    db.session.execute(insert(JobItem).from_select(columns, rows, include_defaults=False))
    job.total = (
        db.session.scalar(select(func.count()).select_from(JobItem).where(JobItem.job_id == job.id)) or 0
    )
    if not job.total:
        db.session.rollback()
        raise ConflictError(
            f"{manifest.identifier} has scored every photograph that it may look at, so nothing was begun."
        )
    audit_new_job(job, actor)
    return job


class Rescoring:
    """The work of one job in one process: it holds the model, and follows it when its files are replaced.

    Args:
        job: Which.
        actor: In whose name the answers are kept.
    """

    def __init__(self, job: Job, actor: Actor) -> None:
        self._job_id, self._clinic_id, self._actor = job.id, job.clinic_id, actor
        self._version_id = job.model_version_id
        self._model: Classifier | None = None
        self._version: ModelVersion | None = None

    def do(self, items: Mapping[int, int]) -> None:
        """Score the photographs of some items, and close each in the transaction that keeps its answer.

        Raises:
            JobStoppedError: Another model is active by now.
            JobPausedError: The model or the image store does not work at present.
        """
        images = self._read(items.values())
        wanted = {
            item_id: image
            for item_id, subject in items.items()
            if (image := images.get(subject)) is not None and may_model_look(image.lesion.patient)
        }
        model = self._load() if wanted else None
        db.session.commit()
        scored: dict[int, _Scored] = {}
        if model is not None:
            store = image_storage.store
            with ThreadPoolExecutor(max_workers=min(len(wanted), len(os.sched_getaffinity(0)))) as workers:
                waiting = {
                    item_id: workers.submit(_score, model, image.storage_key, image.sha256, store)
                    for item_id, image in wanted.items()
                }
                scored = {item_id: one.result() for item_id, one in waiting.items()}
        if len(scored) > 1 and all(one.is_outage for one in scored.values()):
            # They are left as if nobody had begun.
            raise JobPausedError(next(iter(scored.values())).problem)
        self._keep(items, scored)

    def _read(self, subjects: Any) -> dict[int, LesionImage]:
        found = db.session.scalars(
            select(LesionImage)
            .join(LesionImage.lesion)
            .join(Lesion.patient)
            .where(LesionImage.id.in_(list(subjects)), Patient.clinic_id == self._clinic_id)
            .options(contains_eager(LesionImage.lesion).contains_eager(Lesion.patient))
            .execution_options(populate_existing=True)
        )
        return {image.id: image for image in found}

    def _load(self) -> Classifier:
        pin = find_active_pin()
        db.session.commit()
        try:
            manifest = classifier.shelf.choose(pin).manifest
            if self._model is None or manifest != self._model.manifest:
                self._model = load_active_model(pin=pin, is_for_many=True)
        except (ModelIntegrityError, UnavailableError) as error:
            raise JobPausedError("The model cannot be used at present. Tell your engineer.") from error
        self._version = ensure_model_version(manifest=self._model.manifest)
        if self._version.id != self._version_id:
            raise JobStoppedError(SWITCHED)
        return self._model

    def _keep(self, items: Mapping[int, int], scored: Mapping[int, _Scored]) -> None:
        """Answers, audit entries, counts and the items' states in one transaction.

        Everything is read again under the chain's lock: the patient may have been erased or have taken the consent
        back, and another worker, or a person, may have had the photograph scored.
        """
        chain = lock_chain(self._clinic_id)
        job = lock_job(self._job_id)
        still_open = find_open_items(job=job, item_ids=items)
        images = self._read(still_open.values())
        known = set(
            db.session.scalars(
                select(Prediction.lesion_image_id).where(
                    Prediction.lesion_image_id.in_(images), Prediction.model_version_id == self._version_id
                )
            )
        )
        done: dict[int, str] = {}
        failed: dict[int, str] = {}
        patient_ids = set()
        for item_id, subject in still_open.items():
            image, one = images.get(subject), scored.get(item_id)
            if image is None or not may_model_look(image.lesion.patient):
                done[item_id] = NO_CONSENT
            elif subject in known:
                done[item_id] = SCORED_ALREADY
            elif one is None:
                failed[item_id] = "The consent was given while the job was at work."
            elif one.answer is None:
                failed[item_id] = one.problem
            else:
                self._enter(image, one, one.answer, chain)
                patient_ids.add(image.lesion.patient_id)
                done[item_id] = ""
        close_items(job=job, done=done)
        fail_items(job=job, failed=failed)
        if patient_ids:
            recount_patients(patient_ids=patient_ids, clinic_id=self._clinic_id)
        db.session.commit()

    def _enter(self, image: LesionImage, scored: _Scored, answer: ModelAnswer, chain: Any) -> None:
        prediction = make_prediction(
            answer=answer,
            image_sha256=image.sha256,
            latency_s=scored.latency_s,
            actor=self._actor,
            model_version=self._version,
        )
        prediction.lesion_image = image
        if image.quality is None:
            image.quality = answer.quality
        db.session.add(prediction)
        record_event(
            action=AuditAction.IMAGE_SCORED,
            actor=self._actor,
            subject_public_id=image.public_id,
            patient=image.lesion.patient,
            details={"prediction": str(prediction.public_id)},
            chain=chain,
        )


def _score(model: Classifier, key: str, sha256: str, store: Any) -> _Scored:
    """Read, decode and score one file, in a thread and without a database."""
    started = time.perf_counter()
    try:
        content = read_image_file(key=key, sha256=sha256, store=store)
    except UnavailableError as error:
        is_own_fault = isinstance(error, FileMissingError) or error.message == DAMAGED
        return _Scored(problem=error.message, is_outage=not is_own_fault)
    try:
        answer = ask_model(model=model, image=decode_stored_image(content))
    except UnavailableError as error:
        return _Scored(problem=error.message)
    return _Scored(answer=answer, latency_s=time.perf_counter() - started)


def _unscored(version_id: int | None, clinic_id: int) -> Select[int]:
    """The photographs a model may look at that this one has not scored; None is a model that has scored nothing."""
    query = (
        select(LesionImage.id)
        .join(Lesion, Lesion.id == LesionImage.lesion_id)
        .join(Patient, Patient.id == Lesion.patient_id)
        .where(Patient.clinic_id == clinic_id, _model_may_look())
    )
    if version_id is None:
        return query
    scored = exists().where(
        Prediction.lesion_image_id == LesionImage.id, Prediction.model_version_id == version_id
    )
    return query.where(~scored)


def _model_may_look() -> ColumnElement[bool]:
    """`may_model_look` as a condition."""
    return Patient.consent_to_ai_analysis.is_(True) & Patient.consent_to_care.is_distinct_from(False)


def _check_none_under_way(actor: Actor) -> None:
    under_way = select(Job.id).where(
        Job.clinic_id == actor.clinic_id, Job.kind == JobKind.RESCORE, Job.state.in_(UNFINISHED)
    )
    if db.session.scalar(under_way.limit(1)) is not None:
        db.session.commit()
        raise ConflictError(
            "The photographs are being re-scored already, so nothing was begun. Wait for that job, or cancel it first."
        )
