"""Every statistic against a plain-Python count, whatever the records and the filters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from random import Random
from typing import Any, Final

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from melanoma_app.errors import InvalidInputError
from melanoma_app.models import Clinic
from melanoma_app.models.vocabulary import (
    AnatomSiteGeneral,
    Dimension,
    FitzpatrickSkinType,
    Gender,
    OutcomeLabel,
    Period,
    StatisticsUnit,
)
from melanoma_app.services.actor import Actor
from melanoma_app.services.counted_tests import list_tests
from melanoma_app.services.statistics import (
    GroupCount,
    count_by_age,
    count_by_gender,
    count_by_model,
    count_by_site,
    count_by_skin_type,
    count_everything,
    count_outcomes,
    count_trend,
    crosstab,
    measure_agreement,
)
from melanoma_app.services.statistics_filter import StatisticsFilter
from tests.factories import (
    LesionImageFactory,
    ModelVersionFactory,
    PatientFactory,
    PredictionFactory,
    actor_of,
)
from tests.plain_counts import PlainTest, axis_of, bars, let_through, read_plain_tests, shown_bars
from tests.populations import EDGE_DAYS, FIRST_DAY, LAST_DAY, MODELS, count_population, write_population
from tests.records import Records, end_app_transaction

MALIGNANT, BENIGN = OutcomeLabel.MALIGNANT, OutcomeLabel.BENIGN
EXAMPLES: Final = {"sqlite": 16, "mariadb": 6}
FILTERS_A_POPULATION: Final = 12
EVERYTHING: Final = 1000

days = st.one_of(st.sampled_from(EDGE_DAYS), st.dates(FIRST_DAY, LAST_DAY))
months = st.sampled_from(
    [
        (date(2024, 2, 1), date(2024, 2, 29)),
        (date(2025, 1, 1), date(2025, 12, 31)),
        (date(2024, 12, 1), date(2025, 3, 31)),
    ]
)
ranges = st.one_of(
    st.just((None, None)),
    months,
    days.map(lambda day: (day, day)),
    st.tuples(days, days).map(lambda pair: (min(pair), max(pair))),
    days.map(lambda day: (day, None)),
    days.map(lambda day: (None, day)),
)
ages = st.one_of(st.sampled_from([0, 1, 9, 10, 29, 30, 59, 60, 89, 90, 98]), st.integers(0, 110))
age_ranges = st.one_of(
    st.just((None, None)),
    st.tuples(ages, ages).map(lambda pair: (min(pair), max(pair))),
    ages.map(lambda age: (age, None)),
    ages.map(lambda age: (None, age)),
)


@st.composite
def filters(draw: st.DrawFn) -> StatisticsFilter:
    """Any filter: each of its parts is left open more often than not, or nothing would be let through."""
    date_from, date_to = draw(ranges)
    age_min, age_max = draw(age_ranges)

    def seldom(values: Sequence[object]) -> object:
        return draw(st.sampled_from([None] * 2 * len(values) + list(values)))

    values = {
        "gender": seldom(list(Gender)),
        "site": seldom(list(AnatomSiteGeneral)),
        "skin_type": seldom([*FitzpatrickSkinType, "unknown", "unknown"]),
        "outcome": seldom(list(OutcomeLabel)),
        "model": seldom(MODELS),
        "review": seldom(list(OutcomeLabel)),
        "histology": seldom(list(OutcomeLabel)),
    }
    kept = draw(st.sets(st.sampled_from(sorted(values)), max_size=4))
    return StatisticsFilter(
        date_from=date_from,
        date_to=date_to,
        age_min=age_min,
        age_max=age_max,
        unit=draw(st.sampled_from(StatisticsUnit)),
        **{name: values[name] for name in kept},  # type: ignore[arg-type]  # one of each vocabulary
    )


@pytest.fixture
def on_populations(
    records: Records, context: None, database_kind: str
) -> Callable[[Callable[[st.DataObject, Actor, list[PlainTest]], None]], None]:
    """Run a comparison on many random clinics, more of them where the database is quick."""

    def run(compare: Callable[[st.DataObject, Actor, list[PlainTest]], None]) -> None:
        # A seed cannot be shrunk, and every attempt would write a clinic.
        @settings(max_examples=EXAMPLES[database_kind], phases=[Phase.generate])
        @given(
            seed=st.integers(0, 2**32),
            patients=st.integers(0, 12),
            zone=st.sampled_from(["UTC", "Pacific/Auckland", "America/Lima"]),
            data=st.data(),
        )
        def on_one(seed: int, patients: int, zone: str, data: st.DataObject) -> None:
            end_app_transaction()
            clinic, user = write_population(Random(seed), patients=patients, zone=zone)
            count_population(clinic)
            compare(data, actor_of(user), read_plain_tests(records.engine, clinic.id))

        on_one()

    return run


OnPopulations = Callable[[Callable[[st.DataObject, Actor, list[PlainTest]], None]], None]


def test_every_statistic_equals_plain_python_when_records_and_filters_are_any(
    on_populations: OnPopulations,
) -> None:
    def compare(data: st.DataObject, actor: Actor, tests: list[PlainTest]) -> None:
        for _ in range(FILTERS_A_POPULATION):
            chosen = data.draw(filters())
            period, band_years = data.draw(st.sampled_from(Period)), data.draw(st.integers(1, 130))
            counting: dict[str, Any] = {"chosen": chosen, "actor": actor}
            through = let_through(tests, chosen)

            outcomes = count_outcomes(**counting)
            assert shown_bars([outcomes]) == bars(through, lambda _: "all", ["all"])
            singles: dict[Dimension, list[GroupCount]] = {
                Dimension.GENDER: count_by_gender(**counting),
                Dimension.SITE: count_by_site(**counting),
                Dimension.SKIN_TYPE: count_by_skin_type(**counting),
                Dimension.MODEL: count_by_model(**counting),
                Dimension.AGE: count_by_age(**counting, band_years=band_years),
                Dimension.PERIOD: count_trend(**counting, period=period),
            }
            for dimension, groups in singles.items():
                key_of, names = axis_of(dimension, through, band_years=band_years, period=period)
                assert shown_bars(groups) == bars(through, key_of, names), dimension
            agreements = measure_agreement(**counting)
            for agreement in agreements:
                for truth, numbers in (
                    ("malignant", (agreement.true_positive, agreement.false_negative)),
                    ("benign", (agreement.false_positive, agreement.true_negative)),
                ):
                    judged = let_through(tests, chosen, against=agreement.against, truth=truth)
                    positive = sum(one.outcome == "malignant" for one in judged)
                    assert numbers == (positive, len(judged) - positive), agreement.against

            overview = count_everything(**counting, period=period, band_years=band_years)
            assert overview.outcomes == outcomes
            assert overview.agreements == agreements
            assert [
                overview.genders,
                overview.sites,
                overview.skin_types,
                overview.models,
                overview.ages,
                overview.trend,
            ] == list(singles.values())

    on_populations(compare)


def test_crosstab_equals_plain_python_when_any_two_properties_are_crossed(
    on_populations: OnPopulations,
) -> None:
    def compare(data: st.DataObject, actor: Actor, tests: list[PlainTest]) -> None:
        for _ in range(FILTERS_A_POPULATION):
            chosen = data.draw(filters())
            rows, columns = data.draw(st.permutations(list(Dimension)))[:2]
            period, band_years = data.draw(st.sampled_from(Period)), data.draw(st.integers(1, 130))
            through = let_through(tests, chosen)
            row_of, row_names = axis_of(rows, through, band_years=band_years, period=period)
            column_of, column_names = axis_of(columns, through, band_years=band_years, period=period)

            table = crosstab(
                chosen=chosen, actor=actor, rows=rows, columns=columns, band_years=band_years, period=period
            )

            assert (table.rows, table.columns) == (row_names, column_names)
            for name, line in zip(row_names, table.cells, strict=True):
                in_row = [one for one in through if row_of(one) == name]
                assert shown_bars(line) == bars(in_row, column_of, column_names)
            assert shown_bars(table.row_totals) == bars(through, row_of, row_names)
            assert shown_bars(table.column_totals) == bars(through, column_of, column_names)
            assert shown_bars([table.total]) == bars(through, lambda _: "all", ["all"])

    on_populations(compare)


def test_list_holds_exactly_the_tests_of_a_group_when_its_filters_are_followed(
    on_populations: OnPopulations,
) -> None:
    def compare(data: st.DataObject, actor: Actor, tests: list[PlainTest]) -> None:
        for _ in range(FILTERS_A_POPULATION // 2):
            chosen = data.draw(filters())
            overview = count_everything(
                chosen=chosen,
                actor=actor,
                period=data.draw(st.sampled_from(Period)),
                band_years=data.draw(st.integers(1, 130)),
            )
            rows, columns = data.draw(st.permutations(list(Dimension)))[:2]
            table = crosstab(chosen=chosen, actor=actor, rows=rows, columns=columns)
            groups = [
                *(overview.genders + overview.ages + overview.trend + overview.sites),
                *(overview.skin_types + overview.models),
                *(cell for line in [*table.cells, table.row_totals, table.column_totals] for cell in line),
            ]
            filled = [group for group in groups if group.total]
            some = data.draw(st.lists(st.sampled_from(filled), max_size=6)) if filled else []
            for group in [overview.outcomes, *some]:
                narrowed = StatisticsFilter(**{**chosen.given, **group.filters})
                page = list_tests(chosen=narrowed, actor=actor, size=EVERYTHING)

                assert len(page.items) == group.total, group
                listed = [one.lesion_image_id for one in page.items]
                expected = sorted(
                    let_through(tests, narrowed), key=lambda one: (one.captured_at, one.image_id)
                )
                assert listed == [one.image_id for one in reversed(expected)]

    on_populations(compare)


@pytest.mark.usefixtures("context")
@pytest.mark.parametrize(
    ("values", "counted"),
    [
        ({"date_from": date(2026, 3, 5), "date_to": date(2026, 3, 5)}, 1),
        ({"date_from": date(2026, 3, 6)}, 0),
        ({"date_to": date(2026, 3, 4)}, 0),
        ({"date_from": date.min, "date_to": date.max}, 1),
        ({"age_min": 29, "age_max": 29}, 1),
        ({"age_min": 30}, 0),
        ({"age_max": 28}, 0),
    ],
    ids=str,
)
def test_both_ends_of_a_range_belong_to_it_when_a_test_lies_on_them(
    actor: Actor, recount: Callable[[], None], clinic: Clinic, values: dict[str, object], counted: int
) -> None:
    day_before_the_30th_birthday = date(2026, 3, 5)
    PredictionFactory(
        lesion_image__captured_on=day_before_the_30th_birthday,
        lesion_image__lesion__patient=PatientFactory(clinic=clinic, birth_date=date(1996, 3, 6)),
    )
    recount()

    chosen = StatisticsFilter(**values)  # type: ignore[arg-type]  # as a form gives them

    assert count_outcomes(chosen=chosen, actor=actor).total == counted


@pytest.mark.usefixtures("context")
def test_all_groups_are_there_when_nothing_was_photographed(actor: Actor) -> None:
    overview = count_everything(chosen=StatisticsFilter(), actor=actor)

    assert [group.group for group in overview.genders] == ["female", "male", "other", "unknown"]
    assert [group.group for group in overview.ages] == [
        *(f"{youngest}-{youngest + 9}" for youngest in range(0, 90, 10)),
        "90+",
    ]
    assert {group.total for group in (*overview.genders, *overview.ages)} == {0}
    assert overview.trend == overview.models == []


@pytest.mark.usefixtures("context")
def test_tests_of_another_clinic_stay_out_when_counted(actor: Actor, recount: Callable[[], None]) -> None:
    model = ModelVersionFactory(name="alpha", version="1.0")
    PredictionFactory(label=MALIGNANT, model_version=model)
    recount()

    for chosen in (StatisticsFilter(), StatisticsFilter(gender=Gender.FEMALE, model="alpha-1.0", age_min=0)):
        assert count_outcomes(chosen=chosen, actor=actor).total == 0
        assert list_tests(chosen=chosen, actor=actor).items == []


@pytest.mark.usefixtures("context")
def test_newest_answer_counts_when_two_models_have_looked(
    actor: Actor, recount: Callable[[], None], clinic: Clinic
) -> None:
    image = LesionImageFactory(lesion__patient__clinic=clinic)
    for label in (MALIGNANT, BENIGN):
        PredictionFactory(lesion_image=image, model_version=ModelVersionFactory(), label=label)
    recount()

    outcomes = count_outcomes(chosen=StatisticsFilter(), actor=actor)

    assert (outcomes.positive, outcomes.negative) == (0, 1)


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
@pytest.mark.parametrize("band_years", [-1, 0, 131])
def test_band_is_refused_when_it_cannot_be_that_wide(actor: Actor, band_years: int) -> None:
    for count in (
        lambda: count_by_age(chosen=StatisticsFilter(), actor=actor, band_years=band_years),
        lambda: count_everything(chosen=StatisticsFilter(), actor=actor, band_years=band_years),
        lambda: crosstab(
            chosen=StatisticsFilter(),
            actor=actor,
            rows=Dimension.AGE,
            columns=Dimension.GENDER,
            band_years=band_years,
        ),
    ):
        with pytest.raises(InvalidInputError) as refusal:
            count()
        assert list(refusal.value.fields) == ["band_years"]


@pytest.mark.usefixtures("context")
@pytest.mark.parametrize("model", ["", "alpha", "alpha-9", "' OR 1=1 --"])
def test_model_is_refused_when_there_is_none_of_that_name(actor: Actor, records: Records, model: str) -> None:
    ModelVersionFactory(name="alpha", version="1.0")

    for count in (count_outcomes, count_everything, list_tests):
        with pytest.raises(InvalidInputError) as refusal:
            count(chosen=StatisticsFilter(model=model), actor=actor)
        assert list(refusal.value.fields) == ["model"]


@pytest.mark.usefixtures("context")
@pytest.mark.parametrize("dimension", list(Dimension))
def test_crosstab_is_refused_when_rows_and_columns_are_the_same(actor: Actor, dimension: Dimension) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        crosstab(chosen=StatisticsFilter(), actor=actor, rows=dimension, columns=dimension)

    assert list(refusal.value.fields) == ["columns"]
