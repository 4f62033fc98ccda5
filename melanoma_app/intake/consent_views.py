"""Recording a consent from the patient's page."""

from __future__ import annotations

import uuid
from http import HTTPStatus

from flask import Blueprint, flash, redirect, url_for
from flask.typing import ResponseReturnValue

from melanoma_app.errors import InvalidInputError
from melanoma_app.intake.forms import ConsentForm
from melanoma_app.intake.merged_records import go_to_the_kept_record
from melanoma_app.models.vocabulary import ConsentPurpose
from melanoma_app.security.authentication import current_actor, requires
from melanoma_app.security.permissions import Permission
from melanoma_app.services.consent_purposes import CONSENT_LABELS
from melanoma_app.services.consents import record_consent
from melanoma_app.services.patients import MergedPatientError, read_patient

blueprint = Blueprint("intake_consents", __name__)
blueprint.register_error_handler(MergedPatientError, go_to_the_kept_record)

_CONSEQUENCES = {
    (ConsentPurpose.CARE, False): "No photograph is taken in from now on.",
    (ConsentPurpose.AI_ANALYSIS, False): "No photograph is analysed from now on; earlier results stay.",
}


@blueprint.post("/patients/<uuid:public_id>/consents")
@requires(Permission.WRITE_PATIENTS)
def record(public_id: uuid.UUID) -> ResponseReturnValue:
    """Record an answer and show the patient again."""
    form = ConsentForm()
    if not form.validate_on_submit():
        read_patient(
            public_id=public_id, actor=current_actor()
        )  # somebody else's patient is not there at all
        raise InvalidInputError("Use the buttons of the patient's page: a purpose, and yes or no.")
    purpose, is_given = ConsentPurpose(form.purpose.data), form.is_given.data == "yes"
    record_consent(patient_public_id=public_id, purpose=purpose, is_given=is_given, actor=current_actor())
    recorded = f"Consent to {CONSENT_LABELS[purpose]}: {'yes' if is_given else 'no'}."
    flash(f"{recorded} {_CONSEQUENCES.get((purpose, is_given), '')}".strip())
    address = url_for("intake.patient", public_id=public_id)
    return redirect(f"{address}#consents-title", HTTPStatus.SEE_OTHER)
