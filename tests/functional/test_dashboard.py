"""The overview and the lists: every number is the count of what its link opens; filters stand in the URL."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from random import Random

import pytest
from bs4 import Tag
from flask import Flask
from sqlalchemy import Engine, event

from melanoma_app.models import Clinic, ModelVersion, User
from melanoma_app.models.vocabulary import (
    AnatomSiteGeneral,
    Dimension,
    FitzpatrickSkinType,
    Gender,
    OutcomeLabel,
    Period,
    Role,
    StatisticsUnit,
)
from melanoma_app.services.statistics_filter import StatisticsFilter
from tests.browsing import Browser, Page, words
from tests.factories import (
    HistopathologyFactory,
    LesionFactory,
    LesionImageFactory,
    ModelVersionFactory,
    PatientFactory,
    PredictionFactory,
    ReviewFactory,
    UserFactory,
)
from tests.plain_counts import axis_of, bars, let_through, read_plain_tests
from tests.populations import count_population, write_population

NOW = datetime.now(UTC)
MOST_QUERIES = 12
"""What the overview may ask the database (issue 5)."""


@pytest.fixture
def model(clinic: Clinic) -> ModelVersion:
    """The model that has answered: its name is what a spreadsheet would compute."""
    return ModelVersionFactory(name="=cnn", version="1.0.0")


@pytest.fixture
def population(clinic: Clinic, model: ModelVersion, recount: Callable[[], None]) -> None:
    """Six examinations of four patients, of ages that fall on both sides of a filter within one band."""
    for number, (gender, age, labels) in enumerate(
        [
            (Gender.FEMALE, 31, ["malignant", "benign"]),
            (Gender.FEMALE, 37, ["malignant"]),
            (Gender.MALE, 36, ["benign", "benign"]),
            (Gender.OTHER, 95, ["malignant"]),
        ]
    ):
        patient = PatientFactory(
            clinic=clinic, gender=gender, birth_date=date(NOW.year - age, 1, 1), mrn=f"P-{number}"
        )
        lesion = LesionFactory(patient=patient)
        for day, label in enumerate(labels):
            image = LesionImageFactory(lesion=lesion, captured_at=NOW - timedelta(hours=day * 24 * 20))
            prediction = PredictionFactory(lesion_image=image, label=OutcomeLabel(label), model_version=model)
        if number < 3:
            ReviewFactory(prediction=prediction, conclusion=OutcomeLabel.BENIGN)
        else:
            HistopathologyFactory(lesion=lesion, outcome=OutcomeLabel.MALIGNANT)
    recount()


@pytest.fixture
def analyst(sign_in: Callable[[User], Browser], clinic: Clinic) -> Browser:
    """The browser of somebody who may see numbers but no patients."""
    return sign_in(UserFactory(clinic=clinic, role=Role.ANALYST))


def listed(page: Page) -> int:
    """The examinations in the page's list."""
    return len({link for link in page.links() if link.startswith("/predictions/")})


def table_of(page: Page, chart: str) -> dict[str, list[str]]:
    """The rows of a chart's table: the group, then the cells as they are read."""
    return {
        words(row.th): [words(cell) for cell in row.find_all("td")]
        for row in page.soup.select(f"#{chart} tbody tr")
    }


def rows_of(page: Page) -> list[dict[str, str]]:
    """A CSV file by its header."""
    return list(csv.DictReader(page.response.get_data(as_text=True).lstrip("\ufeff").splitlines()))


@contextmanager
def counting_queries() -> Iterator[list[str]]:
    """Every statement that reaches the database, the beginning of a transaction included."""
    seen: list[str] = []

    def note(connection: object, cursor: object, statement: str, *rest: object) -> None:
        seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


@pytest.mark.usefixtures("population")
@pytest.mark.parametrize(
    ("page", "query"),
    [
        ("/", "age_min=35&age_max=50"),
        ("/", "unit=lesion&outcome=malignant"),
        ("/", "unit=patient&period=week"),
        ("/crosstab", "unit=lesion&rows=site&columns=period"),
    ],
)
def test_link_opens_exactly_what_its_number_counts_when_filtered(
    browser: Browser, page: str, query: str
) -> None:
    overview = browser.open(f"{page}?{query}")
    assert overview.status == 200
    numbers = {str(link["href"]): int(words(link)) for link in overview.soup.select("td[data-value] a")}
    assert numbers

    wrong = {}
    for address, number in numbers.items():
        opened = browser.open(address)
        if listed(opened) != number or opened.soup.find_all(role="alert"):
            wrong[address] = (number, listed(opened))

    assert not wrong


