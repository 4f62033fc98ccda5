"""The clinic's settings."""

from __future__ import annotations

from http import HTTPStatus

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from melanoma_app.accounts.administration_forms import ClinicForm
from melanoma_app.errors import ConflictError, InvalidInputError
from melanoma_app.security.authentication import current_actor, requires
from melanoma_app.security.permissions import Permission
from melanoma_app.services.clinic_settings import edit_clinic

blueprint = Blueprint("clinic", __name__)


@blueprint.get("/clinic")
@requires(Permission.MANAGE_CLINIC)
def settings() -> ResponseReturnValue:
    """What holds for everybody in the clinic."""
    clinic = current_actor().user.clinic
    form = ClinicForm(clinic=clinic)
    form.fill(clinic)
    return render_template("accounts/clinic.html", form=form)


@blueprint.post("/clinic")
@requires(Permission.MANAGE_CLINIC)
def save() -> ResponseReturnValue:
    """Save the settings; they hold from the next request on."""
    form = ClinicForm(clinic=current_actor().user.clinic)
    if form.validate_on_submit():
        try:
            edit_clinic(
                name=form.name.data,
                time_zone=form.time_zone.data,
                requires_second_factor=form.requires_second_factor.data,
                retention_years=form.retention_years.data,
                actor=current_actor(),
            )
        except (ConflictError, InvalidInputError) as error:
            form.show_problems(error.fields, error.message)
        else:
            flash("The settings are saved.")
            return redirect(url_for(".settings"), HTTPStatus.SEE_OTHER)
    return render_template("accounts/clinic.html", form=form), HTTPStatus.UNPROCESSABLE_ENTITY
