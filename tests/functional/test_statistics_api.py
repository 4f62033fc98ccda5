"""The statistics over REST: what each counts, what is refused, the forms of an answer, and what an analyst gets."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import UTC, date, datetime
from http import HTTPStatus
from itertools import permutations
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from melanoma_app.models import Clinic, Lesion, ModelVersion, Prediction, User
from melanoma_app.models.vocabulary import (
    AnatomSiteGeneral,
    Dimension,
    FitzpatrickSkinType,
    Gender,
    OutcomeLabel,
    Role,
)
from melanoma_app.services import statistics
from tests.api import error_of, send_image
from tests.factories import (
    HistopathologyFactory,
    LesionFactory,
    ModelVersionFactory,
    PatientFactory,
    PredictionFactory,
    ReviewFactory,
    UserFactory,
)

MALIGNANT, BENIGN = OutcomeLabel.MALIGNANT, OutcomeLabel.BENIGN
STATISTICS = ("gender", "age", "outcomes", "trend", "sites", "skin-types", "models")
CROSSTAB = "crosstab?rows=gender&columns=age"
ALL = (*STATISTICS, "agreement", CROSSTAB)
SPRING, WINTER = date(2026, 3, 4), date(2025, 12, 31)
Api = Callable[..., Any]
GROUPS = {
    "gender": ("female", "male"),
    "age": ("40-49", "90+"),
    "age?band_years=1": ("45", "90+"),
    "age?band_years=20": ("40-59", "80+"),
    "trend": ("2026-03", "2025-12"),
    "trend?period=day": ("2026-03-04", "2025-12-31"),
    "trend?period=week": ("2026-W10", "2026-W01"),
    "trend?period=year": ("2026", "2025"),
    "sites": ("head/neck", "palms/soles"),
    "skin-types": ("II", "unknown"),
    "models": ("drawn-1.0.0", "drawn-2.0.0"),
}
"""Where the positive and the negative of `two` stand."""
CHOOSING_THE_POSITIVE = (
    "date_from=2026-01-01",
    "date_from=2026-03-04&date_to=2026-03-04",
    "gender=female",
    "age_max=45",
    "age_min=45&age_max=89",
    "site=head/neck",
    "skin_type=II",
    "outcome=malignant",
    "model=drawn-1.0.0",
)
REFUSED = {
    "gender?band_years=10": "band_years",
    "outcomes?review=benign": "review",
    "outcomes?date_from=2026-02-01&date_to=2026-01-31": "date_from",
    "outcomes?date_from=2026-02-30": "date_from",
    "outcomes?age_min=50&age_max=49": "age_min",
    "outcomes?age_min=-1": "age_min",
    "outcomes?gender=women": "gender",
    "outcomes?gender=male&gender=female": "gender",
    "outcomes?unit=visit": "unit",
    "outcomes?skin_type=VII": "skin_type",
    "outcomes?model=": "model",
    "outcomes?format=xml": "format",
    "age?band_years=0": "band_years",
    "age?band_years=131": "band_years",
    "trend?period=hour": "period",
    "crosstab?rows=gender": "columns",
    "crosstab?rows=gender&columns=gender": "columns",
    "crosstab?rows=gender&columns=name": "columns",
    "crosstab?rows=gender&columns=age&band_years=0": "band_years",
}
"""Calls, and the field that is wrong in each."""
REFUSED_TO_ANALYSTS = {
    "outcomes?date_from=2026-01-02": "date_from",
    "outcomes?date_to=2026-12-30": "date_to",
    "outcomes?age_min=41": "age_min",
    "outcomes?age_max=40": "age_max",
    "age?band_years=5": "band_years",
    "trend?period=week": "period",
    "crosstab?rows=age&columns=gender&band_years=1": "band_years",
}
FORMS = (
    ("", "*/*", "application/json"),
    ("", "application/json, text/csv;q=0.5", "application/json"),
    ("", "text/csv", "text/csv"),
    ("", "text/csv; charset=utf-8", "text/csv"),
    ("?format=csv", "application/json", "text/csv"),
    ("?format=json", "image/png", "application/json"),
)
"""What is asked for by name, what is accepted, and what comes."""


@pytest.fixture
def api(client: FlaskClient, headers: dict[str, str]) -> Api:
    """The clinician's calls."""

    def call(address: str, **more: str) -> TestResponse:
        return client.get(f"/api/v1/statistics/{address}", headers=headers | more)

    return call


