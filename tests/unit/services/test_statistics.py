from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from melanoma_app.errors import InvalidInputError
from melanoma_app.models import (
    AuditChain,
    Clinic,
    Lesion,
    LesionImage,
    ModelVersion,
    Patient,
    Prediction,
    User,
)
from melanoma_app.models.vocabulary import AnatomSiteGeneral, Gender, ImageType, OutcomeLabel, Role
from melanoma_app.services.actor import Actor
from melanoma_app.services.statistics import (
    StatisticsFilter,
    count_by_age,
    count_by_gender,
    count_outcomes,
    list_tests,
)
from tests.factories import (
    LesionImageFactory,
    ModelVersionFactory,
    PredictionFactory,
    actor_of,
    session,
)
from tests.records import Records, end_app_transaction

MALIGNANT, BENIGN = OutcomeLabel.MALIGNANT, OutcomeLabel.BENIGN


@dataclass(frozen=True)
class Shot:
    """A photograph and what the model said of it, each time it was asked."""

    captured_at: datetime
    answers: tuple[OutcomeLabel, ...]


@dataclass(frozen=True)
class Person:
    birth_date: date
    gender: Gender
    shots: tuple[Shot, ...]


# Few days, so that filters end on the very day of a photograph, and birthdays fall on it or beside it.
EXAMINED = [
    datetime(2026, 2, 28, 23, 30, tzinfo=UTC),
    datetime(2026, 3, 1, 0, 0, tzinfo=UTC),
    datetime(2026, 3, 5, 12, 0, tzinfo=UTC),
    datetime(2025, 12, 31, 12, 0, tzinfo=UTC),
    datetime(2025, 12, 31, 3, 0, tzinfo=UTC),
]
BORN = [
    *(date(2000, 2, 29), date(1940, 2, 29), date(1936, 3, 1), date(1936, 2, 28), date(1996, 3, 5)),
    *(date(1996, 3, 6), date(1999, 12, 31), date(1985, 12, 31), date(1986, 1, 31), date(2016, 1, 31)),
]
births = st.one_of(st.sampled_from(BORN), st.dates(date(1900, 1, 1), date(2024, 6, 1)))
moments = st.one_of(
    st.sampled_from(EXAMINED),
    st.timedeltas(timedelta(0), timedelta(days=730)).map(
        lambda after: datetime(2024, 6, 1, tzinfo=UTC) + after
    ),
)
shots = st.builds(Shot, moments, st.lists(st.sampled_from(OutcomeLabel), min_size=1, max_size=3).map(tuple))
people = st.lists(
    st.builds(Person, births, st.sampled_from(Gender), st.lists(shots, max_size=3).map(tuple)), max_size=8
)
days = st.one_of(
    st.sampled_from(EXAMINED).map(lambda moment: moment.date()), st.dates(date(2024, 6, 1), date(2026, 6, 1))
)
ages = st.one_of(st.sampled_from([9, 10, 25, 26, 29, 30, 39, 40, 85, 86, 89, 90]), st.integers(0, 120))


@st.composite
def filters(draw: st.DrawFn) -> StatisticsFilter:
    """Any filter whose ranges end after they start."""
    first, last = sorted((draw(days), draw(days)))
    youngest, oldest = sorted((draw(ages), draw(ages)))
    given_values = {
        "date_from": first,
        "date_to": last,
        "gender": draw(st.sampled_from(Gender)),
        "age_min": youngest,
        "age_max": oldest,
        "outcome": draw(st.sampled_from(OutcomeLabel)),
    }
    chosen = draw(st.sets(st.sampled_from(sorted(given_values)), max_size=3))
    return StatisticsFilter(**{name: given_values[name] for name in chosen})  # type: ignore[arg-type]


