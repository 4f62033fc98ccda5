"""Merging two records of one person through the pages, and undoing it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from melanoma_app.models import Clinic, Lesion, Patient, PatientMerge, User
from melanoma_app.models.vocabulary import Role
from tests.browsing import Browser
from tests.factories import LesionFactory, PatientFactory, PatientMergeFactory, UserFactory
from tests.records import Records


@pytest.fixture
def kept(clinic: Clinic) -> Patient:
    return LesionFactory(patient__clinic=clinic, patient__mrn="KEPT", patient__family_name="Alder").patient


@pytest.fixture
def merged(clinic: Clinic) -> Patient:
    return LesionFactory(patient__clinic=clinic, patient__mrn="TWIN", patient__family_name="Alder").patient


def test_records_are_merged_and_parted_again_when_done_by_hand(
    browser: Browser, kept: Patient, merged: Patient, records: Records
) -> None:
    address = f"/patients/{kept.public_id}/merge"
    found = browser.fill_in(address, action=f"{address}/search", search="alder")
    compare = f"/patients/{kept.public_id}/merge?merged={merged.public_id}"
    assert [link for link in found.links() if "merged=" in link] == [compare]

    page = browser.fill_in(compare, reason="Same birth date and address")

    assert page.path == f"/patients/{kept.public_id}"
    assert "Also registered as TWIN" in page.text
    assert sorted((one.patient_id, one.number) for one in records.all(Lesion)) == [(kept.id, 1), (kept.id, 2)]
    former = browser.open(f"/patients/{merged.public_id}")
    assert former.path == f"/patients/{kept.public_id}"
    assert "The record you opened was merged into this one." in former.text

    (merge,) = records.all(PatientMerge)
    page = browser.send(former.form(f"/merges/{merge.public_id}/revert"), former)

    assert "The merge is undone." in page.text
    assert browser.open(f"/patients/{merged.public_id}").path == f"/patients/{merged.public_id}"
    assert {(one.patient_id, one.number) for one in records.all(Lesion)} == {(kept.id, 1), (merged.id, 1)}


def test_reason_is_asked_for_beside_its_field_when_left_out(
    browser: Browser, kept: Patient, merged: Patient, records: Records
) -> None:
    page = browser.fill_in(f"/patients/{kept.public_id}/merge?merged={merged.public_id}")

    assert page.status == 422
    assert "Say why" in page.error_of("reason")
    assert records.count(PatientMerge) == 0


def test_refusal_says_what_to_do_when_the_consents_disagree(
    browser: Browser, clinic: Clinic, kept: Patient, records: Records
) -> None:
    other = PatientFactory(clinic=clinic, consent_to_ai_analysis=False)

    page = browser.fill_in(f"/patients/{kept.public_id}/merge?merged={other.public_id}", reason="Same")

    assert page.status == 422
    assert "Ask the patient" in page.text
    assert records.count(PatientMerge) == 0


def test_second_person_is_led_to_the_kept_record_when_both_merge(
    browser: Browser, kept: Patient, merged: Patient, records: Records
) -> None:
    address = f"/patients/{kept.public_id}/merge?merged={merged.public_id}"
    first, second = browser.open(address), browser.open(address)
    browser.send(first.form(), first, reason="First")

    page = browser.send(second.form(), second, reason="Second")

    assert page.path == f"/patients/{kept.public_id}"
    assert "Nothing was saved" in page.text
    assert records.one(PatientMerge).reason == "First"


def test_editor_is_led_to_the_kept_record_when_it_was_merged_meanwhile(
    browser: Browser, merged: Patient, kept: Patient, records: Records
) -> None:
    form = browser.open(f"/patients/{merged.public_id}/edit")
    PatientMergeFactory(kept=kept, merged=merged)

    page = browser.send(form.form(), form, given_name="Typed")

    assert page.path == f"/patients/{kept.public_id}"
    assert "Nothing was saved" in page.text
    assert records.count(Patient, Patient.given_name == "Typed") == 0


def test_nurse_is_shown_no_way_to_merge_when_on_the_patients_page(
    sign_in: Callable[[User], Browser], clinic: Clinic, kept: Patient, merged: Patient
) -> None:
    PatientMergeFactory(kept=kept, merged=merged)

    page = sign_in(UserFactory(clinic=clinic, role=Role.NURSE)).open(f"/patients/{kept.public_id}")

    assert "Also registered as TWIN" in page.text
    assert not [link for link in page.links() if link.endswith("/merge")]
    assert not page.soup.find("form", action=lambda action: action and action.startswith("/merges/"))
