"""The dashboard pages."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import UnprocessableEntity

from melanoma_app.dashboard.charts import draw_agreement, draw_charts, tests_url_of
from melanoma_app.dashboard.forms import ActivationForm, ChartsForm, ExaminationsForm, chosen_outcome
from melanoma_app.dashboard.words import UNIT_WORDS, describe_filters, show_count
from melanoma_app.errors import ConflictError, InvalidInputError
from melanoma_app.model_shelf import PLOTS
from melanoma_app.security.authentication import current_actor, requires
from melanoma_app.security.permissions import Permission
from melanoma_app.security.sealed_search import open_search, seal_search
from melanoma_app.services.counted_tests import list_tests
from melanoma_app.services.model_activation import activate_model
from melanoma_app.services.model_catalogue import (
    describe_counts,
    describe_figures,
    describe_point,
    list_models,
    read_model,
    read_plot,
)
from melanoma_app.services.overview import (
    OVERDUE_COUNTED_UP_TO,
    count_tiles,
    list_newest,
    list_patient_summaries,
)
from melanoma_app.services.rescoring import count_unscored
from melanoma_app.services.statistics import count_everything, count_outcomes, list_model_names
from melanoma_app.services.statistics_filter import StatisticsFilter
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
blueprint.add_app_template_filter(show_count, "counted")


@blueprint.app_context_processor
def _offer_worklist_counts() -> dict[str, Callable[..., Any]]:
    return {"worklist_counts": _worklist_counts, "capped": describe_count}


@blueprint.get("/")
@requires(Permission.READ_STATISTICS)
def overview() -> ResponseReturnValue:
    """Tiles, charts of the filtered tests, and, for those who may see patients, the newest records."""
    actor = current_actor()
    form = ChartsForm(request.args)
    chosen, counts = form.read(request.args), None
    if chosen:
        try:
            counts = count_everything(chosen=chosen, actor=actor, period=form.steps, band_years=form.band)
        except InvalidInputError as error:
            form.refuse(error)
    form.offer_models(counts.known_models if counts else list_model_names())
    tiles = count_tiles(actor=actor)
    _worklist_counts()  # now, in the transaction that the newest records' audit entry ends
    newest = None
    if chosen and counts and Permission.READ_PATIENTS in actor.permissions:
        newest = list_newest(chosen=chosen, model_ids=counts.model_ids, actor=actor, size=NEWEST_ON_OVERVIEW)
    page = render_template(
        "dashboard/overview.html",
        form=form,
        chosen=chosen or StatisticsFilter(),
        tiles=tiles,
        overdue_counted_up_to=OVERDUE_COUNTED_UP_TO,
        counts=counts,
        charts=draw_charts(counts, unit=chosen.unit, period=form.steps) if chosen and counts else {},
        agreements=[draw_agreement(one) for one in counts.agreements] if counts else [],
        unit=UNIT_WORDS[chosen.unit] if chosen else None,
        filters=describe_filters(chosen) if chosen else "",
        newest=newest,
        tests_url=tests_url_of(chosen) if chosen else None,
        file_url=partial(url_for, "charts.file", **chosen.given, period=form.steps, band_years=form.band)
        if chosen
        else None,
    )
    return page if counts else (page, UnprocessableEntity.code)


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
    """The patients that fit a search, newest first, with the last result of each.

    What is searched for is sealed in the address (`q`): addresses are kept by histories, proxies and logs.
    """
    sealed = request.args.get("q", "")
    search = open_search(sealed, actor=current_actor())
    page = list_patient_summaries(search=search, cursor=request.args.get("cursor"), actor=current_actor())
    return render_template("dashboard/patients.html", search=search, sealed=sealed, page=page)


@blueprint.post("/patients/search")
@requires(Permission.READ_PATIENTS)
def search_patients() -> ResponseReturnValue:
    """From the search box to the list, with what was typed sealed."""
    sealed = seal_search(request.form.get("search", ""), actor=current_actor())
    return redirect(url_for(".patients", q=sealed or None), HTTPStatus.SEE_OTHER)


@blueprint.get("/examinations")
@requires(Permission.READ_PATIENTS)
def examinations() -> ResponseReturnValue:
    """The tests behind the charts, latest photograph first."""
    form = ExaminationsForm(request.args)
    chosen, outcomes, page = form.read(set(request.args) - {"cursor"}), None, None
    if chosen:
        try:
            outcomes = count_outcomes(chosen=chosen, actor=current_actor())
        except InvalidInputError as error:
            form.refuse(error)
        else:
            page = list_tests(chosen=chosen, cursor=request.args.get("cursor"), actor=current_actor())
    form.offer_models(list_model_names())
    shown = render_template(
        "dashboard/examinations.html",
        form=form,
        chosen=chosen or StatisticsFilter(),
        page=page,
        outcomes=outcomes,
        unit=UNIT_WORDS[chosen.unit] if chosen else None,
        next_url=url_for(".examinations", cursor=page.next_cursor, **chosen.given)
        if chosen and page and page.next_cursor
        else None,
    )
    return shown if page else (shown, UnprocessableEntity.code)


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


def _count_unscored(*, is_active: bool) -> int | None:
    """How many photographs wait for the active model; None on other pages, and for who may not have them scored."""
    actor = current_actor()
    may_rescore = Permission.MANAGE_MODELS in actor.permissions
    return count_unscored(actor=actor) if is_active and may_rescore else None


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
        unscored=_count_unscored(is_active=shown.is_active and not shown.problem),
        points=[(point, describe_point(point, shown.manifest)) for point in points] if shown.manifest else [],
        figures=figures,
        counts=describe_counts(shown.manifest) if shown.manifest else [],
        plots=[(name, PLOTS[name]) for name in shown.shelved.plots] if shown.shelved else [],
    )
