from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import event

from melanoma_app.errors import NotFoundError
from melanoma_app.extensions import db
from melanoma_app.models import AuditEvent, User, UserSession
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.services.actor import Actor
from melanoma_app.services.sessions import (
    SessionEnd,
    close_session,
    explain_end,
    find_session,
    list_sessions,
    open_session,
    revoke_all_sessions,
    revoke_session,
)
from tests.factories import UserFactory
from tests.records import Records

pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture
def opened(user: User) -> Callable[..., str]:
    """Open a session, of the clinician if nobody else is named."""

    def open_one(of: User | None = None, user_agent: str = "Firefox") -> str:
        found = db.session.get_one(User, (of or user).id)
        return open_session(
            user=found,
            origin="192.0.2.1",
            user_agent=user_agent,
            request_id="r1",
            has_second_factor=False,
        )

    return open_one


def stored(records: Records) -> UserSession:
    return records.one(UserSession)


class TestOpen:
    def test_token_is_nowhere_in_the_database_when_opened(
        self, opened: Callable[..., str], records: Records
    ) -> None:
        token = opened()

        assert token not in repr(vars(stored(records)))
        assert token not in repr([vars(one) for one in records.all(AuditEvent)])

    def test_sign_in_is_audited_and_failures_forgotten_when_opened(
        self, opened: Callable[..., str], user: User, records: Records
    ) -> None:
        records.change(User, User.id == user.id, failed_sign_ins=4, held_until=utc_now())

        opened()

        found = records.one(User, User.id == user.id)
        assert (found.failed_sign_ins, found.held_until) == (0, None)
        assert found.last_sign_in_at is not None
        sign_in = records.one(AuditEvent, AuditEvent.action == AuditAction.SIGN_IN)
        assert (sign_in.actor_public_id, sign_in.origin) == (user.public_id, "192.0.2.1")
        assert sign_in.details == {"second_factor": False}

    def test_user_agent_is_cut_when_it_is_endless(self, opened: Callable[..., str], records: Records) -> None:
        opened(user_agent="x" * 10_000)

        assert stored(records).user_agent == "x" * 200

    def test_long_ended_sessions_are_forgotten_when_their_owner_signs_in(
        self, opened: Callable[..., str], records: Records
    ) -> None:
        other = UserFactory()
        for one in (None, None, other):
            opened(one)
        long_ago = utc_now() - timedelta(days=31)
        records.change(UserSession, expires_at=long_ago)

        opened()

        assert records.count(UserSession) == 2
        assert records.count(UserSession, UserSession.user_id == other.id) == 1


class TestFind:
    def test_user_and_clinic_come_in_one_query_when_found(
        self, opened: Callable[..., str], user: User
    ) -> None:
        token = opened()
        db.session.remove()
        statements: list[str] = []
        listen = (db.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
        event.listen(*listen)

        found = find_session(token=token)

        event.remove(*listen)
        assert found is not None
        assert (found.user.id, found.user.clinic.id) == (user.id, user.clinic_id)
        assert len([one for one in statements if one.startswith("SELECT")]) == 1
        assert not [one for one in statements if one.startswith("UPDATE")]

    @pytest.mark.parametrize(
        ("case", "end"),
        [
            ("revoked", SessionEnd.ENDED),
            ("too old", SessionEnd.TOO_OLD),
            ("unused", SessionEnd.UNUSED),
            ("owner switched off", SessionEnd.ENDED),
            ("unknown", None),
            ("stored digest", None),
            ("surrogate", None),
        ],
    )
    def test_nothing_is_found_when_the_session_does_not_hold(
        self,
        opened: Callable[..., str],
        user: User,
        records: Records,
        case: str,
        end: SessionEnd | None,
    ) -> None:
        token, now = opened(), utc_now()
        changes = {
            "revoked": {"revoked_at": now},
            "too old": {"expires_at": now},
            "unused": {"last_seen_at": now - timedelta(minutes=30)},
        }
        if case in changes:
            records.change(UserSession, **changes[case])
        if case == "owner switched off":
            records.change(User, User.id == user.id, is_active=False)
        others = {"unknown": "x", "stored digest": stored(records).token_sha256, "surrogate": "\ud800"}
        token = others.get(case, token)

        assert find_session(token=token) is None
        assert explain_end(token=token) is end


class TestEnd:
    def test_others_of_the_user_end_when_one_is_kept(
        self, opened: Callable[..., str], user: User, records: Records
    ) -> None:
        kept, other, foreign = opened(), opened(), opened(UserFactory())
        keep = find_session(token=kept)
        assert keep is not None

        assert revoke_all_sessions(user=keep.user, keep_id=keep.id) == 1
        db.session.commit()

        assert find_session(token=kept) is not None
        assert find_session(token=other) is None
        assert find_session(token=foreign) is not None

    def test_sign_out_is_audited_when_closed(
        self, opened: Callable[..., str], actor: Actor, records: Records
    ) -> None:
        token = opened()
        found = find_session(token=token)
        assert found is not None

        close_session(session_id=found.id, actor=actor)

        assert find_session(token=token) is None
        assert records.count(AuditEvent, AuditEvent.action == AuditAction.SIGN_OUT) == 1

    def test_only_ones_own_open_sessions_are_listed_when_asked_for(
        self, opened: Callable[..., str], actor: Actor, records: Records
    ) -> None:
        first, _ = opened(), opened(UserFactory())
        second = opened()
        third = opened()
        ended = find_session(token=second)
        assert ended is not None
        revoke_session(public_id=ended.public_id, actor=actor)

        listed = list_sessions(actor=actor)

        wanted = [find_session(token=token) for token in (third, first)]
        assert [one.id for one in listed] == [one.id for one in wanted if one]
        assert records.count(AuditEvent, AuditEvent.action == AuditAction.SESSIONS_REVOKED) == 1

    def test_session_of_a_colleague_is_not_there_when_one_ends_it(
        self, opened: Callable[..., str], user: User, actor: Actor, records: Records
    ) -> None:
        token = opened(UserFactory(clinic=user.clinic))

        for public_id in (stored(records).public_id, uuid.uuid4()):
            with pytest.raises(NotFoundError):
                revoke_session(public_id=public_id, actor=actor)

        assert find_session(token=token) is not None
