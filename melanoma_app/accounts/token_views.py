"""A person's own API tokens."""

from __future__ import annotations

import uuid
from http import HTTPStatus

from flask import flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from melanoma_app.accounts.account_forms import TokenForm
from melanoma_app.accounts.views import blueprint
from melanoma_app.accounts.words import PERMISSION_WORDS
from melanoma_app.errors import InvalidInputError
from melanoma_app.security.authentication import current_actor, requires
from melanoma_app.services.tokens import create_token, list_tokens, revoke_token


@blueprint.get("/account/tokens")
@requires(None)
def tokens() -> ResponseReturnValue:
    """The tokens one has, and the form for a new one."""
    return _show(_token_form())


@blueprint.post("/account/tokens")
@requires(None)
def make_token() -> ResponseReturnValue:
    """Make a token; its secret stands on the answer and nowhere else."""
    form = _token_form()
    if form.validate_on_submit():
        try:
            token, secret = create_token(
                user=current_actor().user,
                name=form.name.data,
                scopes=form.scopes.data,
                lifetime=form.lifetime,
                actor=current_actor(),
            )
        except InvalidInputError as error:
            form.show_problems(error.fields, error.message)
        else:
            return render_template("accounts/token.html", token=token, secret=secret)
    return _show(form), HTTPStatus.UNPROCESSABLE_ENTITY


@blueprint.post("/account/tokens/<uuid:public_id>/revoke")
@requires(None)
def end_token(public_id: uuid.UUID) -> ResponseReturnValue:
    """End one of one's own tokens."""
    token = revoke_token(public_id=public_id, actor=current_actor())
    flash(f"The token “{token.name}” is revoked. Programs that use it are refused from now on.")
    return redirect(url_for(".tokens"), HTTPStatus.SEE_OTHER)


def _token_form() -> TokenForm:
    form = TokenForm()
    form.offer_scopes(current_actor().permissions)
    return form


def _show(form: TokenForm) -> str:
    return render_template(
        "accounts/tokens.html",
        form=form,
        tokens=list_tokens(actor=current_actor()),
        words=PERMISSION_WORDS,
    )
