"""The accounts pages."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urlsplit

from flask import Blueprint, current_app, flash, g, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_user, logout_user

from melanoma_app.accounts.forms import SignInForm
from melanoma_app.errors import NotSignedInError
from melanoma_app.extensions import limiter
from melanoma_app.security.authentication import SignedInUser, current_actor, request_origin, requires
from melanoma_app.services.accounts import authenticate_user, record_sign_out

blueprint = Blueprint("accounts", __name__)


@blueprint.get("/sign-in")
def sign_in() -> ResponseReturnValue:
    """The sign-in form; who is signed in already goes on."""
    if current_user.is_authenticated:
        return redirect(_safe_target())
    return render_template("accounts/sign_in.html", form=SignInForm())


@blueprint.post("/sign-in")
@limiter.limit(lambda: current_app.config["SIGN_IN_RATE_LIMIT"])
def check_sign_in() -> ResponseReturnValue:
    """Sign in with a fresh session, or say that name or password is wrong."""
    form = SignInForm()
    if not form.validate_on_submit():
        return render_template("accounts/sign_in.html", form=form), HTTPStatus.UNPROCESSABLE_ENTITY
    try:
        user = authenticate_user(
            username=form.username.data,
            password=form.password.data,
            origin=request_origin(),
            request_id=g.request_id,
        )
    except NotSignedInError as error:
        return render_template(
            "accounts/sign_in.html", form=form, refusal=error.message
        ), HTTPStatus.UNAUTHORIZED
    session.clear()
    session.permanent = True
    login_user(SignedInUser(user))
    return redirect(_safe_target())


@blueprint.post("/sign-out")
@requires(None)
def sign_out() -> ResponseReturnValue:
    """End the session."""
    record_sign_out(actor=current_actor())
    logout_user()
    session.clear()
    flash("You are signed out.")
    return redirect(url_for("accounts.sign_in"))


def _safe_target() -> str:
    """Where to go after signing in: the page that was asked for, if it is one of ours."""
    target = request.args.get("next", "")
    parts = urlsplit(target.replace("\\", "/"))
    is_ours = target.startswith("/") and not target.startswith("//") and not parts.scheme and not parts.netloc
    return target if is_ours and target.isprintable() else url_for("dashboard.overview")
