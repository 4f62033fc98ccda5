"""The assessments part of the REST API: what people said of a photograph."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Response

from melanoma_app.models import Addendum, Checklist, FirstRead, Review
from melanoma_app.prediction.report_pdf import answer_with_report
from melanoma_app.prediction.review_schemas import (
    AddendumSchema,
    ChecklistSchema,
    FirstReadSchema,
    NewAddendumSchema,
    NewChecklistSchema,
    NewFirstReadSchema,
    NewReviewSchema,
    ReviewSchema,
)
from melanoma_app.rest import ApiBlueprint
from melanoma_app.security.authentication import current_actor, requires_token
from melanoma_app.security.permissions import Permission
from melanoma_app.services.checklists import record_checklist
from melanoma_app.services.first_reads import record_first_read
from melanoma_app.services.reviews import add_addendum, sign_review

blueprint = ApiBlueprint(
    "assessments",
    __name__,
    url_prefix="/api/v1",
    description="What people said of a photograph: first reads, checklists, signed reviews",
)


@blueprint.route("/images/<uuid:image_id>/first-reads", methods=["POST"])
@requires_token(Permission.REVIEW)
@blueprint.arguments(NewFirstReadSchema)
@blueprint.response(201, FirstReadSchema)
def create_first_read(details: dict[str, Any], image_id: uuid.UUID) -> FirstRead:
    """Keep your own impression of a photograph, best before you see the model's. For clinicians.

    409 when you have recorded one already.
    """
    return record_first_read(image_public_id=image_id, actor=current_actor(), **details)


@blueprint.route("/images/<uuid:image_id>/checklists", methods=["POST"])
@requires_token(Permission.ADD_IMAGES)
@blueprint.arguments(NewChecklistSchema)
@blueprint.response(201, ChecklistSchema)
def create_checklist(details: dict[str, Any], image_id: uuid.UUID) -> Checklist:
    """Record what was found at a photograph; the scores are computed, and the newest checklist counts."""
    return record_checklist(image_public_id=image_id, actor=current_actor(), **details)


@blueprint.route("/images/<uuid:image_id>/review", methods=["POST"])
@requires_token(Permission.REVIEW)
@blueprint.arguments(NewReviewSchema)
@blueprint.response(201, ReviewSchema)
def create_review(details: dict[str, Any], image_id: uuid.UUID) -> Review:
    """Sign your judgement of a photograph; it cannot be changed afterwards. For clinicians.

    409 when it is signed already, or a model has given a newer answer than `prediction_id`.
    """
    return sign_review(
        image_public_id=image_id,
        prediction_public_id=details.pop("prediction_id"),
        actor=current_actor(),
        **details,
    )


@blueprint.route("/images/<uuid:image_id>/report")
@requires_token(Permission.READ_PATIENTS)
@blueprint.file_response("application/pdf")
def show_report(image_id: uuid.UUID) -> Response:
    """The report to print, as a PDF: preliminary until the review is signed."""
    return answer_with_report(image_id)


@blueprint.route("/reviews/<uuid:review_id>/addenda", methods=["POST"])
@requires_token(Permission.REVIEW)
@blueprint.arguments(NewAddendumSchema)
@blueprint.response(201, AddendumSchema)
def create_addendum(details: dict[str, Any], review_id: uuid.UUID) -> Addendum:
    """Add something to a signed review, under your name; it cannot be changed afterwards. For clinicians."""
    return add_addendum(review_public_id=review_id, actor=current_actor(), **details)