def store(population: list[Person], *, zone: str) -> Actor:
    """Write a population into a clinic of its own."""
    end_app_transaction()
    clinic = Clinic(name=f"Clinic {datetime.now(UTC).isoformat()}", time_zone=zone)
    session.add(clinic)
    session.flush()
    user = User(
        clinic=clinic,
        username=f"u{clinic.id}",
        display_name="u",
        password_hash="x",
        role=Role.ANALYST,
    )
    model = ModelVersion(
        name="m",
        version=f"0.0.{clinic.id}",
        sha256="0" * 64,
        input_size_px=1,
        preprocessing_version="1",
        operating_point="o",
        threshold=0.5,
    )
    session.add_all([AuditChain(clinic_id=clinic.id), user, model])
    session.flush()
    for number, person in enumerate(population):
        patient = Patient(
            clinic=clinic,
            mrn=f"{number}",
            family_name="F",
            given_name="G",
            search_name="f g",
            birth_date=person.birth_date,
            gender=person.gender,
        )
        lesion = Lesion(patient=patient, number=1, anatom_site_general=AnatomSiteGeneral.HEAD_NECK)
        session.add(lesion)
        for shot_number, shot in enumerate(person.shots):
            image = LesionImage(
                lesion=lesion,
                storage_key=f"{clinic.id}-{number}-{shot_number}",
                sha256="0" * 64,
                upload_sha256="0" * 64,
                size_bytes=1,
                width_px=1,
                height_px=1,
                image_type=ImageType.DERMOSCOPIC,
                captured_at=shot.captured_at,
                captured_on=shot.captured_at.astimezone(ZoneInfo(zone)).date(),
                created_by_id=user.id,
            )
            for answer in shot.answers:
                session.add(
                    Prediction(
                        lesion_image=image,
                        model_version=model,
                        malignancy_probability=0.5,
                        label=answer,
                        threshold=0.5,
                        operating_point="o",
                        preprocessing_version="1",
                        image_sha256="0" * 64,
                        latency_s=0,
                        created_by_id=user.id,
                    )
                )
                session.flush()  # one after another: the last one counts
    session.commit()
    return actor_of(user)


def age_on(day: date, birth_date: date) -> int:
    """Completed years, by looking at whether this year's birthday is still to come."""
    try:
        birthday = birth_date.replace(year=day.year)
    except ValueError:
        birthday = date(day.year, 3, 1)
    return day.year - birth_date.year - (1 if birthday > day else 0)


def expected_tests(
    population: list[Person], chosen: StatisticsFilter, zone: str
) -> list[tuple[Gender, int, OutcomeLabel]]:
    """Gender, age and outcome of every test that the filters let through, in plain Python."""
    tests = []
    for person in population:
        for shot in person.shots:
            day = shot.captured_at.astimezone(ZoneInfo(zone)).date()
            age, outcome = age_on(day, person.birth_date), shot.answers[-1]
            if (
                (chosen.date_from is None or day >= chosen.date_from)
                and (chosen.date_to is None or day <= chosen.date_to)
                and chosen.gender in (None, person.gender)
                and (chosen.age_min is None or age >= chosen.age_min)
                and (chosen.age_max is None or age <= chosen.age_max)
                and chosen.outcome in (None, outcome)
            ):
                tests.append((person.gender, age, outcome))
    return tests


@pytest.mark.usefixtures("context")
@settings(max_examples=60)
@given(population=people, chosen=filters(), zone=st.sampled_from(["UTC", "Pacific/Auckland", "America/Lima"]))
def test_counts_equal_plain_python_when_records_and_filters_are_any(
    records: Records, population: list[Person], chosen: StatisticsFilter, zone: str
) -> None:
    actor = store(population, zone=zone)
    tests = expected_tests(population, chosen, zone)

    by_gender = Counter((gender.value, outcome) for gender, _, outcome in tests)
    for group in count_by_gender(chosen=chosen, actor=actor):
        assert (group.positive, group.negative) == (
            by_gender[group.group, MALIGNANT],
            by_gender[group.group, BENIGN],
        )

    bands = Counter(
        ("90+" if age >= 90 else f"{age // 10 * 10}-{age // 10 * 10 + 9}", outcome)
        for _, age, outcome in tests
    )
    for group in count_by_age(chosen=chosen, actor=actor):
        assert (group.positive, group.negative) == (bands[group.group, MALIGNANT], bands[group.group, BENIGN])

    everything = count_outcomes(chosen=chosen, actor=actor)
    assert everything.total == len(tests)
    assert everything.positive == sum(outcome is MALIGNANT for *_, outcome in tests)
    assert len(list_tests(chosen=chosen, actor=actor, size=100).items) == len(tests)