@pytest.fixture
def analyst_api(client: FlaskClient, clinic: Clinic, token_headers: Callable[[User], dict[str, str]]) -> Api:
    """The calls of somebody of the same clinic who may not see patients."""
    headers = token_headers(UserFactory(clinic=clinic, role=Role.ANALYST))

    def call(address: str, **more: str) -> TestResponse:
        return client.get(f"/api/v1/statistics/{address}", headers=headers | more)

    return call


def new_lesion(
    clinic: Clinic, site: AnatomSiteGeneral = AnatomSiteGeneral.HEAD_NECK, **patient: Any
) -> Lesion:
    return LesionFactory(
        patient=PatientFactory(clinic=clinic, **patient), anatom_site_general=site, description=""
    )


def new_test(
    lesion: Lesion, label: OutcomeLabel = BENIGN, on: date = SPRING, model: ModelVersion | None = None
) -> Prediction:
    """A photograph at noon with an answer."""
    more = {"model_version": model} if model else {}
    noon = datetime(on.year, on.month, on.day, 12, tzinfo=UTC)
    return PredictionFactory(lesion_image__lesion=lesion, lesion_image__captured_at=noon, label=label, **more)


@pytest.fixture
def two(clinic: Clinic, recount: Callable[[], None]) -> None:
    """A positive and a negative test that differ in everything that there is a filter for."""
    new_test(
        new_lesion(
            clinic,
            gender=Gender.FEMALE,
            birth_date=date(1980, 3, 5),
            fitzpatrick_skin_type=FitzpatrickSkinType.II,
        ),
        MALIGNANT,
        SPRING,
        ModelVersionFactory(name="drawn", version="1.0.0"),
    )
    new_test(
        new_lesion(
            clinic,
            AnatomSiteGeneral.PALMS_SOLES,
            gender=Gender.MALE,
            birth_date=date(1930, 1, 1),
            fitzpatrick_skin_type=None,
        ),
        BENIGN,
        WINTER,
        ModelVersionFactory(name="drawn", version="2.0.0"),
    )
    recount()


def counts_of(answer: Any) -> dict[str, tuple[int, int, int]]:
    """The groups that count anything, by name."""
    assert answer.status_code == HTTPStatus.OK, answer.get_data(as_text=True)[:500]
    return {
        group["group"]: (group["positive"], group["negative"], group["total"])
        for group in answer.json["groups"]
        if group["total"]
    }


def rows_of(answer: TestResponse) -> list[dict[str, str]]:
    assert answer.status_code == HTTPStatus.OK, answer.get_data(as_text=True)[:500]
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(answer.get_data(as_text=True))))


@pytest.mark.usefixtures("two")
def test_tests_stand_in_their_groups_when_counted(api: Api) -> None:
    for address, (positive, negative) in GROUPS.items():
        answer = api(address)

        assert counts_of(answer) == {positive: (1, 0, 1), negative: (0, 1, 1)}, address
        assert answer.json["total"] == {"positive": 1, "negative": 1, "total": 2}
        assert (answer.json["unit"], answer.json["is_protected"]) == ("test", False)


@pytest.mark.usefixtures("two")
def test_only_the_chosen_count_when_a_filter_is_given(api: Api) -> None:
    for chosen in CHOOSING_THE_POSITIVE:
        for address in ("outcomes", "trend", CROSSTAB, "agreement"):
            answer = api(f"{address}{'&' if '?' in address else '?'}{chosen}").json

            assert answer["total"] == {"positive": 1, "negative": 0, "total": 1}, (address, chosen)
            assert {name: str(value) for name, value in answer["filters"].items()} == dict(
                one.split("=") for one in chosen.split("&")
            )


