"""The statistics counted in plain Python from the bare rows: what the services' numbers are compared with.

Nothing here comes from the services; it follows the definitions in `docs/statistics.md`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from melanoma_app.models import Histopathology, Lesion, LesionImage, ModelVersion, Patient, Prediction, Review
from melanoma_app.models.vocabulary import (
    AnatomSiteGeneral,
    Dimension,
    FitzpatrickSkinType,
    Gender,
    OutcomeLabel,
    Period,
    StatisticsUnit,
)
from melanoma_app.services.statistics import GroupCount
from melanoma_app.services.statistics_filter import StatisticsFilter

Bar = tuple[str, int, int]
"""A group, its positive and its negative ones."""
KeyOf = Callable[["PlainTest"], str]
_OPEN_BAND_FROM_YEARS: Final = 90


@dataclass(frozen=True, kw_only=True)
class PlainTest:
    """A photograph with its newest prediction; None where no review, or no report after it, speaks of it."""

    image_id: int
    lesion_id: int
    patient_id: int
    captured_at: datetime
    day: date
    age: int
    gender: str
    site: str
    skin_type: str
    outcome: str
    model: str
    review: str | None
    histology: str | None


def read_plain_tests(engine: Engine, clinic_id: int) -> list[PlainTest]:
    """Every test of a clinic, oldest first."""
    with Session(engine) as session:
        patients = {
            one.id: one for one in session.scalars(select(Patient).where(Patient.clinic_id == clinic_id))
        }
        lesions = {one.id: one for one in session.scalars(select(Lesion)) if one.patient_id in patients}
        models = {one.id: f"{one.name}-{one.version}" for one in session.scalars(select(ModelVersion))}
        newest: dict[int, Prediction] = {}
        for prediction in session.scalars(select(Prediction).order_by(Prediction.id)):
            newest[prediction.lesion_image_id] = prediction
        reports: dict[int, Histopathology] = {}
        for report in session.scalars(select(Histopathology).order_by(Histopathology.id)):
            reports[report.lesion_id] = report
        reviews = {one.lesion_image_id: one.conclusion.value for one in session.scalars(select(Review))}
        images = session.scalars(select(LesionImage).order_by(LesionImage.captured_at, LesionImage.id)).all()
        tests = []
        for image in images:
            if image.lesion_id not in lesions or image.id not in newest:
                continue
            lesion, prediction = lesions[image.lesion_id], newest[image.id]
            patient, latest_report = patients[lesion.patient_id], reports.get(lesion.id)
            is_before_report = latest_report is not None and image.captured_on <= latest_report.reported_on
            tests.append(
                PlainTest(
                    image_id=image.id,
                    lesion_id=lesion.id,
                    patient_id=patient.id,
                    captured_at=image.captured_at,
                    day=image.captured_on,
                    age=age_on(image.captured_on, patient.birth_date),
                    gender=patient.gender.value,
                    site=lesion.anatom_site_general.value,
                    skin_type=patient.fitzpatrick_skin_type.value
                    if patient.fitzpatrick_skin_type
                    else "unknown",
                    outcome=prediction.label.value,
                    model=models[prediction.model_version_id],
                    review=reviews.get(image.id),
                    histology=latest_report.outcome.value if latest_report and is_before_report else None,
                )
            )
        return tests


def age_on(day: date, birth_date: date) -> int:
    """Completed years, by looking at whether this year's birthday is still to come; nobody is younger than 0."""
    try:
        birthday = birth_date.replace(year=day.year)
    except ValueError:
        birthday = date(day.year, 3, 1)
    return max(day.year - birth_date.year - (1 if birthday > day else 0), 0)


