"""The pages about a result: what the model said, the clinician's review, the report."""

from __future__ import annotations

import uuid

from flask import Blueprint, Response, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import UnprocessableEntity

from melanoma_app.errors import ClinicError, InvalidInputError, NotFoundError
from melanoma_app.models.vocabulary import OutcomeLabel, ReviewPlan
from melanoma_app.prediction.forms import ChecklistForm
from melanoma_app.prediction.report_pdf import answer_with_report
from melanoma_app.prediction.review_forms import AddendumForm, ReviewForm
from melanoma_app.security.authentication import current_actor, requires
from melanoma_app.security.permissions import Permission
from melanoma_app.services.examinations import score_image
from melanoma_app.services.heat_maps import draw_heat_map
from melanoma_app.services.model_answers import may_model_look
from melanoma_app.services.predictions import read_result
from melanoma_app.services.reports import read_report
from melanoma_app.services.reviews import add_addendum, find_review, sign_review

blueprint = Blueprint("reviews", __name__)


@blueprint.get("/examinations/<uuid:public_id>")
@requires(Permission.READ_PATIENTS)
def result(public_id: uuid.UUID) -> ResponseReturnValue:
    """A photograph with its newest answer, or why there is none, and the review."""
    return render_result(public_id)


@blueprint.post("/examinations/<uuid:public_id>/score")
@requires(Permission.ADD_IMAGES)
def score(public_id: uuid.UUID) -> ResponseReturnValue:
    """Let the active model look at a stored photograph."""
    score_image(image_public_id=public_id, actor=current_actor())
    flash("The model has looked at the photograph. Its answer is stored.")
    return redirect(url_for("reviews.result", public_id=public_id))


@blueprint.post("/examinations/<uuid:public_id>/review")
@requires(Permission.REVIEW)
def sign(public_id: uuid.UUID) -> ResponseReturnValue:
    """Sign the review; a refusal shows the page again with everything that was typed."""
    form = ReviewForm()
    status, refusal = UnprocessableEntity.code, None
    if form.validate_on_submit():
        try:
            sign_review(
                image_public_id=public_id,
                prediction_public_id=form.prediction_public_id,
                conclusion=OutcomeLabel(form.conclusion.data),
                plan=ReviewPlan(form.plan.data),
                reason=form.reason.data or "",
                clinical_diagnosis=form.clinical_diagnosis.data or "",
                due_on=form.due_on.data,
                actor=current_actor(),
            )
        except NotFoundError:
            raise
        except InvalidInputError as error:
            form.show_problems(error.fields)
        except ClinicError as error:
            status, refusal = error.status.value, error.message
        else:
            flash("Your review is signed.")
            return redirect(url_for("reviews.result", public_id=public_id, _anchor="review"))
    return render_result(public_id, review_form=form, refusal=refusal), status


@blueprint.post("/reviews/<uuid:public_id>/addenda", endpoint="add_addendum")
@requires(Permission.REVIEW)
def write_addendum(public_id: uuid.UUID) -> ResponseReturnValue:
    """Add to a signed review."""
    review = find_review(public_id=public_id, actor=current_actor())
    image_id = review.lesion_image.public_id
    form = AddendumForm()
    if form.validate_on_submit():
        try:
            add_addendum(review_public_id=public_id, text=form.text.data or "", actor=current_actor())
        except InvalidInputError as error:
            form.text.errors = [*form.text.errors, *error.fields["text"]]
        else:
            flash("Your addendum is stored.")
            return redirect(url_for("reviews.result", public_id=image_id, _anchor="review"))
    return render_result(image_id, addendum_form=form), UnprocessableEntity.code


@blueprint.get("/predictions/<uuid:public_id>/heat-map")
@requires(Permission.READ_PATIENTS)
def heat_map(public_id: uuid.UUID) -> Response:
    """The photograph with the heat map laid over it, drawn when it is asked for."""
    content = draw_heat_map(prediction_public_id=public_id, actor=current_actor())
    response = Response(content, mimetype="image/jpeg")
    response.headers["Content-Disposition"] = f'inline; filename="heat-map-{public_id}.jpg"'
    return response


@blueprint.get("/examinations/<uuid:public_id>/report")
@requires(Permission.READ_PATIENTS)
def report(public_id: uuid.UUID) -> ResponseReturnValue:
    """The report on A4, for a browser to print."""
    return render_template(
        "reviews/report.html", report=read_report(image_public_id=public_id, actor=current_actor())
    )


@blueprint.get("/examinations/<uuid:public_id>/report.pdf")
@requires(Permission.READ_PATIENTS)
def report_pdf(public_id: uuid.UUID) -> Response:
    """The same report as a PDF."""
    return answer_with_report(public_id)


def render_result(
    public_id: uuid.UUID,
    *,
    prediction_public_id: uuid.UUID | None = None,
    review_form: ReviewForm | None = None,
    addendum_form: AddendumForm | None = None,
    refusal: str | None = None,
) -> str:
    """The result page; an older answer of the photograph stands there when one is asked for.

    Args:
        public_id: The photograph.
        prediction_public_id: The answer to show; None for the newest.
        review_form: What was typed, where it was refused.
        addendum_form: What was typed, where it was refused.
        refusal: Why nothing was signed.
    """
    actor = current_actor()
    found = read_result(image_public_id=public_id, actor=actor, prediction_public_id=prediction_public_id)
    if review_form is None:
        review_form = ReviewForm(formdata=None)
    review_form.show_answer(found.prediction)
    return render_template(
        "reviews/result.html",
        result=found,
        review_form=review_form,
        addendum_form=addendum_form or AddendumForm(formdata=None),
        new_checklist=ChecklistForm(formdata=None),
        may_read_first=Permission.REVIEW in actor.permissions
        and all(one.read_by_id != actor.user.id for one in found.first_reads),
        may_model_look=may_model_look(found.image.lesion.patient),
        refusal=refusal,
    )
