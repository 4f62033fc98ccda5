"""The pages that merge two records of one person, and undo it."""

from __future__ import annotations

import uuid
from http import HTTPStatus

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from melanoma_app.errors import ConflictError, InvalidInputError
from melanoma_app.intake.forms import MergeForm
from melanoma_app.intake.merged_records import go_to_the_kept_record
from melanoma_app.models import Patient
from melanoma_app.security.authentication import current_actor, requires
from melanoma_app.security.permissions import Permission
from melanoma_app.security.sealed_search import open_search, seal_search
from melanoma_app.services.patient_merges import count_lesions, merge_patients, revert_merge
from melanoma_app.services.patient_search import search_patients
from melanoma_app.services.patients import MergedPatientError, find_patient, read_patient

blueprint = Blueprint("merges", __name__)
blueprint.register_error_handler(MergedPatientError, go_to_the_kept_record)


@blueprint.get("/patients/<uuid:public_id>/merge")
@requires(Permission.MERGE_PATIENTS)
def choose(public_id: uuid.UUID) -> ResponseReturnValue:
    """Search for the other record of this person; then both side by side."""
    kept = read_patient(public_id=public_id, actor=current_actor())
    merged_id = request.args.get("merged", type=uuid.UUID)
    if merged_id is not None and merged_id != public_id:
        form = MergeForm(merged=str(merged_id))
        return _show_both(form, kept, read_patient(public_id=merged_id, actor=current_actor()))
    search = open_search(request.args.get("q", ""), actor=current_actor())
    found = search_patients(search=search, actor=current_actor()) if search else None
    return render_template(
        "intake/merge_search.html",
        kept=kept,
        search=search,
        others=[one for one in found.items if one.public_id != public_id] if found else None,
        are_alike=bool(found and found.are_alike),
    )


@blueprint.post("/patients/<uuid:public_id>/merge/search")
@requires(Permission.MERGE_PATIENTS)
def search(public_id: uuid.UUID) -> ResponseReturnValue:
    """From the search box back to the page, with what was typed sealed: a name must not stand in an address."""
    find_patient(public_id=public_id, actor=current_actor())
    sealed = seal_search(request.form.get("search", ""), actor=current_actor())
    return redirect(url_for(".choose", public_id=public_id, q=sealed or None), HTTPStatus.SEE_OTHER)


@blueprint.post("/patients/<uuid:public_id>/merge")
@requires(Permission.MERGE_PATIENTS)
def merge(public_id: uuid.UUID) -> ResponseReturnValue:
    """Merge the chosen record into this one and show it."""
    form = MergeForm()
    kept = read_patient(public_id=public_id, actor=current_actor())
    refusal = None
    if form.validate_on_submit():
        try:
            merge_patients(
                kept_public_id=public_id,
                merged_public_id=uuid.UUID(form.merged.data),
                reason=form.reason.data,
                actor=current_actor(),
            )
        except (ConflictError, InvalidInputError) as error:
            form.show_problems({name: texts for name, texts in error.fields.items() if name == "reason"})
            refusal = error.message
        else:
            flash("The two records are merged. The lesions of the other one have new numbers here.")
            address = url_for("intake.patient", public_id=public_id)
            return redirect(address, HTTPStatus.SEE_OTHER)
    if form.merged.errors:
        raise InvalidInputError("Choose the other record by searching for it.")
    merged = read_patient(public_id=uuid.UUID(form.merged.data), actor=current_actor())
    return _show_both(form, kept, merged, refusal), HTTPStatus.UNPROCESSABLE_ENTITY


@blueprint.post("/merges/<uuid:public_id>/revert")
@requires(Permission.MERGE_PATIENTS)
def revert(public_id: uuid.UUID) -> ResponseReturnValue:
    """Undo a merge and show the record that was kept."""
    undone = revert_merge(public_id=public_id, actor=current_actor())
    flash("The merge is undone. The other record stands by itself again, with its lesions.")
    return redirect(url_for("intake.patient", public_id=undone.kept.public_id), HTTPStatus.SEE_OTHER)


def _show_both(form: MergeForm, kept: Patient, merged: Patient, refusal: str | None = None) -> str:
    return render_template(
        "intake/merge.html",
        form=form,
        kept=kept,
        merged=merged,
        lesions=count_lesions(patients=[kept, merged]),
        refusal=refusal,
    )
