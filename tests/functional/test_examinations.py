"""Taking photographs in through the page: the gate, the first read, the checklists, and what the script is told."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from bs4 import Tag
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse

from melanoma_app.models import Checklist, Clinic, FirstRead, Lesion, LesionImage, Prediction, User
from melanoma_app.models.vocabulary import Role
from tests.api import multipart
from tests.browsing import Browser
from tests.factories import LesionFactory, LesionImageFactory, PredictionFactory, UserFactory
from tests.photographs import draw_blurred_photograph
from tests.records import Records


@pytest.fixture
def lesion(clinic: Clinic) -> Lesion:
    return LesionFactory(patient__clinic=clinic)


@pytest.fixture
def image(lesion: Lesion) -> LesionImage:
    """A photograph with an answer."""
    return PredictionFactory(lesion_image__lesion=lesion).lesion_image


def send_as_script(browser: Browser, lesion: Lesion, content: bytes, **values: Any) -> TestResponse:
    """What the page's script sends for one of several photographs."""
    address = f"/lesions/{lesion.public_id}/images/new"
    holder = browser.open(address).form().find("input", attrs={"name": "csrf_token"})
    assert isinstance(holder, Tag)
    given = {
        "csrf_token": holder["value"],
        "image_type": "dermoscopic",
        "image": FileStorage(BytesIO(content), "photo.jpg"),
    }
    body, content_type = multipart(given | values)
    return browser.client.post(
        address, data=body, content_type=content_type, headers={"Accept": "application/json"}
    )


def test_fields_are_kept_when_the_form_is_sent(
    browser: Browser, lesion: Lesion, records: Records, photograph: bytes
) -> None:
    page = browser.fill_in(
        f"/lesions/{lesion.public_id}/images/new",
        image=(photograph, "photo.jpg"),
        image_type="clinical: close-up",
        clin_size_long_diam_mm="4,5",
    )

    image = records.one(LesionImage)
    assert page.path == f"/examinations/{image.public_id}"
    assert (image.image_type.value, image.clin_size_long_diam_mm) == ("clinical: close-up", 4.5)


@pytest.mark.parametrize("size", ["0", "501", "wide", "nan"])
def test_size_is_refused_beside_its_field_when_it_cannot_be(
    browser: Browser, lesion: Lesion, records: Records, photograph: bytes, size: str
) -> None:
    page = browser.fill_in(
        f"/lesions/{lesion.public_id}/images/new",
        image=(photograph, "photo.jpg"),
        clin_size_long_diam_mm=size,
    )

    assert page.status == 422
    assert page.error_of("clin_size_long_diam_mm")
    assert records.files() == []


def test_page_tells_what_is_wrong_and_takes_a_reason_when_blurred(
    browser: Browser, lesion: Lesion, records: Records
) -> None:
    blurred = (draw_blurred_photograph(), "photo.jpg")
    page = browser.fill_in(f"/lesions/{lesion.public_id}/images/new", image=blurred)

    assert page.status == 422
    (alert,) = page.soup.find_all(role="alert")
    assert "blurred" in alert.get_text()
    assert "choose it once more" in alert.get_text()
    assert records.count(LesionImage) == 0
    done = browser.send(page.form(), page, image=blurred, quality_override_reason="It will not get better")
    assert done.path == f"/examinations/{records.one(LesionImage).public_id}"


def test_script_is_told_where_to_go_when_stored(
    browser: Browser, lesion: Lesion, records: Records, photograph: bytes
) -> None:
    response = send_as_script(browser, lesion, photograph)

    public_id = records.one(LesionImage).public_id
    assert response.status_code == 201
    assert response.json == {"address": f"/examinations/{public_id}", "image": str(public_id)}


def test_script_is_told_the_findings_when_blurred(browser: Browser, lesion: Lesion, records: Records) -> None:
    response = send_as_script(browser, lesion, draw_blurred_photograph())

    assert response.status_code == 422
    (finding,) = response.json["findings"]
    assert finding.keys() == {"issue", "reason", "hint"}
    assert finding["issue"] == "blurred"
    assert records.count(LesionImage) == 0


