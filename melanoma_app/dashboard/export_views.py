"""The lists as files for a spreadsheet."""

from __future__ import annotations

from flask import Blueprint, Response, request, send_file
from flask.typing import ResponseReturnValue

from melanoma_app.dashboard.forms import ExaminationsForm, chosen_outcome
from melanoma_app.errors import InvalidInputError
from melanoma_app.security.authentication import current_actor, requires
from melanoma_app.security.permissions import Permission
from melanoma_app.security.sealed_search import open_search
from melanoma_app.services.record_export import (
    ExportedList,
    export_examinations,
    export_patients,
    export_worklist,
)
from melanoma_app.services.statistics_filter import StatisticsFilter

blueprint = Blueprint("exports", __name__)


@blueprint.get("/patients.csv")
@requires(Permission.EXPORT_RECORDS)
def patients() -> ResponseReturnValue:
    """The patients that a search finds; it is sealed, as in the address of the list."""
    actor = current_actor()
    return _send(export_patients(search=open_search(request.args.get("q", ""), actor=actor), actor=actor))


@blueprint.get("/examinations.csv")
@requires(Permission.EXPORT_RECORDS)
def examinations() -> ResponseReturnValue:
    """The examinations that the filters let through."""
    return _send(export_examinations(chosen=_read_filters(), actor=current_actor()))


@blueprint.get("/worklist.csv")
@requires(Permission.EXPORT_RECORDS)
def worklist() -> ResponseReturnValue:
    """Everything on the worklist."""
    return _send(export_worklist(outcome=chosen_outcome(request.args), actor=current_actor()))


def _read_filters() -> StatisticsFilter:
    """The filters of the URL; a wrong one is refused, for a file says nothing of the filters it was made with."""
    form = ExaminationsForm(request.args)
    chosen = form.read(request.args)
    if chosen is None:
        raise InvalidInputError(
            "One of the filters is wrong, so nothing was exported. Correct it on the list, then export again.",
            fields=form.refusals,
        )
    return chosen


def _send(exported: ExportedList) -> Response:
    response = send_file(
        exported.content, mimetype="text/csv", as_attachment=True, download_name=exported.name
    )
    # Tells a browser that a broken-off download is not the whole file.
    response.content_length = exported.size_bytes
    return response
