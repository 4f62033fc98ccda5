from __future__ import annotations

import re
import uuid
from collections.abc import Collection
from datetime import timedelta

import pytest

from melanoma_app.errors import ConflictError, InvalidInputError, NotFoundError, NotPermittedError
from melanoma_app.models import ApiToken, AuditEvent, User
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import AuditAction, Role
from melanoma_app.security.permissions import Permission
from melanoma_app.services.actor import Actor
from melanoma_app.services.tokens import (
    LONGEST_LIFETIME,
    TokenState,
    create_token,
    find_token,
    list_tokens,
    revoke_token,
    scopes_of,
)
from tests.factories import ApiTokenFactory, UserFactory, actor_of
from tests.records import Records

pytestmark = pytest.mark.usefixtures("context")
READ = Permission.READ_STATISTICS.value


def create(
    user: User,
    *,
    name: str = "a program",
    scopes: Collection[str] = (READ,),
    lifetime: timedelta = timedelta(days=30),
    actor: Actor | None = None,
) -> tuple[ApiToken, str]:
    return create_token(user=user, name=name, scopes=scopes, lifetime=lifetime, actor=actor or actor_of(user))


class TestCreate:
    def test_token_is_found_with_owner_and_clinic_when_fresh(self, user: User) -> None:
        token, secret = create(user)

        found = find_token(token=secret)

        assert found is not None
        assert (found.public_id, found.user.id) == (token.public_id, user.id)
        assert found.user.clinic.name == user.clinic.name
        assert scopes_of(found) == {Permission.READ_STATISTICS}

    def test_secret_is_long_and_easily_recognised_when_created(self, user: User) -> None:
        secrets = {create(user)[1] for _ in range(3)}

        assert len(secrets) == 3
        assert all(re.fullmatch(r"mel_[A-Za-z0-9_-]{43}", secret) for secret in secrets)

    def test_secret_is_nowhere_in_the_database_when_created(self, user: User, records: Records) -> None:
        _, secret = create(user)

        kept = repr([vars(one) for one in (*records.all(ApiToken), *records.all(AuditEvent))])
        assert secret not in kept
        assert secret.removeprefix("mel_") not in kept

    def test_scopes_are_in_the_audit_when_created(self, user: User, records: Records) -> None:
        token, _ = create(user, name="of Ada", scopes=["statistics:read", "patients:read"])

        event = records.one(AuditEvent)
        assert (event.action, event.subject_public_id) == (AuditAction.TOKEN_CREATED, token.public_id)
        assert event.details == {
            "owner": str(user.public_id),
            "scopes": "patients:read statistics:read",
            "days": 30,
        }

    def test_nothing_is_made_when_the_role_does_not_allow_a_scope(self, user: User, records: Records) -> None:
        for scopes, word in (
            ([], "at least one"),
            (["users:manage"], "users:manage"),
            ([READ, "models:manage"], "models:manage"),
            (["everything"], "everything"),
        ):
            with pytest.raises(InvalidInputError) as refusal:
                create(user, scopes=scopes)
            assert word in refusal.value.fields["scopes"][0]
            assert READ in refusal.value.fields["scopes"][0]
        assert records.count(ApiToken) == records.count(AuditEvent) == 0

    def test_nothing_is_made_when_name_or_lifetime_will_not_do(self, user: User, records: Records) -> None:
        for name in ("  ", "x" * 121):
            with pytest.raises(InvalidInputError) as refusal:
                create(user, name=name)
            assert refusal.value.fields.keys() == {"name"}
        for lifetime in (LONGEST_LIFETIME + timedelta(seconds=1), timedelta(0)):
            with pytest.raises(InvalidInputError) as refusal:
                create(user, lifetime=lifetime)
            assert refusal.value.fields.keys() == {"lifetime"}
        assert records.count(ApiToken) == 0

    def test_nothing_is_made_when_it_would_act_for_somebody_else(self, user: User, records: Records) -> None:
        admin = UserFactory(clinic=user.clinic, role=Role.ADMIN)

        with pytest.raises(NotPermittedError):
            create(user, actor=actor_of(admin))

        assert records.count(ApiToken) == 0

    def test_nothing_is_made_when_a_token_asks_for_another(self, user: User, records: Records) -> None:
        by_token = Actor(user=user, scopes=frozenset({Permission.READ_STATISTICS}))

        with pytest.raises(NotPermittedError):
            create(user, actor=by_token)

        assert records.count(ApiToken) == 0

    def test_nothing_is_made_when_the_account_is_switched_off(self, records: Records) -> None:
        user = UserFactory(is_active=False)

        with pytest.raises(ConflictError):
            create_token(user=user, name="x", scopes=[READ], lifetime=timedelta(days=1), actor=None)