@pytest.mark.usefixtures("context")
@settings(max_examples=15)
@given(population=people, chosen=filters())
def test_list_holds_exactly_the_tests_of_a_group_when_its_filters_are_followed(
    records: Records, population: list[Person], chosen: StatisticsFilter
) -> None:
    actor = store(population, zone="UTC")
    groups = [*count_by_gender(chosen=chosen, actor=actor), *count_by_age(chosen=chosen, actor=actor)]

    for group in groups:
        if chosen.given.keys() & group.filters.keys() or ({"age_min", "age_max"} & chosen.given.keys()):
            continue  # what both speak of is the overview's to intersect
        narrowed = StatisticsFilter(**{**chosen.given, **group.filters})
        assert len(list_tests(chosen=narrowed, actor=actor, size=100).items) == group.total


@pytest.mark.usefixtures("context")
@pytest.mark.parametrize(
    ("values", "counted"),
    [
        ({"date_from": date(2026, 3, 5), "date_to": date(2026, 3, 5)}, 1),
        ({"date_from": date(2026, 3, 6)}, 0),
        ({"date_to": date(2026, 3, 4)}, 0),
        ({"age_min": 29, "age_max": 29}, 1),
        ({"age_min": 30}, 0),
        ({"age_max": 28}, 0),
    ],
    ids=str,
)
def test_both_ends_of_a_range_belong_to_it_when_a_test_lies_on_them(
    records: Records, values: dict[str, object], counted: int
) -> None:
    day_before_the_30th_birthday = Shot(datetime(2026, 3, 5, 12, 0, tzinfo=UTC), (BENIGN,))
    person = Person(date(1996, 3, 6), Gender.FEMALE, (day_before_the_30th_birthday,))
    actor = store([person], zone="UTC")

    chosen = StatisticsFilter(**values)  # type: ignore[arg-type]  # as a form gives them

    assert count_outcomes(chosen=chosen, actor=actor).total == counted


@pytest.mark.usefixtures("context")
def test_all_groups_are_there_when_nothing_was_photographed(actor: Actor) -> None:
    genders = count_by_gender(chosen=StatisticsFilter(), actor=actor)
    ages_ = count_by_age(chosen=StatisticsFilter(), actor=actor)

    assert [group.group for group in genders] == ["female", "male", "other", "unknown"]
    assert [group.group for group in ages_] == [
        *(f"{youngest}-{youngest + 9}" for youngest in range(0, 90, 10)),
        "90+",
    ]
    assert {group.total for group in (*genders, *ages_)} == {0}


@pytest.mark.usefixtures("context")
def test_tests_of_another_clinic_stay_out_when_counted(actor: Actor) -> None:
    PredictionFactory(label=MALIGNANT)

    assert count_outcomes(chosen=StatisticsFilter(), actor=actor).total == 0
    assert list_tests(chosen=StatisticsFilter(), actor=actor).items == []


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"date_from": date(2026, 1, 2), "date_to": date(2026, 1, 1)}, "date_from"),
        ({"age_min": 2, "age_max": 1}, "age_min"),
    ],
)
def test_range_is_refused_when_it_ends_before_it_starts(values: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        StatisticsFilter(**values)  # type: ignore[arg-type]  # as a form gives them

    assert list(refusal.value.fields) == [field]


@pytest.mark.usefixtures("context")
def test_prediction_by_a_second_model_counts_once_when_both_are_stored(actor: Actor, clinic: Clinic) -> None:
    image = LesionImageFactory(lesion__patient__clinic=clinic)
    for label in (MALIGNANT, BENIGN):
        PredictionFactory(lesion_image=image, model_version=ModelVersionFactory(), label=label)

    outcomes = count_outcomes(chosen=StatisticsFilter(), actor=actor)

    assert (outcomes.positive, outcomes.negative) == (0, 1)