@pytest.mark.parametrize(
    ("content", "values", "status"), [(b"GIF89a", {}, 415), (b"", {"image_type": "drawn"}, 422)]
)
def test_script_is_told_in_words_when_anything_else_is_wrong(
    browser: Browser, lesion: Lesion, content: bytes, values: dict[str, str], status: int
) -> None:
    response = send_as_script(browser, lesion, content, **values)

    assert response.status_code == status
    assert response.json["message"].endswith(".")
    assert response.json["findings"] == []


def test_photograph_is_stored_without_answer_when_the_patient_was_not_asked(
    browser: Browser, clinic: Clinic, records: Records, photograph: bytes
) -> None:
    lesion = LesionFactory(patient__clinic=clinic, patient__consent_to_ai_analysis=None)
    address = f"/lesions/{lesion.public_id}/images/new"
    assert "no model looks at it" in browser.open(address).text

    page = browser.fill_in(address, image=(photograph, "photo.jpg"))

    assert page.status == 200
    assert records.count(LesionImage) == 1
    assert records.count(Prediction) == 0


def test_first_read_comes_before_the_result_when_wanted(
    browser: Browser, lesion: Lesion, records: Records, photograph: bytes
) -> None:
    page = browser.fill_in(
        f"/lesions/{lesion.public_id}/images/new", image=(photograph, "photo.jpg"), own_impression="y"
    )

    public_id = records.one(LesionImage).public_id
    assert page.path == f"/examinations/{public_id}/first-read"
    for word in ("probability", "%", "threshold"):
        assert word not in page.text
    done = browser.send(page.form(), page, impression="malignant", note="Ugly duckling")
    assert done.path == f"/examinations/{public_id}"
    first_read = records.one(FirstRead)
    assert (first_read.impression.value, first_read.note) == ("malignant", "Ugly duckling")
    assert not first_read.answer_was_shown


def test_first_reads_follow_one_another_when_several_were_sent(
    browser: Browser, image: LesionImage, records: Records
) -> None:
    other = LesionImageFactory(lesion=image.lesion)

    page = browser.fill_in(
        f"/examinations/{image.public_id}/first-read?then={other.public_id}", impression="benign"
    )

    assert page.path == f"/examinations/{other.public_id}/first-read"


def test_first_read_leads_to_the_result_when_made_already(browser: Browser, image: LesionImage) -> None:
    browser.fill_in(f"/examinations/{image.public_id}/first-read", impression="benign")

    assert (
        browser.open(f"/examinations/{image.public_id}/first-read").path == f"/examinations/{image.public_id}"
    )


def test_first_read_is_not_offered_when_a_nurse_takes_photographs(
    sign_in: Callable[[User], Browser], clinic: Clinic, lesion: Lesion
) -> None:
    page = sign_in(UserFactory(clinic=clinic, role=Role.NURSE)).open(
        f"/lesions/{lesion.public_id}/images/new"
    )

    assert page.soup.find(attrs={"name": "own_impression"}) is None


def test_checklist_is_shown_with_its_score_when_recorded(
    browser: Browser, image: LesionImage, records: Records
) -> None:
    page = browser.fill_in(
        f"/examinations/{image.public_id}",
        action=f"/examinations/{image.public_id}/checklist",
        blue_whitish_veil="y",
        regression_structures="y",
    )

    assert "3 of 10 points" in page.text
    assert "Flagged" in page.text
    assert records.one(Checklist).abcde_count is None


def test_checklist_is_refused_when_nothing_was_gone_through(
    browser: Browser, image: LesionImage, records: Records
) -> None:
    page = browser.fill_in(
        f"/examinations/{image.public_id}", action=f"/examinations/{image.public_id}/checklist"
    )

    assert page.status == 422
    assert records.count(Checklist) == 0
