"""The dashboard pages."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import UnprocessableEntity

from melanoma_app.dashboard.forms import ActivationForm, FilterForm, chosen_outcome
from melanoma_app.errors import ConflictError, InvalidInputError
from melanoma_app.model_shelf import PLOTS
from melanoma_app.security.authentication import current_actor, requires
from melanoma_app.security.permissions import Permission
from melanoma_app.services.model_activation import activate_model
from melanoma_app.services.model_catalogue import (
    describe_counts,
    describe_figures,
    describe_point,
    list_models,
    read_model,
    read_plot,
)
from melanoma_app.services.overview import count_tiles, list_patient_summaries
from melanoma_app.services.statistics import (
    OutcomeCount,
    StatisticsFilter,
    count_by_age,
    count_by_gender,
    count_outcomes,
    list_tests,
)
from melanoma_app.services.worklist import (
    LONGEST_WAITING,
    WorklistCounts,
    count_worklist,
    describe_count,
    list_overdue_monitoring,
    list_pending_histology,
    list_unsigned,
    next_unsigned,
)

NEWEST_ON_OVERVIEW = 8

blueprint = Blueprint("dashboard", __name__)


@blueprint.app_context_processor
def _offer_worklist_counts() -> dict[str, Callable[..., Any]]:
    return {"worklist_counts": _worklist_counts, "capped": describe_count}


@blueprint.get("/")
@requires(Permission.READ_STATISTICS)
def overview() -> ResponseReturnValue:
    """Tiles, charts of the filtered tests, and, for those who may see patients, the newest records."""
    form, chosen = _read_filters()
    actor = current_actor()
    sees_patients = Permission.READ_PATIENTS in actor.permissions
    return render_template(
        "dashboard/overview.html",
        form=form,
        chosen=chosen,
        tiles=count_tiles(actor=actor),
        outcomes=count_outcomes(chosen=chosen, actor=actor),
        genders=count_by_gender(chosen=chosen, actor=actor),
        ages=count_by_age(chosen=chosen, actor=actor),
        tests=list_tests(chosen=chosen, actor=actor, size=NEWEST_ON_OVERVIEW) if sees_patients else None,
        patients=list_patient_summaries(search="", actor=actor, size=NEWEST_ON_OVERVIEW)
        if sees_patients
        else None,
        tests_url=lambda group=None, **more: _tests_url(chosen, group, more),
    )


@blueprint.get("/worklist")
@requires(Permission.READ_PATIENTS)
def worklist() -> ResponseReturnValue:
    """What is unsigned, which laboratory reports are due, and who should have come back."""
    outcome = chosen_outcome(request.args)
    return render_template(
        "worklist/worklist.html",
        outcome=outcome,
        unsigned=list_unsigned(actor=current_actor(), cursor=request.args.get("cursor"), outcome=outcome),
        histology=list_pending_histology(actor=current_actor()),
        monitoring=list_overdue_monitoring(actor=current_actor()),
        longest_waiting=LONGEST_WAITING,
    )


@blueprint.get("/worklist/next")
@requires(Permission.READ_PATIENTS)
def next_in_worklist() -> ResponseReturnValue:
    """On to the next photograph to sign; from the last one on to the first that was passed over."""
    after = request.args.get("after", type=uuid.UUID)
    following = next_unsigned(actor=current_actor(), after=after)
    if following is None and after is not None:
        following = next_unsigned(actor=current_actor())
        if following is not None:
            flash("That was the end of the worklist. This is the first one that is still unsigned.")
    if following is None:
        flash("Nothing is left to sign.")
        return redirect(url_for(".worklist"))
    return redirect(url_for("reviews.result", public_id=following))


@blueprint.get("/patients")
@requires(Permission.READ_PATIENTS)
def patients() -> ResponseReturnValue:
    """The patients that fit a search, newest first, with the last result of each."""
    search = request.args.get("search", "")
    page = list_patient_summaries(search=search, cursor=request.args.get("cursor"), actor=current_actor())
    return render_template("dashboard/patients.html", search=search, page=page)


@blueprint.get("/examinations")
@requires(Permission.READ_PATIENTS)
def examinations() -> ResponseReturnValue:
    """The tests behind the charts, latest photograph first."""
    form, chosen = _read_filters()
    page = list_tests(chosen=chosen, cursor=request.args.get("cursor"), actor=current_actor())
    return render_template(
        "dashboard/examinations.html",
        form=form,
        chosen=chosen,
        page=page,
        outcomes=count_outcomes(chosen=chosen, actor=current_actor()),
        next_url=url_for(".examinations", cursor=page.next_cursor, **chosen.given)
        if page.next_cursor
        else None,
    )


@blueprint.get("/models")
@requires(Permission.READ_MODELS)
def models() -> ResponseReturnValue:
    """The released models, and which of them scores new photographs."""
    return render_template("dashboard/models.html", catalogue=list_models(actor=current_actor()))


@blueprint.get("/models/<identifier>")
@requires(Permission.READ_MODELS)
def model(identifier: str) -> ResponseReturnValue:
    """What one model says of itself: figures, plots, card; for administrators the switch to it."""
    return _show_model(identifier, ActivationForm())


@blueprint.post("/models/<identifier>")
@requires(Permission.MANAGE_MODELS)
def switch_model(identifier: str) -> ResponseReturnValue:
    """Let this model score new photographs from now on."""
    form = ActivationForm()
    status, refusal = UnprocessableEntity.code, None
    if form.validate_on_submit():
        try:
            activate_model(
                identifier=identifier,
                reason=form.reason.data,
                replaces=form.replaces.data or None,
                actor=current_actor(),
            )
        except InvalidInputError as error:
            form.reason.errors = [*form.reason.errors, *error.fields["reason"]]
        except ConflictError as error:
            status, refusal = error.status.value, error.message
        else:
            flash(f"New photographs are now scored by {identifier}. Earlier results keep theirs.")
            return redirect(url_for(".models"))
    return _show_model(identifier, form, refusal), status


@blueprint.get("/models/<identifier>/plots/<name>")
@requires(Permission.READ_MODELS)
def model_plot(identifier: str, name: str) -> Response:
    """A plot of a released model."""
    response = Response(read_plot(identifier=identifier, name=name), mimetype="image/png")
    response.headers["Content-Disposition"] = "inline"
    return response


@blueprint.get("/api-docs")
@requires(None)
def api_page() -> ResponseReturnValue:
    """The interactive page of the REST API."""
    return render_template("dashboard/api.html")


def _worklist_counts() -> WorklistCounts | None:
    """What the navigation says of the worklist, counted once a request; None for those who may not see patients."""
    if "actor" not in g or Permission.READ_PATIENTS not in g.actor.permissions:
        return None
    if "worklist_counts" not in g:
        g.worklist_counts = count_worklist(actor=current_actor())
    counts: WorklistCounts = g.worklist_counts
    return counts


def _show_model(identifier: str, form: ActivationForm, refusal: str | None = None) -> str:
    shown, catalogue = read_model(identifier=identifier, actor=current_actor())
    form.replaces.data = catalogue.active.identifier
    points, figures = describe_figures(shown.manifest) if shown.manifest else ([], [])
    return render_template(
        "dashboard/model.html",
        model=shown,
        active=catalogue.active,
        serving=next((one for one in catalogue.models if one.is_active), None),
        form=form,
        refusal=refusal,
        points=[(point, describe_point(point, shown.manifest)) for point in points] if shown.manifest else [],
        figures=figures,
        counts=describe_counts(shown.manifest) if shown.manifest else [],
        plots=[(name, PLOTS[name]) for name in shown.shelved.plots] if shown.shelved else [],
    )


def _read_filters() -> tuple[FilterForm, StatisticsFilter]:
    """The filters of the URL; wrong ones are shown beside their field and leave the lists unfiltered."""
    form = FilterForm(request.args)
    if form.validate():
        try:
            return form, form.chosen()
        except InvalidInputError as error:
            for name, messages in error.fields.items():
                form[name].errors = [*form[name].errors, *messages]
    return form, StatisticsFilter()


def _tests_url(chosen: StatisticsFilter, group: OutcomeCount | None, more: dict[str, Any]) -> str:
    """The list of exactly the tests that a figure counts."""
    filters = {**chosen.given, **(group.filters if group else {}), **more}
    # A band of ages that the filters cut through counts only the ages they leave of it.
    if chosen.age_min is not None:
        filters["age_min"] = max(filters["age_min"], chosen.age_min)
    if chosen.age_max is not None:
        filters["age_max"] = min(filters["age_max"], chosen.age_max)
    return url_for(".examinations", **filters)