class TestFind:
    def test_nothing_is_found_when_the_token_does_not_hold(self, records: Records) -> None:
        now = utc_now()
        ApiTokenFactory(secret="expired", expires_at=now - timedelta(microseconds=1))
        ApiTokenFactory(secret="revoked", revoked_at=now)
        ApiTokenFactory(secret="switched off", user__is_active=False)
        valid = ApiTokenFactory(secret="the-secret")

        for typed in ("expired", "revoked", "switched off", "the-secre", "", valid.token_sha256, "\ud800"):
            assert find_token(token=typed) is None, typed
        assert find_token(token="the-secret") is not None

    def test_time_of_use_is_kept_to_the_minute_when_used(self, records: Records) -> None:
        ApiTokenFactory(secret="the-secret")

        find_token(token="the-secret")
        first = records.one(ApiToken).last_used_at
        find_token(token="the-secret")

        assert first is not None
        assert abs(utc_now() - first) < timedelta(minutes=1)
        assert records.one(ApiToken).last_used_at == first

    def test_nothing_is_opened_when_no_scope_is_known(self, records: Records) -> None:
        for number, stored in enumerate((None, [], ["no:longer"])):
            ApiTokenFactory(secret=f"secret-{number}", scopes=stored)

            found = find_token(token=f"secret-{number}")

            assert found is not None
            assert scopes_of(found) == frozenset()


class TestList:
    def test_own_tokens_are_listed_newest_first_when_others_have_some(self, user: User) -> None:
        now = utc_now()
        for name, days, values in (
            ("old", 3, {"expires_at": now - timedelta(days=1)}),
            ("ended", 2, {"revoked_at": now}),
            ("new", 1, {}),
        ):
            ApiTokenFactory(user=user, name=name, created_at=now - timedelta(days=days), **values)
        ApiTokenFactory(user=UserFactory(clinic=user.clinic))

        listed = list_tokens(actor=actor_of(user))

        assert [(one.token.name, one.state) for one in listed] == [
            ("new", TokenState.VALID),
            ("ended", TokenState.REVOKED),
            ("old", TokenState.EXPIRED),
        ]

    def test_scope_is_said_to_have_lapsed_when_the_role_no_longer_allows_it(self, records: Records) -> None:
        user = UserFactory(role=Role.ANALYST)
        ApiTokenFactory(user=user, scopes=["patients:read", "statistics:read"])

        (listed,) = list_tokens(actor=actor_of(user))

        assert listed.lapsed == (Permission.READ_PATIENTS,)


class TestRevoke:
    def test_token_opens_nothing_when_revoked(self, user: User, records: Records) -> None:
        token = ApiTokenFactory(user=user, secret="the-secret")

        revoke_token(public_id=token.public_id, actor=actor_of(user))
        revoke_token(public_id=token.public_id, actor=actor_of(user))

        assert find_token(token="the-secret") is None
        event = records.one(AuditEvent)
        assert (event.action, event.subject_public_id) == (AuditAction.TOKEN_REVOKED, token.public_id)

    def test_token_is_not_there_when_it_is_not_the_actors(self, user: User, records: Records) -> None:
        token = ApiTokenFactory(user=UserFactory(clinic=user.clinic), secret="the-secret")

        for wanted in (token.public_id, uuid.uuid4()):
            with pytest.raises(NotFoundError):
                revoke_token(public_id=wanted, actor=actor_of(user))

        assert find_token(token="the-secret") is not None
