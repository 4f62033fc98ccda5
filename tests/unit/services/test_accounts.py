from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from argon2 import PasswordHasher, extract_parameters

from melanoma_app.errors import ConflictError, InvalidInputError, NotFoundError, NotSignedInError
from melanoma_app.models import ApiToken, AuditEvent, Clinic, User
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import AuditAction, Role
from melanoma_app.services.accounts import (
    authenticate_user,
    create_token,
    create_user,
    find_active_user,
    find_token_owner,
    find_user,
)
from melanoma_app.services.clinics import find_clinic
from tests.factories import OTHER_PASSWORD, PASSWORD, ApiTokenFactory, UserFactory
from tests.records import Records

pytestmark = pytest.mark.usefixtures("context")


def authenticate(username: str, password: str = PASSWORD) -> User:
    return authenticate_user(username=username, password=password, origin="192.0.2.1", request_id="r1")


class TestCreate:
    def create(self, clinic: Clinic, **values: object) -> User:
        given = {"username": "ada", "display_name": "Ada", "password": PASSWORD, "role": Role.NURSE} | values
        return create_user(clinic=clinic, **given)  # type: ignore[arg-type]  # any of them

    def test_password_is_kept_as_argon2id_when_created(self, clinic: Clinic, records: Records) -> None:
        self.create(clinic)

        stored = records.one(User, User.username == "ada").password_hash
        assert PASSWORD not in stored
        parameters = extract_parameters(stored)
        assert stored.startswith("$argon2id$")
        assert (parameters.memory_cost, parameters.time_cost) >= (19 * 1024, 2)

    def test_hashes_differ_when_passwords_are_the_same(self, clinic: Clinic) -> None:
        assert self.create(clinic).password_hash != self.create(clinic, username="eva").password_hash

    def test_name_is_kept_in_lower_case_when_typed_in_capitals(self, clinic: Clinic) -> None:
        assert self.create(clinic, username=" Ada ").username == "ada"

    @pytest.mark.parametrize("username", ["", "a", "-ada", "ada!", "a" * 65, "ada b", "ädä", "ada\n"])
    def test_name_is_refused_when_it_will_not_do(self, clinic: Clinic, username: str) -> None:
        if username.strip() == "ada":
            assert self.create(clinic, username=username).username == "ada"
        else:
            with pytest.raises(InvalidInputError):
                self.create(clinic, username=username)

    @pytest.mark.parametrize(("length", "is_taken"), [(11, False), (12, True), (256, True), (257, False)])
    def test_password_length_is_held_when_near_its_bounds(
        self, clinic: Clinic, length: int, is_taken: bool
    ) -> None:
        if is_taken:
            assert self.create(clinic, password="x" * length)
        else:
            with pytest.raises(InvalidInputError):
                self.create(clinic, password="x" * length)

    def test_name_is_refused_when_taken(self, clinic: Clinic, records: Records) -> None:
        self.create(clinic)

        with pytest.raises(ConflictError):
            self.create(clinic, username="ADA")

        assert records.count(User, User.username == "ada") == 1


class TestAuthenticate:
    def test_user_comes_in_when_the_password_is_right(self, user: User, records: Records) -> None:
        assert authenticate(user.username).id == user.id
        assert records.one(User, User.id == user.id).last_sign_in_at is not None

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

    @pytest.mark.parametrize("stored", ["", "plain", "$argon2id$v=19$broken"])
    def test_nobody_comes_in_when_the_stored_hash_is_broken(self, stored: str) -> None:
        user = UserFactory(password_hash=stored)

        with pytest.raises(NotSignedInError):
            authenticate(user.username, stored or PASSWORD)


class TestFind:
    def test_account_is_gone_when_switched_off(self) -> None:
        assert find_active_user(public_id=UserFactory(is_active=False).public_id) is None

    def test_account_is_none_when_unknown(self, records: Records) -> None:
        assert find_active_user(public_id=uuid.uuid4()) is None

    def test_refusal_says_where_to_look_when_the_name_is_unknown(self, records: Records) -> None:
        with pytest.raises(NotFoundError, match="flask users list"):
            find_user(username="nobody")

    def test_first_clinic_is_the_migrations_own_when_none_is_named(self, records: Records) -> None:
        assert find_clinic().name == "Clinic"

    def test_refusal_is_a_sentence_when_the_clinic_is_unknown(self, records: Records) -> None:
        with pytest.raises(NotFoundError, match="nowhere"):
            find_clinic(name="nowhere")


class TestTokens:
    def test_owner_is_found_when_the_token_is_fresh(self, user: User, records: Records) -> None:
        _, secret = create_token(user=user, name="a program")

        found = find_token_owner(token=secret)

        assert found is not None
        assert found.id == user.id

    def test_secret_is_nowhere_in_the_database_when_created(self, user: User, records: Records) -> None:
        _, secret = create_token(user=user, name="a program")

        assert secret not in repr([vars(one) for one in records.all(ApiToken)])
        assert secret not in repr([vars(one) for one in records.all(AuditEvent)])

    @pytest.mark.parametrize(
        "case", ["expired", "revoked", "owner switched off", "cut", "unknown", "stored digest"]
    )
    def test_nobody_is_found_when_the_token_does_not_hold(self, case: str, records: Records) -> None:
        now = utc_now()
        values = {
            "expired": {"expires_at": now - timedelta(microseconds=1)},
            "revoked": {"revoked_at": now},
            "owner switched off": {"user__is_active": False},
        }.get(case, {})
        token = ApiTokenFactory(secret="the-secret", **values)
        typed = {"cut": "the-secre", "unknown": "other", "stored digest": token.token_sha256}.get(
            case, "the-secret"
        )

        assert find_token_owner(token=typed) is None

    def test_time_of_use_is_kept_when_used(self, records: Records) -> None:
        ApiTokenFactory(secret="the-secret")

        find_token_owner(token="the-secret")

        used = records.one(ApiToken).last_used_at
        assert used is not None
        assert abs(utc_now() - used) < timedelta(minutes=1)

    def test_token_ends_after_ninety_days_when_nothing_else_is_asked(
        self, user: User, records: Records
    ) -> None:
        create_token(user=user, name="a program")

        left = records.one(ApiToken).expires_at - utc_now()
        assert timedelta(days=89, hours=23) < left <= timedelta(days=90)
