"""Counts by two properties at once, and the numbers of every chart as a file."""

from __future__ import annotations

from functools import partial
from typing import Any

from flask import Blueprint, Response, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import UnprocessableEntity

from melanoma_app.dashboard.chart_files import write_rows
from melanoma_app.dashboard.charts import tests_url_of
from melanoma_app.dashboard.forms import CrosstabForm, FileForm
from melanoma_app.dashboard.words import DIMENSION_WORDS, UNIT_WORDS, describe_filters, name_group
from melanoma_app.errors import InvalidInputError
from melanoma_app.security.authentication import current_actor, requires
from melanoma_app.security.permissions import Permission
from melanoma_app.services.record_export import export_rows
from melanoma_app.services.statistics import crosstab, list_model_names
from melanoma_app.services.statistics_filter import StatisticsFilter

blueprint = Blueprint("charts", __name__)


@blueprint.get("/crosstab")
@requires(Permission.READ_STATISTICS)
def by_two() -> ResponseReturnValue:
    """A table of counts by two properties that the person chooses."""
    form = CrosstabForm(request.args)
    chosen, table = form.read(request.args), None
    if chosen:
        try:
            table = crosstab(
                chosen=chosen,
                actor=current_actor(),
                rows=form.row_dimension,
                columns=form.column_dimension,
                band_years=form.band,
                period=form.steps,
            )
        except InvalidInputError as error:
            form.refuse(error)
    form.offer_models(list_model_names())
    page = render_template(
        "dashboard/crosstab.html",
        form=form,
        chosen=chosen or StatisticsFilter(),
        table=table,
        unit=UNIT_WORDS[chosen.unit] if chosen else None,
        filters=describe_filters(chosen) if chosen else "",
        dimension_words=DIMENSION_WORDS,
        named=partial(name_group, period=form.steps) if table else None,
        tests_url=tests_url_of(chosen) if chosen else None,
        file_url=url_for(".file", chart="crosstab", **_asked(form, chosen)) if chosen else None,
    )
    return page if table else (page, UnprocessableEntity.code)


@blueprint.get("/statistics.csv")
@requires(Permission.READ_STATISTICS)
def file() -> Response:
    """The numbers of one chart, with the filters of its page."""
    form = FileForm(request.args)
    chosen = form.read(request.args)
    if chosen is None:
        raise InvalidInputError(
            "One of the filters is wrong, so there is no file. Correct it on the page of the charts, then try again.",
            fields=form.refusals,
        )
    columns, rows = write_rows(
        form.chart.data,
        chosen=chosen,
        actor=current_actor(),
        period=form.steps,
        band_years=form.band,
        rows=form.row_dimension,
        columns=form.column_dimension,
    )
    exported = export_rows(
        form.chart.data, rows, columns, current_actor(), details={"filters": " ".join(chosen.given)}
    )
    return send_file(exported.content, mimetype="text/csv", as_attachment=True, download_name=exported.name)


def _asked(form: CrosstabForm, chosen: StatisticsFilter) -> dict[str, Any]:
    """What the address of the same table says."""
    return {
        **chosen.given,
        "rows": form.row_dimension,
        "columns": form.column_dimension,
        "period": form.steps,
        "band_years": form.band,
    }