def let_through(
    tests: Iterable[PlainTest], chosen: StatisticsFilter, *, against: str = "", truth: str = ""
) -> list[PlainTest]:
    """The tests that count, each standing for its unit.

    Args:
        tests: Of the clinic, oldest first.
        chosen: The filters.
        against: `review` or `histology`, to leave only what has one.
        truth: What that says.
    """
    judged_by = [
        name for name in ("review", "histology") if name == against or getattr(chosen, name) is not None
    ]
    # A laboratory's word is rarer than a clinician's: where both are asked for, it says which tests stand for a unit.
    standing_among = [one for one in tests if not judged_by or getattr(one, judged_by[-1]) is not None]
    return [
        one
        for one in stand_for(standing_among, chosen.unit)
        if (chosen.date_from is None or one.day >= chosen.date_from)
        and (chosen.date_to is None or one.day <= chosen.date_to)
        and (chosen.gender is None or one.gender == str(chosen.gender))
        and (chosen.age_min is None or one.age >= chosen.age_min)
        and (chosen.age_max is None or one.age <= chosen.age_max)
        and (chosen.site is None or one.site == str(chosen.site))
        and (chosen.skin_type is None or one.skin_type == str(chosen.skin_type))
        and (chosen.outcome is None or one.outcome == str(chosen.outcome))
        and (chosen.model is None or one.model == chosen.model)
        and (chosen.review is None or one.review == str(chosen.review))
        and (chosen.histology is None or one.histology == str(chosen.histology))
        and (not against or getattr(one, against) == truth)
    ]


def stand_for(tests: list[PlainTest], unit: StatisticsUnit) -> list[PlainTest]:
    """The tests that stand for a unit each."""
    if unit is StatisticsUnit.TEST:
        return tests
    units = defaultdict(list)
    for test in tests:
        units[test.lesion_id if unit is StatisticsUnit.LESION else test.patient_id].append(test)
    chosen = []
    for own in units.values():
        positive = [test for test in own if test.outcome == "malignant"]
        if unit is StatisticsUnit.PATIENT and positive:
            chosen.append(min(positive, key=lambda test: (test.captured_at, test.image_id)))
        else:
            chosen.append(max(own, key=lambda test: (test.captured_at, test.image_id)))
    return chosen


def bars(tests: Iterable[PlainTest], key_of: KeyOf, groups: Iterable[str]) -> list[Bar]:
    """Positive and negative tests of each group."""
    counted = Counter((key_of(test), test.outcome) for test in tests)
    return [(group, counted[group, "malignant"], counted[group, "benign"]) for group in groups]


def shown_bars(groups: Iterable[GroupCount]) -> list[Bar]:
    """What a service gave, to compare with `bars`; its totals have to be the sums."""
    found = []
    for group in groups:
        assert group.positive is not None
        assert group.negative is not None
        assert group.total == group.positive + group.negative
        found.append((group.group, group.positive, group.negative))
    return found


def axis_of(
    dimension: Dimension, tests: Iterable[PlainTest], *, band_years: int = 10, period: Period = Period.MONTH
) -> tuple[KeyOf, list[str]]:
    """How a test's group is called, and all groups in their order."""
    match dimension:
        case Dimension.OUTCOME:
            return lambda one: one.outcome, [each.value for each in OutcomeLabel]
        case Dimension.GENDER:
            return lambda one: one.gender, [each.value for each in Gender]
        case Dimension.SITE:
            return lambda one: one.site, [each.value for each in AnatomSiteGeneral]
        case Dimension.SKIN_TYPE:
            return lambda one: one.skin_type, [*(each.value for each in FitzpatrickSkinType), "unknown"]
        case Dimension.MODEL:
            return lambda one: one.model, sorted({test.model for test in tests})
        case Dimension.AGE:
            names = [
                _name_band(start, band_years) for start in range(0, _OPEN_BAND_FROM_YEARS + 1, band_years)
            ]
            return lambda one: names[min(one.age // band_years, len(names) - 1)], names
        case Dimension.PERIOD:
            days = [test.day for test in tests]
            every = (
                [min(days) + timedelta(days=number) for number in range((max(days) - min(days)).days + 1)]
                if days
                else []
            )
            return lambda one: _name_period(one.day, period), list(
                dict.fromkeys(_name_period(day, period) for day in every)
            )


def _name_band(start: int, width: int) -> str:
    if start + width > _OPEN_BAND_FROM_YEARS:
        return f"{start}+"
    return f"{start}" if width == 1 else f"{start}-{start + width - 1}"


def _name_period(day: date, period: Period) -> str:
    formats = {Period.DAY: "%Y-%m-%d", Period.WEEK: "%G-W%V", Period.MONTH: "%Y-%m", Period.YEAR: "%Y"}
    return day.strftime(formats[period])
