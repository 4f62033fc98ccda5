from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from flask import Flask

from melanoma_app.errors import ConflictError, InvalidInputError, NotFoundError, NotSignedInError
from melanoma_app.extensions import db
from melanoma_app.models import AuditEvent, Clinic, RecoveryCode, SecondFactor, User, UserSession
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import AuditAction, Role
from melanoma_app.services.accounts import find_user
from melanoma_app.services.actor import Actor
from melanoma_app.services.second_factor import (
    begin_second_factor,
    clear_second_factor,
    confirm_second_factor,
    count_recovery_codes,
    make_recovery_codes,
    remove_second_factor,
    second_factor_of,
)
from melanoma_app.services.second_step import begin_second_step, check_second_step, find_second_step
from melanoma_app.services.sessions import find_session, open_session
from melanoma_app.services.sign_in_holds import HeldError
from tests.authenticators import Authenticator, set_up
from tests.factories import UserFactory
from tests.records import Records

RFC_6238_SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
"""Appendix B: the ASCII string 12345678901234567890 in base32."""


@pytest.fixture
def authenticator(app: Flask, user: User, records: Records) -> Authenticator:
    """The clinician's, none of whose codes was used."""
    return set_up(app, user, records)


@pytest.fixture
def owner(context: None, user: User, records: Records) -> Callable[[], Actor]:
    """The clinician, as a request loads them."""
    return lambda: Actor(user=find_user(username=user.username), origin="192.0.2.7", request_id="r1")


def check(code: str, username: str) -> None:
    check_second_step(user=find_user(username=username), code=code, origin="192.0.2.1", request_id="r1")


def is_right(code: str, user: User) -> bool:
    try:
        check(code, user.username)
    except NotSignedInError:
        return False
    return True


class TestEnrolment:
    def test_authenticator_is_told_clinic_and_name_when_begun(self, owner: Callable[[], Actor]) -> None:
        enrolment = begin_second_factor(actor=owner())

        parts = urlsplit(enrolment.uri)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        clinic, name = owner().user.clinic.name, owner().user.username
        assert (parts.scheme, parts.netloc, unquote(parts.path)) == ("otpauth", "totp", f"/{clinic}:{name}")
        assert query["issuer"] == clinic
        assert query["secret"] == enrolment.secret
        assert len(enrolment.secret) * 5 >= 160  # bits, RFC 4226, 4

    def test_secret_is_not_in_the_database_when_begun(
        self, owner: Callable[[], Actor], records: Records, user: User
    ) -> None:
        secret = begin_second_factor(actor=owner()).secret

        with records.engine.connect() as connection:
            (stored,) = connection.exec_driver_sql("SELECT secret FROM second_factor").one()
        assert secret not in stored
        assert second_factor_of(user=user) is None

    def test_secret_stays_for_an_hour_when_the_page_is_loaded_again(
        self, owner: Callable[[], Actor], records: Records
    ) -> None:
        first = begin_second_factor(actor=owner()).secret
        second = begin_second_factor(actor=owner()).secret
        records.change(SecondFactor, created_at=utc_now() - timedelta(hours=1, seconds=1))

        third = begin_second_factor(actor=owner()).secret

        assert first == second != third

    def test_ten_codes_come_and_other_sessions_end_when_confirmed(
        self, owner: Callable[[], Actor], user: User, records: Records
    ) -> None:
        tokens = [
            open_session(user=owner().user, origin="", user_agent="", request_id="", has_second_factor=False)
            for _ in range(2)
        ]
        here = find_session(token=tokens[0])
        assert here is not None
        secret = begin_second_factor(actor=owner()).secret

        codes = confirm_second_factor(code=Authenticator(secret).code(), actor=owner(), session_id=here.id)

        assert len(set(codes)) == 10
        assert {len(code.replace("-", "")) for code in codes} == {24}  # 120 bits in base32
        assert count_recovery_codes(user=user) == 10
        stored = repr([vars(one) for one in records.all(RecoveryCode)])
        assert not [code for code in codes if code in stored or code.replace("-", "") in stored]
        assert second_factor_of(user=user) is not None
        db.session.remove()
        kept = find_session(token=tokens[0])
        assert kept is not None
        assert kept.second_factor_at is not None
        assert find_session(token=tokens[1]) is None
        assert records.count(AuditEvent, AuditEvent.action == AuditAction.SECOND_FACTOR_ENABLED) == 1

    def test_nothing_is_on_when_the_first_code_is_wrong(
        self, owner: Callable[[], Actor], user: User, records: Records
    ) -> None:
        secret = begin_second_factor(actor=owner()).secret

        with pytest.raises(InvalidInputError) as refusal:
            confirm_second_factor(code=Authenticator(secret).wrong_code(), actor=owner(), session_id=0)

        assert set(refusal.value.fields) == {"code"}
        assert second_factor_of(user=user) is None
        assert records.count(RecoveryCode) == 0

    @pytest.mark.usefixtures("authenticator")
    def test_second_one_is_refused_when_there_is_one(self, owner: Callable[[], Actor]) -> None:
        with pytest.raises(ConflictError):
            begin_second_factor(actor=owner())
        with pytest.raises(ConflictError):
            confirm_second_factor(code="123456", actor=owner(), session_id=0)


