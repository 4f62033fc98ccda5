"""The clinic's people, as its administrators look after them."""

from __future__ import annotations

import uuid
from http import HTTPStatus

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from melanoma_app.accounts.administration_forms import NewUserForm, UserForm
from melanoma_app.accounts.words import ROLE_WORDS
from melanoma_app.errors import ConflictError, InvalidInputError
from melanoma_app.models import User
from melanoma_app.models.vocabulary import Role
from melanoma_app.security.authentication import current_actor, requires
from melanoma_app.security.permissions import Permission
from melanoma_app.services.password_resets import RESET_LIFETIME, issue_password_reset
from melanoma_app.services.second_factor import clear_second_factor
from melanoma_app.services.users import (
    add_user,
    disable_user,
    edit_user,
    enable_user,
    list_clinic_users,
    read_clinic_user,
)

blueprint = Blueprint("users", __name__, url_prefix="/users")


@blueprint.get("")
@requires(Permission.MANAGE_USERS)
def users() -> ResponseReturnValue:
    """Everybody who has an account in the clinic."""
    return render_template("accounts/users.html", users=list_clinic_users(actor=current_actor()))


@blueprint.get("/new")
@requires(Permission.MANAGE_USERS)
def new_user() -> ResponseReturnValue:
    """The empty form."""
    return render_template("accounts/user_form.html", form=NewUserForm())


@blueprint.post("/new")
@requires(Permission.MANAGE_USERS)
def add() -> ResponseReturnValue:
    """Add somebody and show, this once, the link they set their password with."""
    form = NewUserForm()
    if form.validate_on_submit():
        try:
            user, token = add_user(
                username=form.username.data,
                display_name=form.display_name.data or "",
                role=Role(form.role.data),
                actor=current_actor(),
            )
        except (ConflictError, InvalidInputError) as error:
            form.show_problems(error.fields, error.message)
        else:
            return _show_link(user, token, is_new=True)
    return render_template("accounts/user_form.html", form=form), HTTPStatus.UNPROCESSABLE_ENTITY


@blueprint.get("/<uuid:public_id>")
@requires(Permission.MANAGE_USERS)
def user(public_id: uuid.UUID) -> ResponseReturnValue:
    """One person, and what can be done about their account."""
    form = UserForm()
    form.fill(read_clinic_user(public_id=public_id, actor=current_actor()).user)
    return _show(public_id, form)


@blueprint.post("/<uuid:public_id>")
@requires(Permission.MANAGE_USERS)
def edit(public_id: uuid.UUID) -> ResponseReturnValue:
    """Save the shown name and the role."""
    form = UserForm()
    if form.validate_on_submit():
        try:
            edit_user(
                public_id=public_id,
                display_name=form.display_name.data or "",
                role=Role(form.role.data),
                actor=current_actor(),
            )
        except (ConflictError, InvalidInputError) as error:
            form.show_problems(error.fields, error.message)
        else:
            return _done(public_id, "The changes are saved.")
    return _show(public_id, form), HTTPStatus.UNPROCESSABLE_ENTITY


@blueprint.post("/<uuid:public_id>/disable")
@requires(Permission.MANAGE_USERS)
def disable(public_id: uuid.UUID) -> ResponseReturnValue:
    """Switch an account off; the page has said before what that means."""
    user = disable_user(public_id=public_id, actor=current_actor())
    return _done(public_id, f"{user.username} cannot sign in any more and is signed out everywhere.")


@blueprint.post("/<uuid:public_id>/enable")
@requires(Permission.MANAGE_USERS)
def enable(public_id: uuid.UUID) -> ResponseReturnValue:
    """Switch an account on again."""
    user = enable_user(public_id=public_id, actor=current_actor())
    return _done(public_id, f"{user.username} may sign in again.")


@blueprint.post("/<uuid:public_id>/link")
@requires(Permission.MANAGE_USERS)
def issue_link(public_id: uuid.UUID) -> ResponseReturnValue:
    """Show, this once, a link to set a new password with; links made before end."""
    token = issue_password_reset(user_public_id=public_id, actor=current_actor())
    return _show_link(read_clinic_user(public_id=public_id, actor=current_actor()).user, token, is_new=False)


@blueprint.post("/<uuid:public_id>/clear-second-factor")
@requires(Permission.MANAGE_USERS)
def clear_factor(public_id: uuid.UUID) -> ResponseReturnValue:
    """Take the second factor off somebody who has lost telephone and recovery codes."""
    clear_second_factor(user_public_id=public_id, actor=current_actor())
    return _done(public_id, "The second factor is cleared, and the person is signed out everywhere.")


def _done(public_id: uuid.UUID, message: str) -> ResponseReturnValue:
    flash(message)
    return redirect(url_for(".user", public_id=public_id), HTTPStatus.SEE_OTHER)


def _show(public_id: uuid.UUID, form: UserForm) -> str:
    return render_template(
        "accounts/user.html",
        listed=read_clinic_user(public_id=public_id, actor=current_actor()),
        form=form,
        role_words=ROLE_WORDS,
    )


def _show_link(user: User, token: str, *, is_new: bool) -> str:
    return render_template(
        "accounts/one_time_link.html",
        user=user,
        link=url_for("accounts.open_reset_link", token=token, _external=True),
        minutes=int(RESET_LIFETIME.total_seconds() // 60),
        is_new=is_new,
    )
