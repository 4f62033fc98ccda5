"""Who is asking: the session of a page, the bearer token of an API call, and the guard each route wears."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import wraps
from typing import Final, ParamSpec, TypeVar

from flask import Flask, g, request
from flask_login import UserMixin, current_user

from melanoma_app.errors import NotPermittedError, NotSignedInError
from melanoma_app.extensions import login_manager
from melanoma_app.models import User
from melanoma_app.security.permissions import Permission, is_permitted
from melanoma_app.services.accounts import find_active_user, find_token_owner
from melanoma_app.services.actor import Actor

P = ParamSpec("P")
R = TypeVar("R")

PERMISSION_ATTRIBUTE: Final = "required_permission"
"""Set on every guarded view; a guard test reads it from the URL map. The value None asks for a session alone."""


class SignedInUser(UserMixin):  # type: ignore[misc]  # Flask-Login has no types
    """What Flask-Login keeps in the session: the account's public id."""

    def __init__(self, user: User) -> None:
        self.user = user

    def get_id(self) -> str:
        """The value stored in the session cookie."""
        return str(self.user.public_id)


def init_authentication(app: Flask) -> None:
    """Tell Flask-Login where the sign-in page is and how an id becomes a user."""
    login_manager.login_view = "accounts.sign_in"
    login_manager.login_message = "Please sign in to go on."
    login_manager.session_protection = "basic"
    login_manager.init_app(app)
    app.context_processor(lambda: {"may": _may, "Permission": Permission})


@login_manager.user_loader  # type: ignore[untyped-decorator]  # Flask-Login has no types
def _load_user(public_id: str) -> SignedInUser | None:
    try:
        user = find_active_user(public_id=uuid.UUID(public_id))
    except ValueError:
        return None
    return None if user is None else SignedInUser(user)


def requires(permission: Permission | None) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let only a signed-in user with this permission open the page (None: any signed-in user).

    Others are sent to the sign-in page, or told that their role does not allow it.
    """

    def guard(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            if not current_user.is_authenticated:
                refusal: R = login_manager.unauthorized()
                return refusal
            _act_as(current_user.user, permission)
            return view(*args, **kwargs)

        setattr(guarded, PERMISSION_ATTRIBUTE, permission)
        return guarded

    return guard


def requires_token(permission: Permission) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let only a bearer token whose owner has this permission call the operation.

    Session cookies are not looked at, so no other site can make a browser call the API.

    Raises:
        NotSignedInError: No token, or one that is unknown, expired or revoked.
        NotPermittedError: The owner's role does not allow it.
    """

    def guard(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            authorization = request.authorization
            token = authorization.token if authorization and authorization.type == "bearer" else None
            user = find_token_owner(token=token) if token else None
            if user is None:
                raise NotSignedInError(
                    "Send a valid token: Authorization: Bearer TOKEN. `flask tokens create` makes one."
                )
            _act_as(user, permission)
            return view(*args, **kwargs)

        setattr(guarded, PERMISSION_ATTRIBUTE, permission)
        return guarded

    return guard


def current_actor() -> Actor:
    """The person whose request a guard has let in."""
    actor: Actor = g.actor
    return actor


def request_origin() -> str:
    """The network address the request came from."""
    return request.remote_addr or "unknown"


def _act_as(user: User, permission: Permission | None) -> None:
    if permission is not None and not is_permitted(user.role, permission):
        raise NotPermittedError(
            f"Your role ({user.role}) does not allow this. Ask an administrator of your clinic."
        )
    g.actor = Actor(user=user, origin=request_origin(), request_id=g.request_id)


def _may(permission: Permission) -> bool:
    """For templates: whether the signed-in user has the permission."""
    return bool(current_user.is_authenticated) and is_permitted(current_user.user.role, permission)
