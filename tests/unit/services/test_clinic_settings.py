from __future__ import annotations

from typing import Any

import pytest

from melanoma_app.errors import ConflictError, InvalidInputError, NotPermittedError
from melanoma_app.models import AuditEvent, Clinic, SecondFactor
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import AuditAction, Role
from melanoma_app.services.actor import Actor
from melanoma_app.services.clinic_settings import edit_clinic, list_time_zones
from tests.factories import ClinicFactory, UserFactory, actor_of, session
from tests.records import Records

pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture
def admin(clinic: Clinic) -> Actor:
    return actor_of(UserFactory(clinic=clinic, role=Role.ADMIN))


def edit(actor: Actor, **changes: Any) -> Clinic:
    values = {
        "name": actor.user.clinic.name,
        "time_zone": "UTC",
        "requires_second_factor": False,
        "retention_years": None,
    } | changes
    return edit_clinic(**values, actor=actor)


def give_second_factor(actor: Actor, *, is_confirmed: bool) -> None:
    confirmed_at = utc_now() if is_confirmed else None
    session.add(SecondFactor(user_id=actor.user.id, secret="x", confirmed_at=confirmed_at))
    session.commit()


def test_settings_are_kept_and_audited_when_changed(admin: Actor, clinic: Clinic, records: Records) -> None:
    give_second_factor(admin, is_confirmed=True)

    edit(
        admin,
        name=" Skin  clinic ",
        time_zone="Europe/Lisbon",
        requires_second_factor=True,
        retention_years=10,
    )

    stored = records.one(Clinic, Clinic.id == clinic.id)
    assert (stored.name, stored.time_zone) == ("Skin clinic", "Europe/Lisbon")
    assert (stored.requires_second_factor, stored.retention_years) == (True, 10)
    event = records.one(AuditEvent)
    assert (event.action, event.subject_public_id) == (AuditAction.CLINIC_EDITED, clinic.public_id)
    assert event.details == {
        "name": "changed",
        "time_zone_before": "UTC",
        "time_zone": "Europe/Lisbon",
        "requires_second_factor_before": "no",
        "requires_second_factor": "yes",
        "retention_years_before": "not set",
        "retention_years": 10,
    }


def test_nothing_is_audited_when_nothing_changes(admin: Actor, records: Records) -> None:
    edit(admin)

    assert records.count(AuditEvent) == 0


@pytest.mark.parametrize("is_begun", [False, True])
def test_second_factor_is_not_required_when_the_actor_has_none(
    admin: Actor, clinic: Clinic, records: Records, is_begun: bool
) -> None:
    if is_begun:
        give_second_factor(admin, is_confirmed=False)

    with pytest.raises(ConflictError) as refusal:
        edit(admin, requires_second_factor=True, retention_years=10)

    assert refusal.value.fields.keys() == {"requires_second_factor"}
    stored = records.one(Clinic, Clinic.id == clinic.id)
    assert not stored.requires_second_factor
    assert stored.retention_years is None


def test_nothing_is_saved_when_a_value_will_not_do(admin: Actor, records: Records) -> None:
    for field, values in (
        ("name", (" ", "x" * 121)),
        ("time_zone", ("Europe/Atlantis", "../../etc/passwd", "")),
        ("retention_years", (0, 101)),
    ):
        for value in values:
            with pytest.raises(InvalidInputError) as refusal:
                edit(admin, **{field: value})
            assert refusal.value.fields.keys() == {field}
    assert records.count(AuditEvent) == 0


def test_name_is_refused_when_another_clinic_has_it(admin: Actor, clinic: Clinic, records: Records) -> None:
    other = ClinicFactory()

    with pytest.raises(ConflictError) as refusal:
        edit(admin, name=other.name)

    assert refusal.value.fields.keys() == {"name"}
    assert records.one(Clinic, Clinic.id == clinic.id).name == clinic.name


def test_nothing_is_saved_when_the_actor_is_no_administrator(clinic: Clinic, records: Records) -> None:
    for role in (Role.CLINICIAN, Role.NURSE, Role.ANALYST):
        with pytest.raises(NotPermittedError):
            edit(actor_of(UserFactory(clinic=clinic, role=role)), retention_years=10)

    assert records.one(Clinic, Clinic.id == clinic.id).retention_years is None


def test_zones_are_those_of_iana_when_listed() -> None:
    assert {"UTC", "Europe/Lisbon", "America/New_York"} <= set(list_time_zones())