@pytest.mark.usefixtures("context")
class TestCodes:
    @pytest.mark.parametrize(
        ("steps", "is_taken"), [(-3, False), (-1, True), (0, True), (1, True), (3, False)]
    )
    def test_code_is_taken_when_the_clocks_differ_by_one_step(
        self, user: User, authenticator: Authenticator, steps: int, is_taken: bool
    ) -> None:
        assert is_right(authenticator.code(steps=steps), user) is is_taken

    @pytest.mark.parametrize("typed", ["{0} {1}", " {0}{1} ", "{0}\t{1}"])
    def test_code_is_taken_when_typed_with_spaces(
        self, user: User, authenticator: Authenticator, typed: str
    ) -> None:
        code = authenticator.code()

        assert is_right(typed.format(code[:3], code[3:]), user)

    @pytest.mark.parametrize(
        "code", ["", "0", "１２３４５６", "\ud800", "x" * 5000, "000000000000", "-" * 16]
    )
    def test_code_is_refused_when_it_is_none(
        self, user: User, authenticator: Authenticator, code: str
    ) -> None:
        assert not is_right(code, user)

    def test_code_is_refused_when_used_already(self, user: User, authenticator: Authenticator) -> None:
        code = authenticator.code()

        assert [is_right(code, user), is_right(code, user)] == [True, False]

    def test_earlier_code_is_refused_when_a_later_one_was_used(
        self, user: User, authenticator: Authenticator
    ) -> None:
        earlier = authenticator.code()

        assert is_right(authenticator.code(steps=1), user)
        assert not is_right(earlier, user)

    @pytest.mark.parametrize("kind", ["authenticator", "recovery"])
    def test_one_comes_in_when_a_code_is_sent_twice_at_once(
        self, app: Flask, user: User, authenticator: Authenticator, kind: str
    ) -> None:
        code = authenticator.code() if kind == "authenticator" else authenticator.recovery_codes[0]
        ready, outcomes = threading.Barrier(4), []

        def send() -> None:
            with app.app_context():
                ready.wait()
                outcomes.append(is_right(code, user))
                db.session.remove()

        threads = [threading.Thread(target=send) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sorted(outcomes) == [False, False, False, True]

    def test_recovery_code_works_once_when_typed_in_any_way(
        self, user: User, authenticator: Authenticator, records: Records
    ) -> None:
        code = authenticator.recovery_codes[3]

        assert is_right(f" {code.upper().replace('-', ' ')} ", user)
        assert not is_right(code, user)
        assert count_recovery_codes(user=user) == 9
        assert records.count(AuditEvent, AuditEvent.action == AuditAction.RECOVERY_CODE_USED) == 1

    def test_recovery_code_alone_works_when_the_secret_key_was_changed(
        self, app: Flask, user: User, authenticator: Authenticator
    ) -> None:
        app.config["SECRET_KEY"] = "x" * 32

        assert not is_right(authenticator.code(), user)
        assert is_right(authenticator.recovery_codes[0], user)

    def test_code_of_a_colleague_is_refused_when_sent(
        self, app: Flask, user: User, authenticator: Authenticator, records: Records
    ) -> None:
        theirs = set_up(app, UserFactory(clinic=user.clinic), records)

        assert not is_right(theirs.recovery_codes[0], user)
        assert not is_right(theirs.code(), user)

    def test_codes_are_those_of_the_standard_when_its_secret_is_used(self) -> None:
        """RFC 6238, appendix B, the SHA-1 rows, cut to six digits."""
        import pyotp

        codes = {at: pyotp.TOTP(RFC_6238_SECRET).at(at) for at in (59, 1111111109, 20000000000)}
        assert codes == {59: "287082", 1111111109: "081804", 20000000000: "353130"}

    def test_guesses_sent_at_once_are_stopped_at_the_fifth_when_they_are_wrong(
        self, app: Flask, user: User, authenticator: Authenticator, records: Records
    ) -> None:
        code, ready = authenticator.wrong_code(), threading.Barrier(8)

        def send() -> None:
            with app.app_context():
                ready.wait()
                is_right(code, user)
                db.session.remove()

        threads = [threading.Thread(target=send) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert records.count(AuditEvent, AuditEvent.action == AuditAction.SECOND_FACTOR_FAILED) == 5
        assert records.one(User, User.id == user.id).failed_sign_ins == 5
        with pytest.raises(HeldError):
            check(authenticator.code(), user.username)


@pytest.mark.usefixtures("context")
class TestBetweenTheSteps:
    def test_user_is_found_when_the_note_is_fresh(self, user: User) -> None:
        found = find_second_step(note=begin_second_step(user=user))

        assert found is not None
        assert found.id == user.id

    @pytest.mark.parametrize("case", ["too old", "tampered", "password changed", "switched off", "other key"])
    def test_nobody_is_found_when_the_note_does_not_hold(
        self, app: Flask, user: User, records: Records, monkeypatch: pytest.MonkeyPatch, case: str
    ) -> None:
        note = begin_second_step(user=user)
        if case == "too old":
            monkeypatch.setattr("melanoma_app.services.second_step.SECOND_STEP_S", -1)
        elif case == "tampered":
            # Not the last sign, of which two bits mean nothing.
            note = note[:-2] + ("a" if note[-2] != "a" else "b") + note[-1]
        elif case == "password changed":
            records.change(User, User.id == user.id, password_hash="another")
        elif case == "switched off":
            records.change(User, User.id == user.id, is_active=False)
        else:
            app.config["SECRET_KEY"] = "x" * 32

        assert find_second_step(note=note) is None


class TestOwn:
    def test_old_recovery_codes_end_when_new_ones_are_made(
        self, owner: Callable[[], Actor], user: User, authenticator: Authenticator
    ) -> None:
        codes = make_recovery_codes(actor=owner(), code=authenticator.code())

        assert not set(codes) & set(authenticator.recovery_codes)
        assert not is_right(authenticator.recovery_codes[0], user)
        assert is_right(codes[0], user)

    def test_nothing_is_left_when_removed(
        self, owner: Callable[[], Actor], user: User, authenticator: Authenticator, records: Records
    ) -> None:
        remove_second_factor(actor=owner(), code=authenticator.code())

        assert records.count(RecoveryCode) == 0
        assert second_factor_of(user=user) is None
        assert records.count(AuditEvent, AuditEvent.action == AuditAction.SECOND_FACTOR_DISABLED) == 1

    def test_it_stays_when_the_clinic_requires_one(
        self, owner: Callable[[], Actor], user: User, authenticator: Authenticator, records: Records
    ) -> None:
        records.change(Clinic, Clinic.id == user.clinic_id, requires_second_factor=True)

        with pytest.raises(ConflictError):
            remove_second_factor(actor=owner(), code=authenticator.code())

        assert second_factor_of(user=user) is not None

    @pytest.mark.parametrize("act", [make_recovery_codes, remove_second_factor])
    def test_it_stays_and_is_counted_when_the_code_is_wrong(
        self,
        owner: Callable[[], Actor],
        user: User,
        authenticator: Authenticator,
        records: Records,
        act: Callable[..., object],
    ) -> None:
        for _ in range(5):
            with pytest.raises(InvalidInputError):
                act(actor=owner(), code=authenticator.wrong_code())
        with pytest.raises(HeldError):
            act(actor=owner(), code=authenticator.code())

        assert second_factor_of(user=user) is not None
        assert count_recovery_codes(user=user) == 10


class TestClear:
    def test_it_is_gone_and_sessions_end_when_an_administrator_clears_it(
        self, context: None, user: User, authenticator: Authenticator, records: Records
    ) -> None:
        admin = Actor(user=UserFactory(clinic=user.clinic, role=Role.ADMIN))
        token = open_session(
            user=find_user(username=user.username),
            origin="",
            user_agent="",
            request_id="",
            has_second_factor=True,
        )

        clear_second_factor(user_public_id=user.public_id, actor=admin)

        assert second_factor_of(user=user) is None
        assert find_session(token=token) is None
        assert records.count(UserSession) == 1
        event = records.one(AuditEvent, AuditEvent.action == AuditAction.SECOND_FACTOR_DISABLED)
        assert (event.actor_public_id, event.subject_public_id) == (admin.public_id, user.public_id)

    def test_user_is_not_there_when_of_another_clinic(
        self, context: None, user: User, authenticator: Authenticator, outsider: User
    ) -> None:
        for public_id in (user.public_id, uuid.uuid4()):
            with pytest.raises(NotFoundError):
                clear_second_factor(user_public_id=public_id, actor=Actor(user=outsider))

        assert second_factor_of(user=user) is not None

    def test_refusal_says_so_when_there_is_none(self, context: None, user: User, actor: Actor) -> None:
        with pytest.raises(ConflictError):
            clear_second_factor(user_public_id=user.public_id, actor=actor)
