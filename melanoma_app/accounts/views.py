"""The pages one comes in by: sign in, the second step, sign out, a new password by a one-time link."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from flask import Blueprint, current_app, flash, g, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from melanoma_app.accounts.forms import SecondStepForm, SetPasswordForm, SignInForm
from melanoma_app.errors import InvalidInputError, NotFoundError, NotSignedInError, SessionEndedError
from melanoma_app.extensions import limiter
from melanoma_app.models import User
from melanoma_app.security.authentication import (
    current_actor,
    current_session,
    find_current_session,
    forget_session,
    keep_session,
    request_origin,
    requires,
    sign_in_address,
)
from melanoma_app.services.accounts import authenticate_user
from melanoma_app.services.password_resets import find_password_reset, reset_password
from melanoma_app.services.passwords import MINIMUM_PASSWORD_LENGTH
from melanoma_app.services.second_factor import second_factor_of
from melanoma_app.services.second_step import begin_second_step, check_second_step, find_second_step
from melanoma_app.services.sessions import close_session, open_session

blueprint = Blueprint("accounts", __name__)

_SECOND_STEP: Final = "second_step"
_RESET_TOKEN: Final = "reset_token"  # noqa: S105 (where it stands in the cookie)


def _sign_in_rate_limit() -> str:
    return str(current_app.config["SIGN_IN_RATE_LIMIT"])


@blueprint.get("/sign-in")
def sign_in() -> ResponseReturnValue:
    """The sign-in form; who is signed in already goes on."""
    if find_current_session() is not None:
        return redirect(_safe_target())
    return _show_sign_in(SignInForm())


@blueprint.post("/sign-in")
@limiter.limit(_sign_in_rate_limit)
def check_sign_in() -> ResponseReturnValue:
    """Sign in, go on to the second step, or say that name or password is wrong."""
    form = SignInForm()
    if not form.validate_on_submit():
        return _show_sign_in(form), HTTPStatus.UNPROCESSABLE_ENTITY
    try:
        user = authenticate_user(
            username=form.username.data,
            password=form.password.data,
            origin=request_origin(),
            request_id=g.request_id,
        )
    except NotSignedInError as error:
        return _show_sign_in(form, refusal=error.message), HTTPStatus.UNAUTHORIZED
    if second_factor_of(user=user) is None:
        return _let_in(user, has_second_factor=False)
    session.clear()
    session[_SECOND_STEP] = begin_second_step(user=user)
    return redirect(url_for(".second_step", next=request.args.get("next")))


@blueprint.get("/sign-in/code")
def second_step() -> ResponseReturnValue:
    """Ask for the code, of somebody whose password was right a moment ago."""
    if _user_between_steps() is None:
        return _start_again()
    return render_template("accounts/second_step.html", form=SecondStepForm())


@blueprint.post("/sign-in/code")
@limiter.limit(_sign_in_rate_limit)
def check_code() -> ResponseReturnValue:
    """Sign in with the code, or say that it is wrong."""
    user = _user_between_steps()
    if user is None:
        return _start_again()
    form = SecondStepForm()
    if not form.validate_on_submit():
        return render_template("accounts/second_step.html", form=form), HTTPStatus.UNPROCESSABLE_ENTITY
    try:
        check_second_step(user=user, code=form.code.data, origin=request_origin(), request_id=g.request_id)
    except NotSignedInError as error:
        page = render_template("accounts/second_step.html", form=form, refusal=error.message)
        return page, HTTPStatus.UNAUTHORIZED
    return _let_in(user, has_second_factor=True)


@blueprint.post("/sign-out")
@requires(None, before_second_factor=True)
def sign_out() -> ResponseReturnValue:
    """End the session, here and on the server."""
    close_session(session_id=current_session().id, actor=current_actor())
    forget_session()
    flash("You are signed out.")
    response = redirect(url_for(".sign_in"))
    # Pages are never stored; this also empties what a browser holds in memory for its back button.
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


@blueprint.get("/set-password/<token>")
def open_reset_link(token: str) -> ResponseReturnValue:
    """Take the token of a one-time link out of the address, where it would stay in the browser's history.

    A link has to carry its secret somewhere. In the query it would be logged by every proxy, in the fragment only a
    script could read it; here it is in one request, which our own server's log leaves out (`serving`), and the
    address it leads to has none. Opening it uses nothing up: mail programs open links to look at them.
    """
    session[_RESET_TOKEN] = token
    return redirect(url_for(".set_password"))


@blueprint.get("/set-password")
def set_password() -> ResponseReturnValue:
    """Ask for a new password, of whoever came by a link that works."""
    user = find_password_reset(token=_reset_token())
    if user is None:
        return _show_dead_link()
    return _show_set_password(SetPasswordForm(), user)


@blueprint.post("/set-password")
@limiter.limit(_sign_in_rate_limit)
def check_set_password() -> ResponseReturnValue:
    """Set the password, then ask to sign in with it."""
    user = find_password_reset(token=_reset_token())
    if user is None:
        return _show_dead_link()
    form = SetPasswordForm()
    if not form.validate_on_submit():
        return _show_set_password(form, user), HTTPStatus.UNPROCESSABLE_ENTITY
    try:
        reset_password(
            token=_reset_token(),
            password=form.password.data,
            origin=request_origin(),
            request_id=g.request_id,
        )
    except InvalidInputError as error:
        form.password.errors = error.fields["password"]
        return _show_set_password(form, user), HTTPStatus.UNPROCESSABLE_ENTITY
    except NotFoundError:
        return _show_dead_link()
    session.pop(_RESET_TOKEN, None)
    flash("Your password is set. Sign in with it.")
    return redirect(url_for(".sign_in"), HTTPStatus.SEE_OTHER)


@blueprint.app_errorhandler(SessionEndedError)
def ask_to_sign_in_again(error: SessionEndedError) -> ResponseReturnValue:
    """The sign-in form in place of a page whose session has ended, with the reason."""
    page = _show_sign_in(SignInForm(formdata=None), ended=error.message, action=sign_in_address())
    return page, HTTPStatus.UNAUTHORIZED


def _let_in(user: User, *, has_second_factor: bool) -> ResponseReturnValue:
    keep_session(
        open_session(
            user=user,
            origin=request_origin(),
            user_agent=request.user_agent.string,
            request_id=g.request_id,
            has_second_factor=has_second_factor,
        )
    )
    return redirect(_safe_target())


def _user_between_steps() -> User | None:
    note = session.get(_SECOND_STEP)
    return find_second_step(note=note) if isinstance(note, str) else None


def _start_again() -> ResponseReturnValue:
    session.pop(_SECOND_STEP, None)
    flash("The first step was too long ago. Please sign in again.")
    return redirect(url_for(".sign_in", next=request.args.get("next")))


def _reset_token() -> str:
    return str(session.get(_RESET_TOKEN, ""))


def _show_sign_in(form: SignInForm, **notes: Any) -> str:
    return render_template("accounts/sign_in.html", form=form, **notes)


def _show_set_password(form: SetPasswordForm, user: User) -> str:
    return render_template(
        "accounts/set_password.html", form=form, user=user, minimum=MINIMUM_PASSWORD_LENGTH
    )


def _show_dead_link() -> ResponseReturnValue:
    return render_template("accounts/set_password.html", form=None), HTTPStatus.NOT_FOUND


def _safe_target() -> str:
    """Where to go after signing in: the page that was asked for, if it is one of ours."""
    target = request.args.get("next", "")
    parts = urlsplit(target.replace("\\", "/"))
    is_ours = target.startswith("/") and not target.startswith("//") and not parts.scheme and not parts.netloc
    return target if is_ours and target.isprintable() else url_for("dashboard.overview")
