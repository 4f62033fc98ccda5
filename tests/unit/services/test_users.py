from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest

from melanoma_app.errors import ConflictError, InvalidInputError, NotFoundError, NotPermittedError
from melanoma_app.models import AuditEvent, Clinic, PasswordReset, SecondFactor, User, UserSession
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import AuditAction, Role
from melanoma_app.services.actor import Actor
from melanoma_app.services.password_resets import find_password_reset
from melanoma_app.services.passwords import is_password_of
from melanoma_app.services.sessions import find_session
from melanoma_app.services.tokens import find_token
from melanoma_app.services.users import (
    add_user,
    disable_user,
    edit_user,
    enable_user,
    list_clinic_users,
    read_clinic_user,
)
from tests.factories import (
    PASSWORD,
    ApiTokenFactory,
    UserFactory,
    UserSessionFactory,
    actor_of,
)
from tests.factories import session as factory_session
from tests.records import Records

pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture
def admin(clinic: Clinic) -> Actor:
    return actor_of(UserFactory(clinic=clinic, role=Role.ADMIN, username="ada"))


@pytest.fixture
def nurse(clinic: Clinic) -> User:
    return UserFactory(clinic=clinic, role=Role.NURSE, username="nora", display_name="Nora")


def actions(records: Records) -> list[AuditAction]:
    return [event.action for event in records.all(AuditEvent)]


class TestList:
    def test_clinics_people_are_listed_by_name_when_asked(
        self, admin: Actor, nurse: User, records: Records
    ) -> None:
        UserFactory(username="of-another-clinic")
        begun = UserFactory(clinic=nurse.clinic, username="bea")
        for user, confirmed in ((nurse, utc_now()), (begun, None)):
            factory_session.add(SecondFactor(user_id=user.id, secret="x", confirmed_at=confirmed))
        factory_session.commit()

        listed = list_clinic_users(actor=admin)

        assert [(one.user.username, one.has_second_factor) for one in listed] == [
            ("ada", False),
            ("bea", False),
            ("nora", True),
        ]

    def test_user_is_not_there_when_of_another_clinic(self, admin: Actor, outsider: User) -> None:
        with pytest.raises(NotFoundError):
            read_clinic_user(public_id=outsider.public_id, actor=admin)


class TestAdd:
    def test_link_sets_the_first_password_when_added(
        self, admin: Actor, clinic: Clinic, records: Records
    ) -> None:
        user, token = add_user(username=" Eva ", display_name=" Dr  Eva ", role=Role.CLINICIAN, actor=admin)

        stored = records.one(User, User.username == "eva")
        assert (stored.clinic_id, stored.display_name, stored.role) == (clinic.id, "Dr Eva", Role.CLINICIAN)
        assert not stored.password_hash.startswith("$argon2")
        owner = find_password_reset(token=token)
        assert owner is not None
        assert owner.id == user.id
        assert actions(records) == [AuditAction.USER_CREATED, AuditAction.PASSWORD_RESET_ISSUED]
        assert "Eva" not in repr([event.details for event in records.all(AuditEvent)])

    def test_nobody_is_added_when_the_name_will_not_do(self, admin: Actor, records: Records) -> None:
        for username in ("", "a", "-ada", "ada!", "x" * 65, "ädä", "a b"):
            with pytest.raises(InvalidInputError) as refusal:
                add_user(username=username, display_name="", role=Role.NURSE, actor=admin)
            assert refusal.value.fields.keys() == {"username"}
        with pytest.raises(InvalidInputError) as refusal:
            add_user(username="eva", display_name="x" * 121, role=Role.NURSE, actor=admin)
        assert refusal.value.fields.keys() == {"display_name"}

        assert records.count(User) == 1

    def test_nobody_is_added_when_the_name_is_taken_in_another_clinic(
        self, admin: Actor, records: Records
    ) -> None:
        UserFactory(username="eva")

        with pytest.raises(ConflictError) as refusal:
            add_user(username="EVA", display_name="", role=Role.NURSE, actor=admin)

        assert refusal.value.fields.keys() == {"username"}
        assert records.count(PasswordReset) == records.count(AuditEvent) == 0


class TestEdit:
    def test_name_and_role_are_kept_when_edited(self, admin: Actor, nurse: User, records: Records) -> None:
        edit_user(public_id=nurse.public_id, display_name="Nora Oak", role=Role.CLINICIAN, actor=admin)

        stored = records.one(User, User.id == nurse.id)
        assert (stored.display_name, stored.role) == ("Nora Oak", Role.CLINICIAN)
        event = records.one(AuditEvent)
        assert event.action is AuditAction.USER_EDITED
        assert event.details == {"role_before": "nurse", "role": "clinician", "name": "changed"}

    def test_nothing_is_audited_when_nothing_changes(
        self, admin: Actor, nurse: User, records: Records
    ) -> None:
        edit_user(public_id=nurse.public_id, display_name=" Nora ", role=Role.NURSE, actor=admin)

        assert records.count(AuditEvent) == 0

    def test_own_role_stays_when_an_administrator_edits_themselves(
        self, admin: Actor, records: Records
    ) -> None:
        UserFactory(clinic=admin.user.clinic, role=Role.ADMIN)

        with pytest.raises(ConflictError, match="own role"):
            edit_user(public_id=admin.public_id, display_name="Ada", role=Role.NURSE, actor=admin)

        assert records.one(User, User.username == "ada").role is Role.ADMIN