def test_unknown_skin_type_is_chosen_when_asked_for(api: Api, two: None) -> None:
    assert counts_of(api("gender?skin_type=unknown")) == {"male": (0, 1, 1)}


def test_each_lesion_and_each_patient_counts_once_when_that_is_the_unit(
    api: Api, clinic: Clinic, recount: Callable[[], None]
) -> None:
    first = new_lesion(clinic, gender=Gender.OTHER)
    second = LesionFactory(patient=first.patient, number=2)
    new_test(first, MALIGNANT, date(2025, 5, 1))
    new_test(first, BENIGN, date(2025, 6, 1))
    new_test(second, BENIGN, date(2026, 6, 1))
    recount()

    counted = {unit: api(f"outcomes?unit={unit}").json["groups"] for unit in ("test", "lesion", "patient")}
    by_year = counts_of(api("trend?period=year&unit=patient"))

    assert {unit: (one["positive"], one["negative"]) for unit, (one,) in counted.items()} == {
        "test": (1, 2),
        "lesion": (0, 2),
        "patient": (1, 0),
    }
    assert by_year == {"2025": (1, 0, 1)}


@pytest.mark.usefixtures("two")
def test_cells_add_up_when_any_two_properties_are_crossed(api: Api) -> None:
    for rows, columns in permutations([one.value for one in Dimension], 2):
        answer = api(f"crosstab?rows={rows}&columns={columns}").json
        cells = [cell["total"] for line in answer["cells"] for cell in line]

        assert sum(cells) == answer["total"]["total"] == 2, (rows, columns)
        assert len(cells) == len(answer["rows"]) * len(answer["columns"])
        assert [one["group"] for one in answer["row_totals"]] == answer["rows"]
        assert [sum(cell["total"] for cell in line) for line in zip(*answer["cells"], strict=True)] == [
            one["total"] for one in answer["column_totals"]
        ]


def test_model_is_set_against_reviews_and_reports_when_agreement_is_asked(
    api: Api, clinic: Clinic, recount: Callable[[], None]
) -> None:
    for said, concluded in ((MALIGNANT, MALIGNANT), (MALIGNANT, BENIGN), (BENIGN, BENIGN)):
        ReviewFactory(prediction=new_test(new_lesion(clinic), said), conclusion=concluded)
    biopsied = new_lesion(clinic)
    new_test(biopsied, BENIGN, SPRING)
    HistopathologyFactory(lesion=biopsied, outcome=MALIGNANT, reported_on=date(2026, 4, 1))
    new_test(biopsied, MALIGNANT, date(2026, 5, 1))
    recount()

    answer = api("agreement").json
    review, histology = answer["comparisons"]
    rows = rows_of(api("agreement?format=csv"))

    names = ("true_positive", "false_positive", "false_negative", "true_negative")
    assert [review[name] for name in names] == [1, 1, 0, 1]
    assert [histology[name] for name in names] == [0, 0, 1, 0]
    # Wilson's interval of 1 out of 2, as his formula gives it with z = 1.96.
    assert review["specificity"] == pytest.approx({"value": 0.5, "low": 0.0945, "high": 0.9055}, abs=1e-4)
    assert histology["positive_predictive_value"] is None
    assert "biopsy" in answer["warning"]
    assert answer["total"]["total"] == 5
    assert [row["against"] for row in rows] == ["review", "histology"]
    assert (rows[0]["specificity"], rows[1]["positive_predictive_value"]) == ("0.5", "")


def test_rates_are_missing_when_only_one_answer_is_chosen(
    api: Api, clinic: Clinic, recount: Callable[[], None]
) -> None:
    ReviewFactory(prediction=new_test(new_lesion(clinic), MALIGNANT), conclusion=MALIGNANT)
    recount()

    review = api("agreement?outcome=malignant").json["comparisons"][0]

    assert review["sensitivity"] is review["specificity"] is None
    assert review["positive_predictive_value"]["value"] == 1