@pytest.mark.usefixtures("records")
@pytest.mark.parametrize(
    ("unit", "name"), [("test", "Examinations"), ("lesion", "Lesions"), ("patient", "Patients")]
)
def test_tables_hold_the_plain_counts_when_counted_in_any_unit(
    sign_in: Callable[[User], Browser], app: Flask, engine: Engine, unit: str, name: str
) -> None:
    clinic, user = write_population(Random(unit), patients=25)
    with app.app_context():
        count_population(clinic)
    chosen = StatisticsFilter(gender=Gender.FEMALE, unit=StatisticsUnit(unit))

    page = sign_in(user).open("/", query_string={**chosen.given, "period": "year", "band_years": 20})

    tests = let_through(read_plain_tests(engine, clinic.id), chosen)
    assert tests
    shown = {}
    expected = {}
    for dimension in set(Dimension) - {Dimension.OUTCOME}:
        cells = table_of(page, f"by-{dimension}").values()
        shown[dimension] = [tuple(int(number) for number in line[:3]) for line in cells]
        counted = bars(tests, *axis_of(dimension, tests, band_years=20, period=Period.YEAR))
        expected[dimension] = [(positive, negative, positive + negative) for _, positive, negative in counted]
    assert shown == expected
    assert f"n = {len(tests)} " in words(page.soup.select_one("#by-gender .chart__size"))
    assert words(page.soup.select_one("#by-gender h3")) == f"{name} by gender"


@pytest.mark.usefixtures("population")
def test_agreement_is_shown_with_its_intervals_when_there_are_reviews(browser: Browser) -> None:
    page = browser.open("/")

    review, histology = table_of(page, "agreement-review"), table_of(page, "agreement-histology")
    assert (review["Malignant"], review["Benign"]) == (["0", "1"], ["0", "2"])
    assert review["Sensitivity"] == ["–", "nothing to divide"]
    # Two of three: Wilson 1927 gives 20.8 % to 93.9 %.
    assert review["Specificity"] == ["66.7 %", "20.8 % to 93.9 %"]
    assert (histology["Malignant"], histology["Benign"]) == (["1", "0"], ["0", "0"])
    assert "Only biopsied lesions have histology" in words(page.soup.select_one("#agreement-histology"))


@pytest.mark.usefixtures("population")
def test_list_is_filtered_when_the_url_says_so(browser: Browser) -> None:
    expected = {
        "gender=female": "3 examinations",
        "gender=unknown": "0 examinations",
        "outcome=malignant": "3 examinations",
        "age_min=36&age_max=37": "3 examinations",
        f"date_from={NOW.date()}": "4 examinations",
        f"date_to={NOW.date() - timedelta(days=1)}": "2 examinations",
        "site=upper+extremity&skin_type=unknown&model=%3Dcnn-1.0.0": "6 examinations",
        "site=head%2Fneck": "0 examinations",
        "unit=patient": "4 patients",
        "review=benign&outcome=malignant": "1 examination",
        "histology=malignant": "1 examination",
    }

    found = {}
    for query in expected:
        page = browser.open(f"/examinations?{query}")
        assert words(page.soup.select_one("main p")).startswith(expected[query])
        found[query] = listed(page)

    assert found == {query: int(said.split()[0]) for query, said in expected.items()}


