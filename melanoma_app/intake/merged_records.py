"""What the pages do with the address of a record that was merged into another one."""

from __future__ import annotations

from http import HTTPStatus

from flask import flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from melanoma_app.services.patients import MergedPatientError


def go_to_the_kept_record(error: MergedPatientError) -> ResponseReturnValue:
    """Lead on to the record that was kept, and say so."""
    if request.method == "POST":
        flash("Nothing was saved: meanwhile that record was merged into this one. Make your change here.")
    else:
        flash("The record you opened was merged into this one.")
    return redirect(url_for("intake.patient", public_id=error.kept_public_id), HTTPStatus.SEE_OTHER)
