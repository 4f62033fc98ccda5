"""A person's own second factor: set up, new recovery codes, removal."""

from __future__ import annotations

import io
from http import HTTPStatus

import segno
from flask import flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from markupsafe import Markup

from melanoma_app.accounts.account_forms import CodeForm, NewCodesForm, RemovalForm
from melanoma_app.accounts.views import blueprint
from melanoma_app.errors import ConflictError, InvalidInputError, NotSignedInError
from melanoma_app.security.authentication import current_actor, current_session, requires
from melanoma_app.services.second_factor import (
    begin_second_factor,
    confirm_second_factor,
    make_recovery_codes,
    remove_second_factor,
    second_factor_of,
)

_REFUSALS = (ConflictError, InvalidInputError, NotSignedInError)


@blueprint.get("/account/second-factor")
@requires(None, before_second_factor=True)
def second_factor() -> ResponseReturnValue:
    """Whether one has a second factor, and what one can do about it."""
    return _show()


@blueprint.post("/account/second-factor")
@requires(None, before_second_factor=True)
def set_up_second_factor() -> ResponseReturnValue:
    """Draw a key and show it, as a QR code and as text."""
    return _show_key(CodeForm(formdata=None))


@blueprint.post("/account/second-factor/confirm")
@requires(None, before_second_factor=True)
def confirm_own_second_factor() -> ResponseReturnValue:
    """The first right code switches it on; the recovery codes are shown this once."""
    form = CodeForm()
    if form.validate_on_submit():
        try:
            codes = confirm_second_factor(
                code=form.code.data, actor=current_actor(), session_id=current_session().id
            )
        except _REFUSALS as error:
            form.show_problems(error.fields, error.message)
        else:
            return render_template("accounts/recovery_codes.html", codes=codes, is_new=True)
    return _show_key(form), HTTPStatus.UNPROCESSABLE_ENTITY


@blueprint.post("/account/second-factor/codes")
@requires(None)
def new_recovery_codes() -> ResponseReturnValue:
    """Ten new recovery codes; the old ones end."""
    form = NewCodesForm()
    if form.validate_on_submit():
        try:
            codes = make_recovery_codes(actor=current_actor(), code=form.code.data)
        except _REFUSALS as error:
            form.show_problems(error.fields, error.message)
        else:
            return render_template("accounts/recovery_codes.html", codes=codes, is_new=False)
    return _show(codes_form=form), HTTPStatus.UNPROCESSABLE_ENTITY


@blueprint.post("/account/second-factor/remove")
@requires(None)
def remove_own_second_factor() -> ResponseReturnValue:
    """Sign in with the password alone again, where the clinic allows it."""
    form = RemovalForm()
    if form.validate_on_submit():
        try:
            remove_second_factor(actor=current_actor(), code=form.removal_code.data)
        except _REFUSALS as error:
            problems = {"removal_code": error.fields["code"]} if "code" in error.fields else {}
            form.show_problems(problems, error.message)
        else:
            flash("Your second factor is removed. The password alone opens your account now.")
            return redirect(url_for(".second_factor"), HTTPStatus.SEE_OTHER)
    return _show(removal_form=form), HTTPStatus.UNPROCESSABLE_ENTITY


def _show(*, codes_form: NewCodesForm | None = None, removal_form: RemovalForm | None = None) -> str:
    return render_template(
        "accounts/second_factor.html",
        factor=second_factor_of(user=current_actor().user),
        is_required=bool(current_actor().user.clinic.requires_second_factor),
        codes_form=codes_form or NewCodesForm(formdata=None),
        removal_form=removal_form or RemovalForm(formdata=None),
    )


def _show_key(form: CodeForm) -> str:
    enrolment = begin_second_factor(actor=current_actor())
    return render_template(
        "accounts/second_factor_key.html",
        form=form,
        qr_code=_draw_qr_code(enrolment.uri),
        key=" ".join(enrolment.secret[at : at + 4] for at in range(0, len(enrolment.secret), 4)),
    )


def _draw_qr_code(uri: str) -> Markup:
    """The QR code as SVG, dark on light whatever the theme: apps do not read it the other way round.

    It is drawn here, so that the key leaves the server in this page alone.
    """
    picture = io.BytesIO()
    segno.make(uri, micro=False, error="m").save(
        picture, kind="svg", xmldecl=False, svgns=True, omitsize=True, border=4, light="#fff", dark="#000",
        svgclass="qr-code__drawing", lineclass=None, title="QR code of the key below",
    )  # fmt: skip
    return Markup(picture.getvalue().decode())  # noqa: S704 # nosec B704 # squares drawn by segno, no text of anybody's
