"""The report of a photograph as a PDF, for the page and for the API."""

from __future__ import annotations

import uuid

from flask import Response, render_template, url_for

from melanoma_app.security.authentication import current_actor
from melanoma_app.services.lesion_images import read_image
from melanoma_app.services.reports import read_report, write_pdf


def answer_with_report(public_id: uuid.UUID) -> Response:
    """The printable page's own HTML as a PDF; its file name says nothing of the patient."""
    actor = current_actor()
    content = write_pdf(
        html=render_template(
            "reviews/report.html", report=read_report(image_public_id=public_id, actor=actor)
        ),
        photograph=read_image(public_id=public_id, actor=actor).content,
        photograph_address=url_for("prediction.image", public_id=public_id),
    )
    response = Response(content, mimetype="application/pdf")
    response.headers["Content-Disposition"] = f'inline; filename="report-{public_id}.pdf"'
    return response
