"""The overview and the lists: every number is the count of what its link opens; filters stand in the URL."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from bs4 import Tag

from melanoma_app.models import Clinic
from melanoma_app.models.vocabulary import Gender, OutcomeLabel
from tests.browsing import Browser, Page, words
from tests.factories import LesionFactory, LesionImageFactory, PatientFactory, PredictionFactory

NOW = datetime.now(UTC)


@pytest.fixture
def population(clinic: Clinic) -> None:
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
            PredictionFactory(lesion_image=image, label=OutcomeLabel(label))


def listed(page: Page) -> int:
    """The examinations in the page's list."""
    return len({link for link in page.links() if link.startswith("/predictions/")})


@pytest.mark.usefixtures("population")
@pytest.mark.parametrize(
    "query", ["", "gender=female", "age_min=35", "age_max=36", "age_min=35&age_max=50", "outcome=malignant"]
)
def test_link_opens_exactly_what_its_number_counts_when_filtered(browser: Browser, query: str) -> None:
    overview = browser.open(f"/?{query}")
    assert overview.status == 200
    cells = overview.soup.select("td[data-value] a")
    assert cells

    wrong = {}
    for link in cells:
        number = int(words(link))
        address = str(link["href"])
        page = browser.open(address)
        if listed(page) != number or page.soup.find_all(role="alert"):
            wrong[address] = (number, listed(page))

    assert not wrong


@pytest.mark.usefixtures("population")
def test_tables_agree_with_each_other_when_counted_three_ways(browser: Browser) -> None:
    soup = browser.open("/").soup

    for series, expected in (("malignant", 3), ("benign", 3)):
        for chart in ("by-result", "by-gender", "by-age"):
            cells = soup.select(f"#{chart} tbody td[data-series={series}]")
            assert sum(int(str(cell["data-value"])) for cell in cells) == expected


@pytest.mark.usefixtures("population")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("gender=female", 3),
        ("gender=unknown", 0),
        ("outcome=malignant", 3),
        ("age_min=36&age_max=37", 3),
        (f"date_from={NOW.date()}", 4),
        (f"date_to={NOW.date() - timedelta(days=1)}", 2),
    ],
)
def test_list_is_filtered_when_the_url_says_so(browser: Browser, query: str, expected: int) -> None:
    assert listed(browser.open(f"/examinations?{query}")) == expected


@pytest.mark.usefixtures("population")
@pytest.mark.parametrize("address", ["/", "/examinations"])
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("age_min=x", "age_min"),
        ("age_min=9&age_max=8", "age_min"),
        ("date_from=2026-13-01", "date_from"),
        ("date_from=2026-02-01&date_to=2026-01-01", "date_from"),
        ("gender=f", "gender"),
        ("age_max=99999999999999999999", "age_max"),
    ],
)
def test_wrong_filter_is_told_beside_its_field_when_opened(
    browser: Browser, address: str, query: str, field: str
) -> None:
    page = browser.open(f"{address}?{query}")

    assert page.status in (200, 422)
    assert page.error_of(field)


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

        page = browser.open("/patients?search=ald")
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
        page = browser.open("/patients", query_string={"search": search})

        assert page.status in (200, 422)
        assert not [link for link in page.links() if is_patient(link)]

    def test_person_is_told_when_the_cursor_is_not_ours(self, browser: Browser) -> None:
        page = browser.open("/patients?cursor=x")

        assert page.status == 422
        assert "Start again without it." in page.text


def is_patient(link: str) -> bool:
    return link.startswith("/patients/") and link.count("-") == 4
