"""A person's own account: password, open sessions."""

from __future__ import annotations

import uuid
from http import HTTPStatus

from flask import flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from melanoma_app.accounts.account_forms import PasswordForm
from melanoma_app.accounts.views import blueprint
from melanoma_app.accounts.words import describe_browser
from melanoma_app.errors import ConflictError, InvalidInputError
from melanoma_app.security.authentication import current_actor, current_session, requires
from melanoma_app.services.passwords import MINIMUM_PASSWORD_LENGTH, change_password
from melanoma_app.services.second_factor import second_factor_of
from melanoma_app.services.sessions import list_sessions, revoke_other_sessions, revoke_session


@blueprint.get("/account")
@requires(None)
def account() -> ResponseReturnValue:
    """Who one is here, the password, and where one is signed in."""
    return _show(PasswordForm())


@blueprint.post("/account/password")
@requires(None)
def change_own_password() -> ResponseReturnValue:
    """Change the password; every other session of this person ends."""
    form = PasswordForm()
    if form.validate_on_submit():
        try:
            change_password(
                current=form.current.data,
                new=form.password.data,
                actor=current_actor(),
                session_id=current_session().id,
            )
        except (ConflictError, InvalidInputError) as error:
            form.show_problems(error.fields, error.message)
        else:
            flash("Your password is changed. You are signed out everywhere else.")
            return redirect(url_for(".account"), HTTPStatus.SEE_OTHER)
    return _show(form), HTTPStatus.UNPROCESSABLE_ENTITY


@blueprint.post("/account/sessions/<uuid:public_id>/end")
@requires(None)
def end_session(public_id: uuid.UUID) -> ResponseReturnValue:
    """Sign one of one's own browsers out; if it is this one, the next page asks to sign in."""
    revoke_session(public_id=public_id, actor=current_actor())
    flash("That session is ended.")
    return redirect(url_for(".account", _anchor="sessions"), HTTPStatus.SEE_OTHER)


@blueprint.post("/account/sessions/end-others")
@requires(None)
def end_other_sessions() -> ResponseReturnValue:
    """Sign every other browser of this person out."""
    revoke_other_sessions(session_id=current_session().id, actor=current_actor())
    flash("You are signed out everywhere else.")
    return redirect(url_for(".account", _anchor="sessions"), HTTPStatus.SEE_OTHER)


def _show(form: PasswordForm) -> str:
    actor = current_actor()
    return render_template(
        "accounts/account.html",
        form=form,
        shortest_password=MINIMUM_PASSWORD_LENGTH,
        sessions=list_sessions(actor=actor),
        this_session=current_session(),
        factor=second_factor_of(user=actor.user),
        describe_browser=describe_browser,
    )