@pytest.mark.usefixtures("population")
def test_exported_list_is_filtered_when_its_page_is(browser: Browser) -> None:
    page = browser.open("/examinations?review=benign&outcome=malignant&unit=lesion")
    (link,) = (link for link in page.links() if link.startswith("/examinations.csv"))

    (row,) = rows_of(browser.open(link))

    assert row["mrn"] == "P-1"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("age_min=x", "age_min"),
        ("age_min=9&age_max=8", "age_min"),
        ("date_from=2026-13-01", "date_from"),
        ("date_from=2026-02-01&date_to=2026-01-01", "date_from"),
        ("gender=f", "gender"),
        ("age_max=99999999999999999999", "age_max"),
        ("model='; DROP TABLE patient; --", "model"),
        ("unit=family", "unit"),
    ],
)
def test_wrong_filter_is_told_beside_its_field_when_opened(browser: Browser, query: str, field: str) -> None:
    for address in ("/", "/examinations", "/crosstab"):
        page = browser.open(f"{address}?{query}")

        assert page.status == 422, address
        assert page.error_of(field), address
    assert browser.open(f"/statistics.csv?chart=gender&{query}").status == 422


@pytest.mark.usefixtures("population")
def test_nothing_is_counted_or_listed_when_a_filter_is_wrong(browser: Browser) -> None:
    for address in ("/", "/examinations", "/crosstab"):
        page = browser.open(f"{address}?gender=f")

        assert not page.soup.select("td[data-value]"), address
        assert not listed(page), address


@pytest.mark.parametrize(
    ("query", "field"),
    [("band_years=0", "band_years"), ("band_years=x", "band_years"), ("period=hour", "period")],
)
def test_wrong_step_is_told_beside_its_field_when_opened(browser: Browser, query: str, field: str) -> None:
    page = browser.open(f"/?{query}")

    assert page.status == 422
    assert page.error_of(field)


def test_unknown_filter_is_refused_when_the_url_has_one(browser: Browser) -> None:
    for address in ("/", "/examinations", "/crosstab"):
        page = browser.open(f"{address}?sex=female")

        assert page.status == 422, address
        assert "There is no filter “sex”" in words(page.soup.find(role="alert")), address


def test_crosstab_is_refused_when_rows_are_columns(browser: Browser) -> None:
    page = browser.open("/crosstab?rows=gender&columns=gender")

    assert page.status == 422
    assert "Choose two different ones" in page.error_of("columns")


@pytest.mark.usefixtures("population")
def test_crosstab_adds_up_when_two_properties_are_chosen(browser: Browser) -> None:
    page = browser.open("/crosstab?rows=gender&columns=outcome")

    table = {
        words(row.th): [words(cell) for cell in row.find_all("td")]
        for row in page.soup.select(".crosstab tbody tr")
    }
    assert table == {
        "Female": ["2", "1", "3"],
        "Male": ["0", "2", "2"],
        "Other": ["1", "0", "1"],
        "Unknown": ["0", "0", "0"],
        "All": ["3", "3", "6"],
    }


def test_newest_steps_are_shown_and_the_file_has_all_when_there_are_many(
    browser: Browser, clinic: Clinic, recount: Callable[[], None]
) -> None:
    lesion = LesionFactory(patient=PatientFactory(clinic=clinic))
    for days in (0, 199):
        PredictionFactory(
            lesion_image=LesionImageFactory(lesion=lesion, captured_at=NOW - timedelta(days=days))
        )
    recount()

    page = browser.open("/?period=day")
    rows = table_of(page, "by-period")
    address = page.soup.select_one("#by-period a[download]")
    assert isinstance(address, Tag)
    file = rows_of(browser.open(str(address["href"])))

    assert len(rows) == 120
    assert list(rows.values())[-1][2] == "1"
    assert "The newest 120 of 200" in words(page.soup.select_one("#by-period"))
    assert (len(file), file[0]["total"], file[1]["total"]) == (200, "1", "0")


@pytest.mark.usefixtures("population")
def test_files_hold_the_numbers_of_their_charts_when_downloaded(browser: Browser) -> None:
    page = browser.open("/?unit=lesion&age_max=60&band_years=20")

    for figure in page.soup.select("figure[id^=by-]"):
        link = figure.select_one("a[download]")
        assert isinstance(link, Tag)
        answer = browser.open(str(link["href"]))
        assert answer.headers["Content-Type"].startswith("text/csv")
        assert "attachment" in answer.headers["Content-Disposition"]
        rows = rows_of(answer)
        shown = [cells[:3] for cells in table_of(page, str(figure["id"])).values()]
        assert [[row["positive"], row["negative"], row["total"]] for row in rows] == shown
        assert {(row["unit"], row["filters"]) for row in rows} == {("lesion", "age_max=60 unit=lesion")}


