"""Hostile list 4: a body naming another record's id."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from flask.testing import FlaskClient

from melanoma_app.models import Clinic, Histopathology, Lesion, Patient, User
from melanoma_app.models.vocabulary import Role
from tests.browsing import Browser
from tests.factories import PredictionFactory
from tests.functional.test_borders import BODIES, FORMS, IN_GROUP, OPERATIONS
from tests.hostile.doors import csrf_token, fill
from tests.hostile.stock import take_stock
from tests.records import Records

Ids = dict[str, str]
OTHERS = ("others", "foreign")
"""Of another patient of the clinic, and of another clinic."""


def ids_of(clinic: Clinic) -> Ids:
    """The ids of a new patient with a lesion, a photograph and an answer that waits for its signature."""
    prediction = PredictionFactory(lesion_image__lesion__patient__clinic=clinic)
    image = prediction.lesion_image
    records = {
        "patient": image.lesion.patient,
        "lesion": image.lesion,
        "image": image,
        "prediction": prediction,
    }
    return {name: str(one.public_id) for name, one in records.items()}


@pytest.fixture
def known(clinic: Clinic, outsider: User) -> dict[str, Ids]:
    return {"own": ids_of(clinic), "others": ids_of(clinic), "foreign": ids_of(outsider.clinic)}


def test_nothing_is_signed_when_the_answer_is_of_another_photograph(
    client: FlaskClient, headers: dict[str, str], browser: Browser, known: dict[str, Ids], records: Records
) -> None:
    own, token, before = known["own"], csrf_token(browser.client), take_stock(records)
    for whose in OTHERS:
        named = own | {"prediction": known[whose]["prediction"]}
        called = client.post(
            f"/api/v1/images/{own['image']}/review",
            json=fill(BODIES["POST /api/v1/images/{image}/review"], named),
            headers=headers,
        )
        sent = browser.client.post(
            f"/examinations/{own['image']}/review",
            data=fill(FORMS["POST /examinations/{image}/review"], named) | {"csrf_token": token},
        )

        assert (called.status_code, sent.status_code) == (409, 409), whose
        assert take_stock(records) == before


def test_nothing_is_merged_when_the_other_record_is_another_clinics(
    client: FlaskClient, headers: dict[str, str], browser: Browser, known: dict[str, Ids], records: Records
) -> None:
    own, foreign = known["own"]["patient"], known["foreign"]["patient"]
    names = records.one(Patient, Patient.public_id == uuid.UUID(foreign))
    token, before = csrf_token(browser.client), take_stock(records)

    called = client.post(
        f"/api/v1/patients/{own}/merge", json={"merged_patient_id": foreign, "reason": "x"}, headers=headers
    )
    sent = browser.client.post(
        f"/patients/{own}/merge", data={"merged": foreign, "reason": "x", "csrf_token": token}
    )
    opened = browser.client.get(f"/patients/{own}/merge?merged={foreign}")

    for answer in (called, sent, opened):
        assert answer.status_code == 404
        assert names.family_name not in answer.get_data(as_text=True)
    assert take_stock(records) == before


def test_no_photograph_is_compared_when_it_is_of_another_lesion(
    client: FlaskClient, headers: dict[str, str], browser: Browser, known: dict[str, Ids]
) -> None:
    lesion, image = known["own"]["lesion"], known["own"]["image"]
    for whose in OTHERS:
        theirs = known[whose]["image"]
        for left, right in ((image, theirs), (theirs, image), (theirs, theirs)):
            query = {"left": left, "right": right}
            called = client.get(f"/api/v1/lesions/{lesion}/comparison", query_string=query, headers=headers)
            opened = browser.client.get(f"/lesions/{lesion}/compare", query_string=query)
            for answer in (called, opened):
                assert answer.status_code in (404, 422), (whose, query)
                assert known[whose]["lesion"] not in answer.get_data(as_text=True)


def test_next_photograph_is_not_there_when_the_address_names_another_clinics(
    browser: Browser, known: dict[str, Ids]
) -> None:
    foreign = known["foreign"]["image"]
    after = browser.client.get(f"/worklist/next?after={foreign}")
    then = browser.client.post(
        f"/examinations/{known['own']['image']}/first-read?then={foreign}",
        data={"impression": "benign", "csrf_token": csrf_token(browser.client)},
    ).headers["Location"]

    assert after.status_code == 404
    assert browser.client.get(then).status_code == 404


@pytest.mark.parametrize("whose", OTHERS)
def test_record_stays_with_its_own_when_the_body_names_another(
    client: FlaskClient,
    headers: dict[str, str],
    browser: Browser,
    known: dict[str, Ids],
    records: Records,
    whose: str,
) -> None:
    own, theirs = known["own"], known[whose]
    named = {f"{name}_id": value for name, value in theirs.items()} | {"id": theirs["patient"]}
    before, token = take_stock(records), csrf_token(browser.client)
    for endpoint, body in BODIES.items():
        kind = endpoint.partition("{")[2].partition("}")[0]
        is_open = Role.CLINICIAN in IN_GROUP[OPERATIONS[endpoint]]
        if kind not in own or not is_open or endpoint.endswith("/merge"):
            continue
        extra = {name: value for name, value in named.items() if name not in body}
        method, _, address = endpoint.partition(" ")
        answer: Any = client.open(
            address.format(**own), method=method, json=fill(body, own) | extra, headers=headers
        )
        assert answer.status_code == 422, endpoint
        assert set(answer.json["error"]["fields"]) == set(extra), endpoint
    assert take_stock(records) == before

    browser.client.post(
        f"/lesions/{own['lesion']}/histopathology",
        data=FORMS["POST /lesions/{lesion}/histopathology"] | named | {"csrf_token": token},
    )
    lesion = records.one(Lesion, Lesion.public_id == uuid.UUID(own["lesion"]))
    assert [one.lesion_id for one in records.all(Histopathology)] == [lesion.id]
