"""Who is asking: the session of a page, the bearer token of an API call, and the guard each route wears."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar

from flask import Flask, current_app, flash, g, redirect, request, session, url_for
from limits import parse_many
from werkzeug.exceptions import TooManyRequests

from melanoma_app.errors import NotFoundError, NotPermittedError, NotSignedInError, SessionEndedError
from melanoma_app.extensions import attempts
from melanoma_app.models import User, UserSession
from melanoma_app.security.permissions import ROLE_PERMISSIONS, Permission
from melanoma_app.services.access_refusals import record_refusal
from melanoma_app.services.actor import Actor
from melanoma_app.services.sessions import SessionEnd, explain_end, find_session
from melanoma_app.services.tokens import find_token, scopes_of

P = ParamSpec("P")
R = TypeVar("R")

PERMISSION_ATTRIBUTE: Final = "required_permission"
"""Set on every guarded view; a guard test reads it from the URL map. The value None asks for a session alone."""
_COOKIE_KEY: Final = "token"
"""Where Flask's signed cookie holds the session's token."""


@dataclass(frozen=True)
class Visitor:
    """For templates: who looks at the page; `user` is only there for somebody who is signed in."""

    user: User | None

    @property
    def is_authenticated(self) -> bool:
        """Whether somebody is signed in."""
        return self.user is not None


def init_authentication(app: Flask) -> None:
    """Tell the templates who is signed in and what they may do."""

    def describe_visitor() -> dict[str, Any]:
        signed_in = find_current_session()
        return {
            "current_user": Visitor(signed_in.user if signed_in else None),
            "may": _may,
            "Permission": Permission,
        }

    app.context_processor(describe_visitor)


def keep_session(token: str) -> None:
    """Put a new session's token into the browser's cookie, and nothing else that was there before signing in.

    The cookie goes when the browser is closed.
    """
    session.clear()
    session[_COOKIE_KEY] = token
    g.pop("user_session", None)


def forget_session() -> None:
    """Empty the browser's cookie; the session itself is ended by a service."""
    session.clear()
    g.user_session = None


def find_current_session() -> UserSession | None:
    """The session of the page that is asked for, looked up once a request; None where nobody is signed in."""
    if "user_session" not in g:
        token = session.get(_COOKIE_KEY)
        g.user_session = find_session(token=token) if isinstance(token, str) else None
    found: UserSession | None = g.user_session
    return found


def current_session() -> UserSession:
    """The session of a page that a guard has let somebody into."""
    found = find_current_session()
    if found is None:
        raise NotSignedInError("Please sign in to go on.")
    return found


