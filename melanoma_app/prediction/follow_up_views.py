"""The pages that follow a lesion over time: its history, two photographs beside each other, laboratory reports."""

from __future__ import annotations

import uuid
from http import HTTPStatus

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from melanoma_app.errors import InvalidInputError, NotFoundError
from melanoma_app.models.vocabulary import OutcomeLabel
from melanoma_app.prediction.follow_up_forms import ComparisonForm, HistopathologyForm
from melanoma_app.security.authentication import current_actor, requires
from melanoma_app.security.permissions import Permission
from melanoma_app.services.comparison import read_comparison
from melanoma_app.services.histopathology import record_histopathology
from melanoma_app.services.lesion_history import read_lesion_history

blueprint = Blueprint("follow_up", __name__)


@blueprint.get("/lesions/<uuid:public_id>")
@requires(Permission.READ_PATIENTS)
def lesion(public_id: uuid.UUID) -> ResponseReturnValue:
    """A lesion's page: photographs, trend, reviews, laboratory reports."""
    return _show_lesion(public_id, HistopathologyForm())


@blueprint.post("/lesions/<uuid:public_id>/histopathology")
@requires(Permission.WRITE_PATIENTS)
def add_histopathology(public_id: uuid.UUID) -> ResponseReturnValue:
    """Record a laboratory report."""
    form = HistopathologyForm()
    if form.validate_on_submit():
        try:
            record_histopathology(
                lesion_public_id=public_id,
                diagnosis=form.diagnosis.data,
                outcome=OutcomeLabel(form.outcome.data),
                reported_on=form.reported_on.data,
                breslow_thickness_mm=form.breslow_thickness_mm.data,
                actor=current_actor(),
            )
        except InvalidInputError as error:
            form.show_problems(error.fields)
        else:
            flash("The laboratory report is recorded.")
            return redirect(url_for("follow_up.lesion", public_id=public_id, _anchor="laboratory"))
    return _show_lesion(public_id, form), HTTPStatus.UNPROCESSABLE_ENTITY


@blueprint.get("/lesions/<uuid:public_id>/compare")
@requires(Permission.READ_PATIENTS)
def compare(public_id: uuid.UUID) -> ResponseReturnValue:
    """Two photographs of the lesion side by side and under a slider."""
    comparison = read_comparison(
        lesion_public_id=public_id,
        left_id=_image_id("left"),
        right_id=_image_id("right"),
        actor=current_actor(),
    )
    form = ComparisonForm()
    form.offer(comparison.photographs, left=comparison.left.record, right=comparison.right.record)
    return render_template("follow_up/compare.html", comparison=comparison, form=form)


def _show_lesion(public_id: uuid.UUID, form: HistopathologyForm) -> str:
    history = read_lesion_history(public_id=public_id, actor=current_actor())
    comparison_form = None
    if len(history.photographs) > 1:
        comparison_form = ComparisonForm()
        comparison_form.offer(history.photographs, left=history.photographs[0], right=history.photographs[-1])
    return render_template(
        "follow_up/lesion.html", history=history, form=form, comparison_form=comparison_form
    )


def _image_id(side: str) -> uuid.UUID | None:
    """The photograph that the address names for a side; None where it names none."""
    given = request.args.get(side)
    if not given:
        return None
    try:
        return uuid.UUID(given)
    except ValueError as error:
        raise NotFoundError("This address names no photograph. Choose two from the lesion's page.") from error