@pytest.mark.usefixtures("population")
def test_file_holds_text_and_no_formula_when_a_name_looks_like_one(browser: Browser) -> None:
    (row,) = rows_of(browser.open("/statistics.csv?chart=model"))

    assert row["group"] == "'=cnn-1.0.0"


@pytest.mark.usefixtures("population")
def test_file_has_agreement_and_two_properties_when_asked_for(browser: Browser) -> None:
    review, histology = rows_of(browser.open("/statistics.csv?chart=agreement"))
    crosstab = rows_of(browser.open("/statistics.csv?chart=crosstab"))

    assert (review["true_negative"], review["false_positive"], review["sensitivity"]) == ("2", "1", "")
    assert (histology["true_positive"], histology["sensitivity"]) == ("1", "1.0")
    assert len(crosstab) == (len(Gender) + 1) * (10 + 1)
    assert [row["total"] for row in crosstab if row["row"] == row["column"] == "all"] == ["6"]


class TestAnalyst:
    """Who may see numbers but no patients gets rounded ones, and none below five."""

    @pytest.mark.usefixtures("population")
    def test_small_numbers_are_not_shown_and_nothing_is_linked_when_opened(self, analyst: Browser) -> None:
        page = analyst.open("/")

        tiles = [words(tile) for tile in page.soup.select(".tile__number, .tile__words")]
        assert set(tiles) == {"Too few to show"}
        assert "The numbers you see are rounded." in page.text
        assert not [link for link in page.links() if "/examinations" in link or "/worklist" in link]

    def test_charts_and_files_hide_small_groups_when_there_are_large_ones(
        self, analyst: Browser, clinic: Clinic, recount: Callable[[], None]
    ) -> None:
        lesion = LesionFactory(patient=PatientFactory(clinic=clinic, gender=Gender.FEMALE))
        for _ in range(40):
            PredictionFactory(lesion_image=LesionImageFactory(lesion=lesion))
        recount()

        page = analyst.open("/")
        file = {row["group"]: row for row in rows_of(analyst.open("/statistics.csv?chart=gender"))}

        genders = table_of(page, "by-gender")
        assert genders["Male"] == ["too few to show", "too few to show", "too few to show", "–"]
        assert int(genders["Female"][1]) % 5 == 0
        assert [cell["data-value"] for cell in page.soup.select("#by-gender tbody [data-series]")][2] == ""
        assert file["female"]["negative"] == genders["Female"][1]
        assert (file["male"]["total"], file["male"]["suppressed"]) == ("", "true")
        assert not page.soup.select("td[data-value] a")

    @pytest.mark.parametrize(
        ("query", "field"),
        [("date_from=2026-01-02", "date_from"), ("age_max=50", "age_max"), ("band_years=5", "band_years")],
    )
    def test_fine_filter_is_refused_beside_its_field_when_opened(
        self, analyst: Browser, query: str, field: str
    ) -> None:
        page = analyst.open(f"/?{query}")

        assert page.status == 422
        assert "Your account sees" in page.error_of(field)


WIDE = {"date_from": "2024-01-01", "date_to": "2026-12-31", "age_min": 0, "age_max": 129}
NARROW = {"date_from": "2025-01-01", "date_to": "2025-12-31", "age_min": 40, "age_max": 49}
"""As much as an analyst may leave."""


@pytest.mark.usefixtures("records")
@pytest.mark.parametrize("role", [Role.CLINICIAN, Role.ANALYST])
def test_overview_asks_the_database_little_when_there_is_much_on_record(
    sign_in: Callable[[User], Browser], app: Flask, role: Role
) -> None:
    """With one patient and with many: a list that asks for each of its rows would show."""
    browsers = []
    for patients in (1, 40):
        clinic, _ = write_population(
            Random(3), patients=patients, genders=(Gender.FEMALE,), sites=(AnatomSiteGeneral.HEAD_NECK,)
        )
        with app.app_context():
            count_population(clinic)
        browsers.append(sign_in(UserFactory(clinic=clinic, role=role)))
    fineness = {"band_years": 10, "period": Period.WEEK if role is Role.CLINICIAN else Period.MONTH}
    every_filter = {
        **(WIDE if role is Role.CLINICIAN else NARROW),
        "gender": Gender.FEMALE,
        "site": AnatomSiteGeneral.HEAD_NECK,
        "skin_type": FitzpatrickSkinType.II,
        "outcome": OutcomeLabel.MALIGNANT,
        "model": "alpha-1.0",
        "unit": StatisticsUnit.LESION,
    }

    asked = {}
    for patients, browser in zip(("one", "many"), browsers, strict=True):
        for name, query in (("none", fineness), ("every", every_filter | fineness)):
            with counting_queries() as seen:
                page = browser.open("/", query_string=query)
            assert page.status == 200
            asked[patients, name] = len(seen)

    assert max(asked.values()) <= MOST_QUERIES, asked
    assert listed(page) > 1 if role is Role.CLINICIAN else not listed(page)


