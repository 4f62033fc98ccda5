"""Line 40: nothing cached after sign-out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest
from flask.testing import FlaskClient
from playwright.sync_api import Page, expect

from melanoma_app.models import Clinic, Patient, User
from melanoma_app.models.vocabulary import Role
from tests.browser.conftest import sign_in as sign_in_there
from tests.browser.steps import add_lesion, register, search_in_vain
from tests.browsing import Browser
from tests.factories import UserFactory
from tests.functional.test_borders import OPERATIONS, PAGES
from tests.hostile.doors import call_operation, csrf_token, use_page
from tests.records import Records


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_no_answer_may_be_kept_when_any_page_or_operation_answers(
    sign_in: Callable[[User], Browser],
    token_headers: Callable[[User], dict[str, str]],
    client: FlaskClient,
    clinic: Clinic,
    ids: dict[str, str],
) -> None:
    admin = UserFactory(clinic=clinic, role=Role.ADMIN)
    browser, headers = sign_in(admin), token_headers(admin)
    for endpoint in [one for one in PAGES if "/sign-out" not in one]:
        if endpoint.startswith("GET "):
            answer = use_page(browser.client, endpoint, ids, token="")
            assert answer.headers["Cache-Control"] == "no-store", endpoint
    for endpoint in OPERATIONS:
        answer = call_operation(client, endpoint, ids, headers)
        assert answer.headers["Cache-Control"] == "no-store", endpoint
    for address in ("/nowhere", "/api/v1/nowhere", "/static/nowhere.css"):
        assert browser.client.get(address).headers["Cache-Control"] == "no-store", address


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_only_static_files_may_be_kept_when_somebody_is_signed_in(browser: Browser) -> None:
    with browser.client.get("/static/css/base.css") as answer:
        assert "no-store" not in answer.headers.get("Cache-Control", "")


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_browser_is_told_to_forget_when_signing_out(browser: Browser) -> None:
    answer = browser.client.post("/sign-out", data={"csrf_token": csrf_token(browser.client)})

    assert answer.headers["Clear-Site-Data"] == '"cache"'
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_back_shows_no_patient_when_signed_out(page: Page, records: Records) -> None:
    sign_in_there(page)
    search_in_vain(page, name="Garcia")
    register(page, mrn="BACK-1")
    patients_page = page.url
    add_lesion(page)
    assert records.one(Patient).birth_date == date(1962, 4, 27)
    page.goto(patients_page)
    expect(page.get_by_text("BACK-1").first).to_be_visible()

    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("User name").wait_for()

    for _ in range(4):
        page.go_back()
        page.wait_for_load_state()
        assert "Garcia" not in page.content()
        assert "BACK-1" not in page.content()
    assert "Garcia" not in page.title()
