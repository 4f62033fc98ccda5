"""The report: one template for the printer and for the PDF, which fetches nothing from anywhere."""

from __future__ import annotations

import ctypes.util
import io
import os
import sys
import uuid
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pypdf import PdfReader
from sqlalchemy import select

from melanoma_app.errors import UnavailableError
from melanoma_app.models import AuditEvent, Clinic, Lesion, LesionImage, Prediction, User
from melanoma_app.models.vocabulary import AuditAction, OutcomeLabel, ReviewPlan
from melanoma_app.services.reports import write_pdf
from tests.api import send_image
from tests.browsing import Browser
from tests.factories import AddendumFactory, HistopathologyFactory, LesionFactory, ReviewFactory, session
from tests.records import Records

needs_pango = pytest.mark.skipif(
    ctypes.util.find_library("pangoft2-1.0") is None and not os.environ.get("CI"),
    reason="Pango is missing, so no PDF was tested. Install libpango-1.0-0 and libpangoft2-1.0-0.",
)
READ = AuditEvent.action == AuditAction.REPORT_READ


@pytest.fixture
def image_id(
    client: FlaskClient, headers: dict[str, str], clinic: Clinic, records: Records, photograph: bytes
) -> uuid.UUID:
    """A photograph, with its file, of a patient whose name is Greek and Cyrillic."""
    lesion = LesionFactory(
        patient__clinic=clinic, patient__family_name="Παπαδοπούλου", patient__given_name="Мария"
    )
    assert send_image(client, lesion.public_id, headers, photograph).status_code == 201
    return records.one(LesionImage).public_id


def sign(image_id: uuid.UUID, user: User) -> None:
    """A signed override with an addendum and a laboratory report."""
    image = session.scalars(select(LesionImage).where(LesionImage.public_id == image_id)).one()
    prediction = session.scalars(select(Prediction)).one()
    review = ReviewFactory(
        prediction=prediction,
        lesion_image=image,
        signed_by=user,
        conclusion=OutcomeLabel.MALIGNANT,
        plan=ReviewPlan.BIOPSY,
        reason="Two colours",
    )
    AddendumFactory(review=review, text="Bled on Monday")
    HistopathologyFactory(
        lesion=session.get_one(Lesion, image.lesion_id),
        recorded_by=user,
        diagnosis="Superficial spreading melanoma",
    )


def text_of(content: bytes) -> str:
    return " ".join(" ".join(page.extract_text() for page in PdfReader(io.BytesIO(content)).pages).split())


@needs_pango
def test_pdf_says_all_that_is_on_record_when_signed(
    browser: Browser, image_id: uuid.UUID, user: User, records: Records
) -> None:
    sign(image_id, user)

    response = browser.client.get(f"/examinations/{image_id}/report.pdf")

    assert response.mimetype == "application/pdf"
    assert response.data.startswith(b"%PDF")
    text = text_of(response.data)
    for phrase in (
        "Παπαδοπούλου, Мария",
        "never replaces, a clinician",
        "Two colours",
        f"Signed {user.display_name}",
        "Bled on Monday",
        "Superficial spreading melanoma",
        f"Page 1 of {len(PdfReader(io.BytesIO(response.data)).pages)}",
    ):
        assert phrase in text
    assert "PRELIMINARY" not in text
    assert "Παπαδοπούλου" not in response.headers["Content-Disposition"]
    assert len(PdfReader(io.BytesIO(response.data)).pages[0].images) == 1
    assert records.one(AuditEvent, READ).subject_public_id == image_id


@needs_pango
def test_every_sheet_says_preliminary_when_not_signed(browser: Browser, image_id: uuid.UUID) -> None:
    response = browser.client.get(f"/examinations/{image_id}/report.pdf")

    for page in PdfReader(io.BytesIO(response.data)).pages:
        assert "PRELIMINARY: not signed" in " ".join(page.extract_text().split())


def test_page_says_the_same_and_prints_without_pango_when_opened(
    browser: Browser, image_id: uuid.UUID, user: User, records: Records
) -> None:
    sign(image_id, user)

    page = browser.open(f"/examinations/{image_id}/report")

    assert "Παπαδοπούλου, Мария" in page.text
    assert "Bled on Monday" in page.text
    assert "SNOMED CT" in page.text
    assert page.heading == "Skin-lesion report"
    assert records.count(AuditEvent, READ) == 1


@needs_pango
@pytest.mark.parametrize(
    "address", ["https://example.org/a.png", "file:///etc/passwd", "/static/js/api.js", "/images/other"]
)
def test_nothing_else_is_fetched_when_the_page_asks_for_it(app: Flask, address: str) -> None:
    html = f'<img src="/images/own" alt=""><img src="{address}" alt="">'

    with app.test_request_context(), pytest.raises(RuntimeError, match="none of ours"):
        write_pdf(html=html, photograph=b"", photograph_address="/images/own")


@pytest.fixture
def _without_pango(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A WeasyPrint that finds no shared libraries."""
    (tmp_path / "weasyprint.py").write_text("raise OSError('cannot load library')", encoding="utf-8")
    for name in [name for name in sys.modules if name.partition(".")[0] == "weasyprint"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("_without_pango")
def test_refusal_names_the_package_when_pango_is_missing(app: Flask) -> None:
    with app.test_request_context(), pytest.raises(UnavailableError, match=r"libpango-1\.0-0") as refusal:
        write_pdf(html="<p>x</p>", photograph=b"", photograph_address="/images/own")

    assert "print the report's page" in refusal.value.message