class TestDisable:
    def test_sessions_and_tokens_end_for_good_when_disabled(
        self, admin: Actor, nurse: User, records: Records
    ) -> None:
        UserSessionFactory(user=nurse, secret="session")
        ApiTokenFactory(user=nurse, secret="token")
        ApiTokenFactory(user=nurse, expires_at=utc_now() - timedelta(days=1))

        disable_user(public_id=nurse.public_id, actor=admin)
        assert find_session(token="session") is None
        assert find_token(token="token") is None
        enable_user(public_id=nurse.public_id, actor=admin)

        assert records.one(User, User.id == nurse.id).is_active
        assert find_session(token="session") is None
        assert find_token(token="token") is None
        first, second = records.all(AuditEvent)
        assert (first.action, second.action) == (AuditAction.USER_DISABLED, AuditAction.USER_ENABLED)
        assert first.details == {"sessions_ended": 1, "tokens_revoked": 1}

    def test_everybody_else_goes_on_when_somebody_is_disabled(
        self, admin: Actor, nurse: User, records: Records
    ) -> None:
        colleague = UserFactory(clinic=nurse.clinic)
        UserSessionFactory(user=colleague, secret="session")
        ApiTokenFactory(user=colleague, secret="token")

        disable_user(public_id=nurse.public_id, actor=admin)

        assert find_session(token="session") is not None
        assert find_token(token="token") is not None

    def test_account_stays_when_it_is_the_actors_own(self, admin: Actor, records: Records) -> None:
        UserFactory(clinic=admin.user.clinic, role=Role.ADMIN)

        with pytest.raises(ConflictError, match="own account"):
            disable_user(public_id=admin.public_id, actor=admin)

        assert records.one(User, User.username == "ada").is_active

    @pytest.mark.parametrize("act", ["disable", "demote"])
    def test_last_active_administrator_stays_when_somebody_would_take_them_away(
        self, admin: Actor, records: Records, act: str
    ) -> None:
        """The actor was an administrator when the request began, and has been disabled since."""
        last = UserFactory(clinic=admin.user.clinic, role=Role.ADMIN)
        UserFactory(role=Role.ADMIN)
        records.execute("UPDATE `user` SET is_active = 0 WHERE id = :id", id=admin.user.id)

        take_away: Callable[..., User] = disable_user
        if act == "demote":
            take_away = partial(edit_user, display_name="x", role=Role.NURSE)

        with pytest.raises(ConflictError, match="last active administrator"):
            take_away(public_id=last.public_id, actor=admin)

        stored = records.one(User, User.id == last.id)
        assert (stored.is_active, stored.role) == (True, Role.ADMIN)

    def test_last_administrator_stays_when_the_command_line_asks(
        self, admin: Actor, records: Records
    ) -> None:
        with pytest.raises(ConflictError, match="last active administrator"):
            disable_user(public_id=admin.public_id, actor=None)

    def test_nothing_is_audited_when_it_is_so_already(
        self, admin: Actor, nurse: User, records: Records
    ) -> None:
        enable_user(public_id=nurse.public_id, actor=admin)
        assert records.count(AuditEvent) == 0


ACTS: tuple[Callable[..., User], ...] = (
    disable_user,
    enable_user,
    partial(edit_user, display_name="x", role=Role.NURSE),
)


def test_user_is_not_there_when_of_another_clinic(admin: Actor, outsider: User, records: Records) -> None:
    UserSessionFactory(user=outsider)
    for act in ACTS:
        for public_id in (outsider.public_id, uuid.uuid4()):
            with pytest.raises(NotFoundError):
                act(public_id=public_id, actor=admin)

    stored = records.one(User, User.id == outsider.id)
    assert (stored.is_active, stored.role) == (True, outsider.role)
    assert records.one(UserSession).revoked_at is None
    assert records.count(AuditEvent) == 0


def test_nothing_is_done_when_the_actor_is_no_administrator(nurse: User, records: Records) -> None:
    for role in (Role.CLINICIAN, Role.NURSE, Role.ANALYST):
        actor = actor_of(UserFactory(clinic=nurse.clinic, role=role))
        for act in ACTS:
            with pytest.raises(NotPermittedError):
                act(public_id=nurse.public_id, actor=actor)
        with pytest.raises(NotPermittedError):
            add_user(username="eva", display_name="", role=Role.NURSE, actor=actor)
        with pytest.raises(NotPermittedError):
            list_clinic_users(actor=actor)

    assert records.count(User) == 4
    assert records.count(AuditEvent) == 0


def test_password_is_nobodys_when_an_account_is_new(admin: Actor) -> None:
    user, _ = add_user(username="eva", display_name="", role=Role.NURSE, actor=admin)

    assert not any(is_password_of(user, typed) for typed in ("", "!", PASSWORD))
