from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from melanoma_app.errors import InvalidInputError
from melanoma_app.models import Patient
from melanoma_app.models.vocabulary import Gender
from melanoma_app.services.actor import Actor
from melanoma_app.services.counted_tests import list_tests
from melanoma_app.services.paging import Page
from melanoma_app.services.patient_search import search_patients
from melanoma_app.services.statistics_filter import StatisticsFilter
from tests.factories import (
    ClinicFactory,
    LesionFactory,
    LesionImageFactory,
    PatientFactory,
    PredictionFactory,
    UserFactory,
    actor_of,
    session,
)
from tests.records import Records, end_app_transaction

START = datetime(2026, 3, 1, tzinfo=UTC)


def walk(open_page: Callable[[str | None], Page]) -> list[list[object]]:
    """Every page of a list, to the end."""
    pages, cursor = [], None
    while True:
        page = open_page(cursor)
        pages.append(list(page.items))
        cursor = page.next_cursor
        if cursor is None:
            return pages
        assert len(pages) < 100, "the list has no end"


def add_patients(actor: Actor, microseconds: list[int]) -> list[Patient]:
    """Patients of the actor's clinic, each registered so long after the start."""
    end_app_transaction()
    patients = [
        Patient(
            clinic_id=actor.clinic_id,
            mrn=f"M-{number}",
            family_name="F",
            given_name="G",
            search_name="f g",
            birth_date=date(1980, 1, 1),
            gender=Gender.OTHER,
            created_at=START + timedelta(microseconds=after),
        )
        for number, after in enumerate(microseconds)
    ]
    session.add_all(patients)
    session.commit()
    return patients


@pytest.mark.usefixtures("context")
@settings(max_examples=40)
@given(
    # Few distinct times, so that many rows share one; some differ by a microsecond alone.
    microseconds=st.lists(st.sampled_from([0, 1, 2, 1_000_000, 86_400_000_000]), max_size=23),
    size=st.integers(1, 7),
)
def test_walk_gives_every_row_once_newest_first_when_times_tie(
    records: Records, microseconds: list[int], size: int
) -> None:
    actor = actor_of(UserFactory())
    patients = add_patients(actor, microseconds)

    pages = walk(lambda cursor: search_patients(search="", actor=actor, cursor=cursor, size=size))

    newest_first = sorted(patients, key=lambda one: (one.created_at, one.id), reverse=True)
    assert [one.id for page in pages for one in page] == [one.id for one in newest_first]
    assert all(len(page) == size for page in pages[:-1])


@pytest.mark.usefixtures("context")
def test_no_row_is_lost_or_repeated_when_others_are_added_meanwhile(records: Records) -> None:
    actor = actor_of(UserFactory())
    before = {patient.id for patient in add_patients(actor, [0, 0, 1, 2, 3])}
    first = search_patients(search="", actor=actor, size=2)
    PatientFactory(clinic=actor.user.clinic, created_at=START + timedelta(days=1))

    second = search_patients(search="", actor=actor, cursor=first.next_cursor, size=10)

    seen = [patient.id for patient in (*first.items, *second.items)]
    assert sorted(seen) == sorted(before)


@pytest.mark.usefixtures("context")
def test_tests_page_by_the_photographs_time_when_several_share_one(
    records: Records, recount: Callable[[], None]
) -> None:
    actor = actor_of(UserFactory(clinic=ClinicFactory()))
    lesion = LesionFactory(patient__clinic=actor.user.clinic)
    moments = [START, START, START + timedelta(microseconds=1), START, START - timedelta(days=1)]
    images = [LesionImageFactory(lesion=lesion, captured_at=moment) for moment in moments]
    for image in reversed(images):
        PredictionFactory(lesion_image=image)
    recount()

    pages = walk(lambda cursor: list_tests(chosen=StatisticsFilter(), actor=actor, cursor=cursor, size=2))

    shown = [test.lesion_image.id for page in pages for test in page]
    assert shown == [images[number].id for number in (2, 3, 1, 0, 4)]


@pytest.mark.usefixtures("context")
@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "é",
        "AAAA",
        "MjAyNi0wMy0wMVQwMDowMDowMHww",  # no zone
        "MjAyNi0wMy0wMVQwMDowMDowMCswMDowMHwtMQ",  # number -1
        "MjAyNi0wMy0wMVQwMDowMDowMCswMDowMHw5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OQ",  # beyond 64 bits
        "MDAwMS0wMS0wMVQwMDowMDowMCsxNDowMHwx",  # the year 1 in a zone ahead of UTC
        "=" * 50,
    ],
)
def test_cursor_is_refused_in_words_when_it_is_not_ours(actor: Actor, cursor: str) -> None:
    with pytest.raises(InvalidInputError, match="cursor"):
        search_patients(search="", actor=actor, cursor=cursor)


@pytest.mark.usefixtures("context")
@settings(max_examples=50)
@given(cursor=st.one_of(st.text(max_size=60), st.binary(max_size=40).map(lambda raw: raw.hex())))
def test_cursor_is_read_or_refused_when_it_is_any_text(actor: Actor, cursor: str) -> None:
    try:
        page = search_patients(search="", actor=actor, cursor=cursor)
    except InvalidInputError:
        return
    assert page.items == []
