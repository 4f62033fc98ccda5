"""The tests behind the counts, as a list."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from melanoma_app.extensions import db
from melanoma_app.models import CountedTest, Lesion, LesionImage, Prediction
from melanoma_app.services.actor import Actor
from melanoma_app.services.count_queries import selecting_tests
from melanoma_app.services.paging import PAGE_SIZE, Page, cut_page, newest_rows
from melanoma_app.services.patient_search import record_patients_shown
from melanoma_app.services.statistics import find_model_ids
from melanoma_app.services.statistics_filter import StatisticsFilter


def list_tests(
    *, chosen: StatisticsFilter, actor: Actor, cursor: str | None = None, size: int = PAGE_SIZE
) -> Page[Prediction]:
    """The tests behind the counts, latest photograph first, with image, lesion and patient; audited.

    For lesions and patients it lists the tests that stand for them.

    Raises:
        InvalidInputError: The cursor is not one of ours, or no such model has answered here.
    """
    page = find_tests(
        chosen=chosen, model_ids=find_model_ids(chosen=chosen), actor=actor, cursor=cursor, size=size
    )
    record_patients_shown(patients=[test.lesion_image.lesion.patient for test in page.items], actor=actor)
    db.session.commit()
    return page


def find_tests(
    *,
    chosen: StatisticsFilter,
    model_ids: Collection[int] | None,
    actor: Actor,
    cursor: str | None = None,
    size: int = PAGE_SIZE,
) -> Page[Prediction]:
    """As `list_tests`; the caller has found the rows of the model, audits whom it shows, and commits.

    Raises:
        InvalidInputError: The cursor is not one of ours.
    """
    page_of_tests = newest_rows(
        select(CountedTest).options(
            joinedload(CountedTest.prediction, innerjoin=True).options(
                joinedload(Prediction.model_version, innerjoin=True),
                joinedload(Prediction.lesion_image, innerjoin=True)
                .joinedload(LesionImage.lesion, innerjoin=True)
                .joinedload(Lesion.patient, innerjoin=True),
            )
        ),
        wanted=select(CountedTest).where(
            *selecting_tests(chosen=chosen, model_ids=model_ids, clinic_id=actor.clinic_id)
        ),
        time=CountedTest.captured_at,
        key=CountedTest.lesion_image_id,
        cursor=cursor,
        size=size,
    )
    rows: Sequence[CountedTest] = db.session.scalars(page_of_tests).all()
    return cut_page(rows, size=size, position=lambda test: (test.captured_at, test.lesion_image_id)).map(
        lambda test: test.prediction
    )
