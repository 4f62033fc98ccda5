"""Jobs and their items; what an item stands for need not be there."""

from __future__ import annotations

import uuid

import factory

from melanoma_app.models import Job, JobItem, StagedPhotograph
from melanoma_app.models.vocabulary import JobItemState, JobKind, JobState
from tests.factories.base import RecordFactory


class JobFactory(RecordFactory[Job]):
    """A re-scoring that nobody has begun; `clinic_id` and `made_by_id` say whose."""

    class Meta:
        model = Job

    public_id = factory.LazyFunction(uuid.uuid4)
    kind = JobKind.RESCORE
    state = JobState.WAITING
    total = 1
    done = 0
    failed = 0
    details = factory.LazyFunction(dict)
    note = ""


class UploadFactory(JobFactory):
    """A bulk upload that waits for photographs."""

    kind = JobKind.BULK_UPLOAD
    state = JobState.COLLECTING
    details = factory.LazyFunction(lambda: {"default_day": None})


class JobItemFactory(RecordFactory[JobItem]):
    """An item that nobody has begun."""

    class Meta:
        model = JobItem

    subject_id = factory.Sequence(lambda number: number + 1)
    state = JobItemState.WAITING
    attempts = 0
    note = ""


class StagedPhotographFactory(RecordFactory[StagedPhotograph]):
    """A row of a manifest whose photograph has not come; `job_id`, `job_item_id`, `patient_id` say whose."""

    class Meta:
        model = StagedPhotograph

    name_digest = "0" * 64
    cells = factory.LazyFunction(lambda: {"anatom_site_general": "head/neck"})