def requires(
    permission: Permission | None, *, before_second_factor: bool = False
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let only a signed-in user with this permission open the page (None: any signed-in user).

    Others are sent to the sign-in page, or told that their role does not allow it, which is audited; so is the
    request for a record that they may not know of. In a clinic that requires a second factor, who has none is sent to
    set it up first.

    Args:
        permission: What the page needs.
        before_second_factor: Whether it opens to those, too, who have yet to set up the second factor.
    """

    def guard(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            signed_in = find_current_session()
            if signed_in is None:
                refusal: R = _ask_to_sign_in()
                return refusal
            if not before_second_factor and _lacks_second_factor(signed_in):
                flash("Your clinic asks for a second factor. Set it up to go on.")
                detour: R = redirect(url_for("accounts.second_factor"))  # type: ignore[assignment]  # as any view
                return detour
            actor = Actor(user=signed_in.user, origin=request_origin(), request_id=g.request_id)
            with _auditing_refusals(actor):
                _act_as(actor, permission)
                return view(*args, **kwargs)

        setattr(guarded, PERMISSION_ATTRIBUTE, permission)
        return guarded

    return guard


def requires_token(permission: Permission) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let only a bearer token call the operation that has this permission, as its owner must, too.

    Session cookies are not looked at, so no other site can make a browser call the API. An address that sends one
    wrong token after the other is slowed; the right ones of the same address go on, or a forgotten program with an
    expired token would shut out the whole clinic behind its router. They are 256 random bits: nobody guesses one at
    any speed.

    Raises:
        NotSignedInError: No token, or one that is unknown, expired or revoked.
        TooManyRequests: The address has sent too many of those.
        NotPermittedError: The owner's role or the token's scopes do not allow it.
    """

    def guard(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            authorization = request.authorization
            secret = authorization.token if authorization and authorization.type == "bearer" else None
            token = find_token(token=secret) if secret else None
            if token is None:
                if secret:
                    _slow_guesses()
                raise NotSignedInError(
                    "Send a valid token: Authorization: Bearer TOKEN. Your account page makes one, and so does "
                    "`flask tokens create`."
                )
            actor = Actor(
                user=token.user,
                origin=request_origin(),
                request_id=g.request_id,
                scopes=scopes_of(token),
            )
            with _auditing_refusals(actor):
                _act_as(actor, permission)
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


def _act_as(actor: Actor, permission: Permission | None) -> None:
    g.actor = actor
    if permission is None or permission in actor.permissions:
        return
    if actor.scopes is not None and permission not in actor.scopes:
        raise NotPermittedError(
            f"The token's scopes do not include {permission}, or your role ({actor.user.role}) does not allow it. "
            "Make a token that has it."
        )
    raise NotPermittedError(
        f"Your role ({actor.user.role}) does not allow this. Ask an administrator of your clinic."
    )


@contextmanager
def _auditing_refusals(actor: Actor) -> Iterator[None]:
    """Audit that somebody asked for what they may not do, or for a record that is none of theirs.

    An id that does not exist and one of another clinic are the same to them, and to the audit: it keeps the id.
    """
    try:
        yield
    except (NotFoundError, NotPermittedError) as refusal:
        ids = [value for value in (request.view_args or {}).values() if isinstance(value, uuid.UUID)]
        if ids or isinstance(refusal, NotPermittedError):
            record_refusal(
                actor=actor,
                endpoint=request.endpoint or "",
                status=refusal.status,
                subject_public_id=ids[0] if ids else None,
            )
        raise


def _ask_to_sign_in() -> Any:
    """Send a stranger to the sign-in page; tell somebody whose session has ended why, with 401.

    A stranger who opens a page has done nothing wrong. A cookie whose session was ended is refused: a program that
    sends a copied one should not take a redirect for success. The cookie stays as it is until somebody signs in, so
    that the form that a person sends next is told the same, even if a script of the page has asked in between.
    """
    token = session.get(_COOKIE_KEY)
    end = explain_end(token=token) if isinstance(token, str) else None
    if end is not None:
        raise SessionEndedError(_describe_end(end))
    flash("Please sign in to go on.")
    return redirect(sign_in_address())


def sign_in_address() -> str:
    """The sign-in page, which leads back to the page that was asked for."""
    asked = request.full_path if request.query_string else request.path
    return url_for("accounts.sign_in", next=asked)


def _describe_end(end: SessionEnd) -> str:
    match end:
        case SessionEnd.UNUSED:
            minutes = _whole(current_app.config["SESSION_IDLE_LIFETIME"], timedelta(minutes=1))
            return f"You were signed out after {_count(minutes, 'minute')} without use."
        case SessionEnd.TOO_OLD:
            hours = _whole(current_app.config["SESSION_LIFETIME"], timedelta(hours=1))
            return f"You were signed out after {_count(hours, 'hour')}, the longest that one stays signed in."
        case SessionEnd.ENDED:
            return "You were signed out, or your account was changed."


def _whole(length: timedelta, unit: timedelta) -> int:
    return length // unit


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def _lacks_second_factor(signed_in: UserSession) -> bool:
    """Whether the clinic asks for a second factor and this session was opened without one.

    Who has set one up cannot have such a session: the others end when the first code is given.
    """
    return bool(signed_in.user.clinic.requires_second_factor) and signed_in.second_factor_at is None


def _slow_guesses() -> None:
    """Count a wrong bearer token against its address, by the limit that holds for sign-ins, too."""
    limits = parse_many(current_app.config["SIGN_IN_RATE_LIMIT"])
    counter = attempts.limiter
    exceeded = [limit for limit in limits if not counter.hit(limit, "bearer", request_origin())]
    if exceeded:
        raise TooManyRequests(retry_after=max(limit.get_expiry() for limit in exceeded))


def _may(permission: Permission) -> bool:
    """For templates: whether the signed-in user has the permission."""
    signed_in = find_current_session()
    return signed_in is not None and permission in ROLE_PERMISSIONS[signed_in.user.role]