@pytest.mark.usefixtures("population")
def test_form_shows_the_filters_when_the_url_has_them(browser: Browser) -> None:
    soup = browser.open("/?gender=male&age_min=5").soup

    chosen = soup.select_one("select[name=gender] option[selected]")
    assert isinstance(chosen, Tag)
    assert chosen["value"] == "male"
    assert soup.select_one("input[name=age_min]")["value"] == "5"


@pytest.mark.usefixtures("population")
def test_tiles_count_the_clinic_when_opened(browser: Browser) -> None:
    tiles = {
        words(tile.select_one(".tile__label")): int(words(tile.select_one(".tile__number")))
        for tile in browser.open("/").soup.select("li.tile")
    }

    assert tiles["Patients"] == tiles["Lesions"] == 4


def test_page_says_what_to_do_first_when_there_is_nothing(browser: Browser) -> None:
    page = browser.open("/")

    assert page.status == 200
    assert "/patients/new" in page.links()


class TestPatientList:
    def test_every_patient_is_seen_once_when_walking_the_pages(
        self, browser: Browser, clinic: Clinic
    ) -> None:
        names = {PatientFactory(clinic=clinic, family_name=f"Name{number}").public_id for number in range(53)}

        seen, page = [], browser.open("/patients")
        while True:
            seen += [link.rpartition("/")[2] for link in page.links() if is_patient(link)]
            following = page.soup.find("a", rel="next")
            if not isinstance(following, Tag):
                break
            page = browser.open(str(following["href"]))

        assert len(seen) == 53
        assert set(seen) == {str(name) for name in names}

    def test_search_stays_when_going_to_the_next_page(self, browser: Browser, clinic: Clinic) -> None:
        for number in range(30):
            PatientFactory(clinic=clinic, family_name="Alder", search_name=f"alder {number}")
            PatientFactory(clinic=clinic, family_name="Birch", search_name=f"birch {number}")

        page = browser.search("ald")
        following = page.soup.find("a", rel="next")
        assert isinstance(following, Tag)
        rest = browser.open(str(following["href"]))

        assert len([link for link in rest.links() if is_patient(link)]) == 5
        assert "Birch" not in rest.text

    def test_last_result_stands_beside_the_patient_when_there_is_one(
        self, browser: Browser, population: None
    ) -> None:
        rows = {
            words(row.find_all("td")[1]): words(row.find("td", attrs={"data-label": "Last result"}))
            for row in browser.open("/patients").soup.select("tbody tr")
        }

        assert rows.keys() == {"P-0", "P-1", "P-2", "P-3"}
        assert rows["P-0"].startswith("Malignant")
        assert rows["P-2"].startswith("Benign")

    @pytest.mark.parametrize("search", ["%", "_", "<b>", "'; DROP TABLE patient; --", "x" * 5000, "𐍈"])
    def test_page_says_that_nobody_fits_when_the_search_is_odd(
        self, browser: Browser, population: None, search: str
    ) -> None:
        page = browser.search(search)

        assert page.status in (200, 422)
        assert not [link for link in page.links() if is_patient(link)]

    def test_person_is_told_when_the_cursor_is_not_ours(self, browser: Browser) -> None:
        page = browser.open("/patients?cursor=x")

        assert page.status == 422
        assert "Start again without it." in page.text


def is_patient(link: str) -> bool:
    return link.startswith("/patients/") and link.count("-") == 4
