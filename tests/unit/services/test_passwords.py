from __future__ import annotations

from datetime import timedelta

import pytest
from argon2 import extract_parameters
from hypothesis import given
from hypothesis import strategies as st

from melanoma_app.errors import InvalidInputError
from melanoma_app.models import AuditEvent, User, UserSession
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.services.accounts import find_user
from melanoma_app.services.actor import Actor
from melanoma_app.services.passwords import (
    NO_PASSWORD,
    change_password,
    check_new_password,
    hash_password,
    is_password_of,
)
from melanoma_app.services.sessions import find_session, open_session
from tests.factories import OTHER_PASSWORD, PASSWORD
from tests.records import Records

NEXT_PASSWORD = "a wholly new sentence"


def open_for(user: User) -> str:
    return open_session(
        user=user, origin="192.0.2.1", user_agent="Firefox", request_id="r", has_second_factor=False
    )


class TestPolicy:
    @pytest.mark.parametrize("length", [15, 64, 256])
    def test_password_will_do_when_its_length_is_within_bounds(self, length: int) -> None:
        check_new_password(("correct horse battery staple " * 9)[:length], username="ada")

    @pytest.mark.parametrize("length", [0, 14, 257])
    def test_password_is_refused_when_its_length_is_not(self, length: int) -> None:
        with pytest.raises(InvalidInputError) as refusal:
            check_new_password(("correct horse battery staple " * 9)[:length], username="ada")

        assert set(refusal.value.fields) == {"password"}

    @pytest.mark.parametrize(
        "password",
        [
            "a" * 20,
            "abababababababab",
            "123456789012345",
            "qwertyuiopqwertyuiop",
            "abcdefghijklmnop",
            "passwordpassword",
            "Password12345678",
            "MelanomaClinic1!1!",
            "welcome-welcome-1",
            "ada.lovelaceada.lovelace",
            "ADA.LOVELACE-123",
            "letmein letmein letmein",
        ],
    )
    def test_password_is_refused_when_it_is_among_the_first_to_be_tried(self, password: str) -> None:
        with pytest.raises(InvalidInputError, match="first that others would try"):
            check_new_password(password, username="ada.lovelace")

    @pytest.mark.parametrize(
        "password",
        [PASSWORD, OTHER_PASSWORD, NEXT_PASSWORD, "Überraschung im Schrank", "🐎🔋📎✂️🧷🧵🪡🧶👒🎩🧢👑💍👜🎒"],
    )
    def test_password_will_do_when_it_is_a_few_words(self, password: str) -> None:
        check_new_password(password, username="ada")

    @given(st.text(alphabet=st.characters(codec="utf-8"), max_size=300))
    def test_rules_end_in_an_answer_when_anything_is_typed(self, password: str) -> None:
        try:
            check_new_password(password, username="ada")
        except InvalidInputError:
            return
        assert 15 <= len(password) <= 256


class TestHash:
    def test_hash_is_argon2id_of_its_own_salt_when_made(self) -> None:
        first, second = hash_password(PASSWORD), hash_password(PASSWORD)

        parameters = extract_parameters(first)
        assert first.startswith("$argon2id$")
        assert (parameters.memory_cost, parameters.time_cost) >= (19 * 1024, 2)
        assert first != second
        assert PASSWORD not in first

    @pytest.mark.parametrize("stored", [NO_PASSWORD, "", "plain", "$argon2id$v=19$broken"])
    def test_nothing_fits_when_there_is_no_password(self, stored: str) -> None:
        user = User(password_hash=stored)

        assert not is_password_of(user, stored)
        assert not is_password_of(user, PASSWORD)
        assert not is_password_of(None, PASSWORD)


@pytest.mark.usefixtures("context", "records")
class TestChange:
    @pytest.fixture
    def owner(self, user: User) -> Actor:
        """The clinician, as the app has loaded them."""
        return Actor(user=find_user(username=user.username), origin="192.0.2.7", request_id="r1")

    def test_new_password_fits_and_other_sessions_end_when_changed(
        self, owner: Actor, records: Records
    ) -> None:
        here, elsewhere = open_for(owner.user), open_for(owner.user)
        kept = find_session(token=here)
        assert kept is not None

        change_password(current=PASSWORD, new=NEXT_PASSWORD, actor=owner, session_id=kept.id)

        stored = records.one(User, User.id == owner.user.id)
        assert is_password_of(stored, NEXT_PASSWORD)
        assert not is_password_of(stored, PASSWORD)
        assert find_session(token=here) is not None
        assert find_session(token=elsewhere) is None
        event = records.one(AuditEvent, AuditEvent.action == AuditAction.PASSWORD_CHANGED)
        assert event.details == {"sessions_ended": 1}
        assert event.actor_public_id == event.subject_public_id == owner.public_id

    def test_nothing_changes_when_the_present_password_is_wrong(self, owner: Actor, records: Records) -> None:
        with pytest.raises(InvalidInputError) as refusal:
            change_password(current=OTHER_PASSWORD, new=NEXT_PASSWORD, actor=owner, session_id=0)

        assert set(refusal.value.fields) == {"current"}
        assert is_password_of(records.one(User, User.id == owner.user.id), PASSWORD)
        assert records.one(User, User.id == owner.user.id).failed_sign_ins == 1

    def test_right_password_is_refused_when_it_was_guessed_at_too_often(
        self, owner: Actor, records: Records
    ) -> None:
        records.change(User, User.id == owner.user.id, held_until=utc_now() + timedelta(minutes=1))
        owner = Actor(user=find_user(username=owner.user.username))

        with pytest.raises(InvalidInputError, match="Wait and try again"):
            change_password(current=PASSWORD, new=NEXT_PASSWORD, actor=owner, session_id=0)

    def test_nothing_changes_when_the_new_password_will_not_do(self, owner: Actor, records: Records) -> None:
        token = open_for(owner.user)

        with pytest.raises(InvalidInputError) as refusal:
            change_password(current=PASSWORD, new="too short", actor=owner, session_id=0)

        assert set(refusal.value.fields) == {"password"}
        assert find_session(token=token) is not None
        assert records.count(UserSession, UserSession.revoked_at.is_(None)) == 1
