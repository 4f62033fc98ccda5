from __future__ import annotations

import pytest
from argon2 import PasswordHasher, extract_parameters

from melanoma_app.errors import ConflictError, InvalidInputError, NotFoundError, NotSignedInError
from melanoma_app.models import AuditEvent, Clinic, User
from melanoma_app.models.vocabulary import AuditAction, Role
from melanoma_app.services.accounts import authenticate_user, create_user, find_user
from melanoma_app.services.clinics import find_clinic
from tests.factories import OTHER_PASSWORD, PASSWORD, UserFactory
from tests.records import Records

pytestmark = pytest.mark.usefixtures("context")


def authenticate(username: str, password: str = PASSWORD) -> User:
    return authenticate_user(username=username, password=password, origin="192.0.2.1", request_id="r1")


class TestCreate:
    def create(self, clinic: Clinic, **values: object) -> User:
        given = {"username": "ada", "display_name": "Ada", "password": PASSWORD, "role": Role.NURSE} | values
        return create_user(clinic=clinic, **given)  # type: ignore[arg-type]  # any of them

    def test_name_is_kept_in_lower_case_when_typed_in_capitals(self, clinic: Clinic) -> None:
        assert self.create(clinic, username=" Ada ").username == "ada"

    @pytest.mark.parametrize("username", ["", "a", "-ada", "ada!", "a" * 65, "ada b", "ädä", "ada\n"])
    def test_name_is_refused_when_it_will_not_do(self, clinic: Clinic, username: str) -> None:
        if username.strip() == "ada":
            assert self.create(clinic, username=username).username == "ada"
        else:
            with pytest.raises(InvalidInputError):
                self.create(clinic, username=username)

    @pytest.mark.parametrize("password", ["too short", "ada ada ada ada ada", "x" * 20])
    def test_nobody_is_added_when_the_password_will_not_do(
        self, clinic: Clinic, records: Records, password: str
    ) -> None:
        with pytest.raises(InvalidInputError) as refusal:
            self.create(clinic, password=password)

        assert set(refusal.value.fields) == {"password"}
        assert records.count(User) == 0

    def test_name_is_refused_when_taken(self, clinic: Clinic, records: Records) -> None:
        self.create(clinic)

        with pytest.raises(ConflictError):
            self.create(clinic, username="ADA")

        assert records.count(User, User.username == "ada") == 1


class TestAuthenticate:
    def test_user_comes_in_when_the_password_is_right(self, user: User, records: Records) -> None:
        assert authenticate(user.username).id == user.id
        assert records.count(AuditEvent) == 0  # `open_session` tells of it

    def test_user_comes_in_when_the_name_is_typed_in_capitals(self, user: User) -> None:
        assert authenticate(f" {user.username.upper()} ").id == user.id

    @pytest.mark.parametrize("case", ["wrong password", "unknown user", "switched off", "empty password"])
    def test_refusal_reads_the_same_when_anything_is_wrong(self, user: User, case: str) -> None:
        username = {
            "unknown user": "nobody",
            "switched off": UserFactory(clinic=user.clinic, is_active=False).username,
        }.get(case, user.username)
        password = {"wrong password": OTHER_PASSWORD, "empty password": ""}.get(case, PASSWORD)

        with pytest.raises(NotSignedInError) as refusal:
            authenticate(username, password)

        assert refusal.value.message == "The user name or the password is wrong."

    def test_failure_is_audited_without_the_name_when_unknown(self, records: Records) -> None:
        with pytest.raises(NotSignedInError):
            authenticate("a-name-typed-into-the-wrong-box")

        event = records.one(AuditEvent)
        assert event.action is AuditAction.SIGN_IN_FAILED
        assert (event.actor_name, event.subject_public_id) == ("", None)
        assert "a-name-typed" not in repr(vars(event))

    def test_failure_is_in_the_clinics_chain_when_the_name_is_known(
        self, user: User, records: Records
    ) -> None:
        with pytest.raises(NotSignedInError):
            authenticate(user.username, OTHER_PASSWORD)

        assert records.one(AuditEvent).subject_public_id == user.public_id

    def test_hash_is_made_anew_when_its_parameters_are_old(self, records: Records) -> None:
        weak = PasswordHasher(memory_cost=8, time_cost=1, parallelism=1).hash(PASSWORD)
        user = UserFactory(password_hash=weak)

        authenticate(user.username)

        renewed = records.one(User, User.id == user.id).password_hash
        assert extract_parameters(renewed).memory_cost >= 19 * 1024
        assert authenticate(user.username).id == user.id


class TestFind:
    def test_refusal_says_where_to_look_when_the_name_is_unknown(self, records: Records) -> None:
        with pytest.raises(NotFoundError, match="flask users list"):
            find_user(username="nobody")

    def test_first_clinic_is_the_migrations_own_when_none_is_named(self, records: Records) -> None:
        assert find_clinic().name == "Clinic"

    def test_refusal_is_a_sentence_when_the_clinic_is_unknown(self, records: Records) -> None:
        with pytest.raises(NotFoundError, match="nowhere"):
            find_clinic(name="nowhere")