class TestRefusal:
    def test_call_is_refused_when_something_cannot_be_right(self, api: Api) -> None:
        for address, field in REFUSED.items():
            error = error_of(api(address), HTTPStatus.UNPROCESSABLE_ENTITY)
            assert list(error["fields"]) == [field], address

    def test_crosstab_is_refused_when_it_is_too_large(
        self, api: Api, two: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(statistics, "MOST_CELLS", 39)

        error_of(api(CROSSTAB), HTTPStatus.UNPROCESSABLE_ENTITY)
        assert api("crosstab?rows=gender&columns=outcome").status_code == HTTPStatus.OK

    def test_unknown_filter_is_refused_when_sent_to_any_statistic(self, api: Api) -> None:
        for address in ALL:
            answer = api(f"{address}{'&' if '?' in address else '?'}sex=female")
            assert list(error_of(answer, HTTPStatus.UNPROCESSABLE_ENTITY)["fields"]) == ["sex"]

    def test_call_is_refused_when_neither_json_nor_csv_is_accepted(self, api: Api) -> None:
        for accepted in ("application/xml", "image/*", "text/csv;q=0"):
            for address in ALL:
                error_of(api(address, Accept=accepted), HTTPStatus.NOT_ACCEPTABLE)


class TestForm:
    def test_answer_has_the_form_that_is_asked_for_when_called(self, api: Api) -> None:
        for query, accepted, form in FORMS:
            answer = api(f"outcomes{query}", Accept=accepted)

            assert answer.mimetype == form, (query, accepted)
            assert {"Accept", "Authorization"} <= set(answer.vary)

    @pytest.mark.usefixtures("two")
    def test_file_has_a_row_a_group_when_csv_is_asked_for(self, api: Api) -> None:
        for statistic in STATISTICS:
            answer, groups = api(f"{statistic}?format=csv"), api(statistic).json["groups"]
            expected = [
                {name: str(value) for name, value in group.items()} | {"suppressed": "false"}
                for group in groups
            ]

            assert rows_of(answer) == expected
            assert (
                answer.headers["Content-Disposition"]
                == f"attachment; filename=statistics-{statistic}-tests.csv"
            )

    @pytest.mark.usefixtures("two")
    def test_file_has_a_row_a_cell_when_a_crosstab_is_asked_for_as_csv(self, api: Api) -> None:
        answer = api("crosstab?rows=gender&columns=skin-type&unit=lesion&format=csv")
        rows = rows_of(answer)

        assert len(rows) == len(Gender) * (len(FitzpatrickSkinType) + 1)
        assert [tuple(row.values()) for row in rows if row["total"] != "0"] == [
            ("female", "II", "1", "0", "1", "false"),
            ("male", "unknown", "0", "1", "1", "false"),
        ]
        assert list(rows[0]) == ["row", "column", "positive", "negative", "total", "suppressed"]
        assert "statistics-gender-by-skin-type-lesions.csv" in answer.headers["Content-Disposition"]

    def test_cell_is_no_formula_when_a_model_is_called_like_one(
        self, api: Api, clinic: Clinic, recount: Callable[[], None]
    ) -> None:
        new_test(new_lesion(clinic), model=ModelVersionFactory(name="=cmd|' /C calc'!A0", version="1"))
        recount()

        (row,) = rows_of(api("models?format=csv"))

        assert row["group"] == "'=cmd|' /C calc'!A0-1"


class TestAskingAgain:
    @pytest.mark.usefixtures("two")
    def test_nothing_is_sent_when_the_copy_is_still_good(self, api: Api) -> None:
        for address in ALL:
            for form in ("application/json", "text/csv"):
                tag = api(address, Accept=form).headers["ETag"]
                again = api(address, **{"Accept": form, "If-None-Match": f'"other", {tag}'})

                assert (again.status_code, again.data) == (HTTPStatus.NOT_MODIFIED, b"")
                assert again.headers["ETag"] == tag

    def test_tag_changes_when_somebody_is_examined(
        self, api: Api, client: FlaskClient, headers: dict[str, str], clinic: Clinic, photograph: bytes
    ) -> None:
        before = {address: api(address).headers["ETag"] for address in ALL}

        lesion = new_lesion(clinic)
        assert send_image(client, lesion.public_id, headers, photograph).status_code == HTTPStatus.CREATED

        for address, tag in before.items():
            answer = api(address, **{"If-None-Match": tag})
            assert answer.json["total"]["total"] == 1

    @pytest.mark.usefixtures("two")
    def test_tags_differ_when_form_or_rights_do(self, api: Api, analyst_api: Api) -> None:
        tags = [
            call(f"outcomes?format={form}").headers["ETag"]
            for call in (api, analyst_api)
            for form in ("json", "csv")
        ]

        assert len(set(tags)) == len(tags)


class TestAnalyst:
    def test_small_counts_are_missing_and_others_rounded_when_an_analyst_asks(
        self, analyst_api: Api, api: Api, clinic: Clinic, recount: Callable[[], None]
    ) -> None:
        woman = new_lesion(clinic, gender=Gender.FEMALE)
        for _ in range(23):
            new_test(woman, BENIGN)
        new_test(new_lesion(clinic, gender=Gender.MALE), MALIGNANT)
        recount()

        answer = analyst_api("gender").json
        groups = {group.pop("group"): group for group in answer["groups"]}
        rows = {row["group"]: row for row in rows_of(analyst_api("gender?format=csv"))}

        assert answer["is_protected"]
        assert groups["male"] == groups["unknown"] == {"positive": None, "negative": None, "total": None}
        shown = groups["female"]["negative"]
        assert shown % 5 == 0
        assert abs(shown - 23) <= 6
        assert groups["female"]["positive"] is None
        assert (rows["male"]["total"], rows["male"]["suppressed"]) == ("", "true")
        assert (rows["female"]["negative"], rows["female"]["suppressed"]) == (str(shown), "true")
        assert counts_of(api("gender"))["male"] == (1, 0, 1)

    def test_tag_stays_when_only_a_hidden_count_changes(
        self, analyst_api: Api, clinic: Clinic, recount: Callable[[], None]
    ) -> None:
        lesion = new_lesion(clinic)
        new_test(lesion)
        recount()
        tag = analyst_api("gender").headers["ETag"]
        new_test(lesion)
        recount()

        assert analyst_api("gender", **{"If-None-Match": tag}).status_code == HTTPStatus.NOT_MODIFIED

    def test_groups_reach_only_as_far_as_shown_counts_when_an_analyst_asks(
        self, analyst_api: Api, clinic: Clinic, recount: Callable[[], None]
    ) -> None:
        lesion = new_lesion(clinic)
        rare, usual = (
            ModelVersionFactory(name="rare", version="1"),
            ModelVersionFactory(name="usual", version="1"),
        )
        new_test(lesion, on=date(2025, 1, 1), model=rare)
        for day in [date(2025, 5, 1)] * 12 + [date(2025, 7, 1)] * 12:
            new_test(lesion, on=day, model=usual)
        recount()

        trend, models, crosstab = (
            analyst_api(one).json for one in ("trend", "models", "crosstab?rows=period&columns=model")
        )

        assert [group["group"] for group in trend["groups"]] == ["2025-05", "2025-06", "2025-07"]
        assert [group["group"] for group in models["groups"]] == ["usual-1"]
        assert (crosstab["rows"], crosstab["columns"]) == (["2025"], ["usual-1"])

    def test_fine_range_is_refused_when_an_analyst_asks(self, analyst_api: Api, api: Api) -> None:
        for address, field in REFUSED_TO_ANALYSTS.items():
            error = error_of(analyst_api(address), HTTPStatus.UNPROCESSABLE_ENTITY)
            assert list(error["fields"]) == [field], address
            assert api(address).status_code == HTTPStatus.OK


@pytest.mark.usefixtures("two")
def test_nothing_is_counted_when_only_another_clinic_has_records(
    client: FlaskClient, outsider: User, token_headers: Callable[[User], dict[str, str]]
) -> None:
    headers = token_headers(outsider)
    for address in ALL:
        answer: Any = client.get(f"/api/v1/statistics/{address}", headers=headers).json
        assert answer["total"] == {"positive": 0, "negative": 0, "total": 0}
        assert not any(group["total"] for group in answer.get("groups", []))
        assert not any(cell["total"] for line in answer.get("cells", []) for cell in line)
