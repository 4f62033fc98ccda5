"""The audit pages: who saw or changed what, and whether the log is whole."""

from __future__ import annotations

from http import HTTPStatus

from flask import Blueprint, Response, redirect, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue

from melanoma_app.accounts.audit_forms import AuditForm
from melanoma_app.accounts.audit_words import ACTION_WORDS, describe_details, patients_shown
from melanoma_app.errors import InvalidInputError
from melanoma_app.models.base import utc_now
from melanoma_app.security.authentication import current_actor, requires
from melanoma_app.security.permissions import Permission
from melanoma_app.services.audit_log import (
    FAULTS_SHOWN,
    LISTS_LOOKED_THROUGH_DAYS,
    AuditFilter,
    check_clinic_chain,
    export_audit_events,
    find_patient_id,
    list_audit_events,
)

blueprint = Blueprint("audit", __name__)


@blueprint.get("/audit")
@requires(Permission.READ_AUDIT)
def entries() -> ResponseReturnValue:
    """The clinic's entries that the filters let through, newest first."""
    form = AuditForm(request.args)
    chosen = form.read(names=set(request.args) - {"cursor"})
    if chosen is None:
        return _show(form, None), HTTPStatus.UNPROCESSABLE_ENTITY
    return _show(form, chosen)


@blueprint.post("/audit")
@requires(Permission.READ_AUDIT)
def choose() -> ResponseReturnValue:
    """Take the filters in, and go on to their address: an MRN is sent, but never stands in one."""
    form = AuditForm()
    chosen = form.read(find_patient=lambda mrn: find_patient_id(mrn=mrn, actor=current_actor()))
    if chosen is None:
        return _show(form, None), HTTPStatus.UNPROCESSABLE_ENTITY
    return redirect(url_for(".entries", **chosen.given), HTTPStatus.SEE_OTHER)


@blueprint.get("/audit.csv")
@requires(Permission.READ_AUDIT)
def file() -> Response:
    """The same entries as a file for a spreadsheet."""
    form = AuditForm(request.args)
    chosen = form.read(names=request.args)
    if chosen is None:
        raise InvalidInputError(
            "One of the filters is wrong, so nothing was exported. Correct it on the audit page, then export again."
        )
    exported = export_audit_events(chosen=chosen, actor=current_actor())
    response = send_file(
        exported.content, mimetype="text/csv", as_attachment=True, download_name=exported.name
    )
    response.content_length = exported.size_bytes  # tells a browser when the download was broken off
    return response


@blueprint.post("/audit/verify")
@requires(Permission.READ_AUDIT)
def verify() -> ResponseReturnValue:
    """Walk the clinic's chain, and say whether it is whole or where it is not."""
    faults = check_clinic_chain(actor=current_actor())
    return render_template(
        "accounts/audit_check.html", faults=faults, faults_shown=FAULTS_SHOWN, checked_at=utc_now()
    )


def _show(form: AuditForm, chosen: AuditFilter | None) -> str:
    page = None
    if chosen:
        page = list_audit_events(chosen=chosen, cursor=request.args.get("cursor"), actor=current_actor())
    return render_template(
        "accounts/audit.html",
        form=form,
        chosen=chosen,
        given=chosen.given if chosen else {},
        page=page,
        words=ACTION_WORDS,
        describe_details=describe_details,
        patients_shown=patients_shown,
        lists_days=LISTS_LOOKED_THROUGH_DAYS,
    )
