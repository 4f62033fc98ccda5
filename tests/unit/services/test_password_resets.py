from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask

from melanoma_app.errors import ConflictError, InvalidInputError, NotFoundError
from melanoma_app.extensions import db
from melanoma_app.models import AuditEvent, PasswordReset, User
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import AuditAction, Role
from melanoma_app.services.accounts import find_user
from melanoma_app.services.actor import Actor
from melanoma_app.services.password_resets import (
    find_password_reset,
    issue_password_reset,
    reset_password,
)
from melanoma_app.services.passwords import is_password_of
from melanoma_app.services.sessions import find_session, open_session
from tests.factories import OTHER_PASSWORD, PASSWORD, UserFactory
from tests.records import Records

pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture
def admin(user: User) -> Actor:
    """An administrator of the clinician's clinic."""
    return Actor(user=UserFactory(clinic=user.clinic, role=Role.ADMIN), origin="192.0.2.9")


@pytest.fixture
def link(user: User, admin: Actor) -> Callable[[], str]:
    """Make a link for the clinician."""
    return lambda: issue_password_reset(user_public_id=user.public_id, actor=admin)


def use(token: str, password: str = OTHER_PASSWORD) -> User:
    return reset_password(token=token, password=password, origin="192.0.2.1", request_id="r1")


def test_password_is_set_and_sessions_and_hold_end_when_the_link_is_used(
    user: User, link: Callable[[], str], records: Records
) -> None:
    session = open_session(
        user=find_user(username=user.username),
        origin="",
        user_agent="",
        request_id="",
        has_second_factor=False,
    )
    records.change(User, User.id == user.id, failed_sign_ins=9, held_until=utc_now() + timedelta(minutes=9))

    use(link())

    found = records.one(User, User.id == user.id)
    assert is_password_of(found, OTHER_PASSWORD)
    assert not is_password_of(found, PASSWORD)
    assert (found.failed_sign_ins, found.held_until) == (0, None)
    assert find_session(token=session) is None


def test_both_acts_are_audited_without_the_secret_when_used(
    user: User, link: Callable[[], str], admin: Actor, records: Records
) -> None:
    token = link()
    use(token)

    issued = records.one(AuditEvent, AuditEvent.action == AuditAction.PASSWORD_RESET_ISSUED)
    used = records.one(AuditEvent, AuditEvent.action == AuditAction.PASSWORD_RESET_USED)
    assert (issued.actor_public_id, issued.subject_public_id) == (admin.public_id, user.public_id)
    assert (used.actor_public_id, used.origin) == (user.public_id, "192.0.2.1")
    assert token not in repr([vars(one) for one in (*records.all(AuditEvent), *records.all(PasswordReset))])


def test_link_works_once_when_used_twice(user: User, link: Callable[[], str], records: Records) -> None:
    token = link()
    use(token)

    with pytest.raises(NotFoundError):
        use(token, "a wholly new sentence")

    assert is_password_of(records.one(User, User.id == user.id), OTHER_PASSWORD)


def test_link_works_once_when_used_twice_at_once(app: Flask, link: Callable[[], str]) -> None:
    token, ready, outcomes = link(), threading.Barrier(3), []
    db.session.remove()

    def send() -> None:
        with app.app_context():
            ready.wait()
            try:
                outcomes.append(use(token) is not None)
            except NotFoundError:
                outcomes.append(False)
            db.session.remove()

    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == [False, False, True]


@pytest.mark.parametrize(
    "case", ["an hour old", "a newer one", "account off", "cut", "stored digest", "empty"]
)
def test_nobody_is_found_when_the_link_does_not_hold(
    user: User, link: Callable[[], str], records: Records, case: str
) -> None:
    token = link()
    if case == "an hour old":
        records.change(PasswordReset, expires_at=utc_now())
    elif case == "a newer one":
        link()
    elif case == "account off":
        records.change(User, User.id == user.id, is_active=False)
    token = {
        "cut": token[:-1],
        "stored digest": records.all(PasswordReset)[0].token_sha256,
        "empty": "",
    }.get(case, token)
    db.session.remove()

    assert find_password_reset(token=token) is None
    with pytest.raises(NotFoundError):
        use(token)
    assert is_password_of(records.one(User, User.id == user.id), PASSWORD)


def test_link_ends_after_an_hour_when_issued(link: Callable[[], str], records: Records) -> None:
    link()

    left = records.one(PasswordReset).expires_at - utc_now()
    assert timedelta(minutes=59) < left <= timedelta(hours=1)


def test_link_still_works_when_the_password_would_not_do(link: Callable[[], str]) -> None:
    token = link()

    with pytest.raises(InvalidInputError):
        use(token, "too short")

    assert use(token).username


def test_user_is_not_there_when_of_another_clinic(user: User, outsider: User, records: Records) -> None:
    for public_id in (user.public_id, uuid.uuid4()):
        with pytest.raises(NotFoundError):
            issue_password_reset(user_public_id=public_id, actor=Actor(user=outsider))

    assert records.count(PasswordReset) == 0


def test_link_is_refused_when_the_account_is_off(user: User, admin: Actor, records: Records) -> None:
    records.change(User, User.id == user.id, is_active=False)

    with pytest.raises(ConflictError):
        issue_password_reset(user_public_id=user.public_id, actor=admin)


def test_link_is_made_for_any_clinic_when_the_command_line_asks(user: User) -> None:
    token = issue_password_reset(user_public_id=user.public_id, actor=None)

    found = find_password_reset(token=token)
    assert found is not None
    assert found.id == user.id
