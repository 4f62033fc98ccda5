from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from melanoma_app.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    NotPermittedError,
    UnavailableError,
)
from melanoma_app.extensions import classifier, db
from melanoma_app.models import AuditEvent, Clinic, ModelActivation, ModelVersion, Prediction
from melanoma_app.models.vocabulary import AuditAction, Role
from melanoma_app.services.actor import Actor
from melanoma_app.services.model_activation import (
    activate_model,
    check_active_model,
    find_active_pin,
    load_active_model,
)
from ml.inference import ModelIntegrityError
from tests.examining import FILES_AN_IMAGE, examine
from tests.factories import ModelActivationFactory, UserFactory, actor_of
from tests.records import Records
from tests.released import (
    OTHER,
    OTHER_THRESHOLD,
    OTHER_VERSION,
    SERVED,
    change_manifest,
    flip_a_bit,
    replace_network,
)

pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture
def environment(environment: dict[str, str], shelf: Path) -> dict[str, str]:
    """An app with two released models, of which the older serves by default."""
    return environment | {"MODEL_FOLDER": str(shelf), "MODEL_NAME": SERVED.name}


@pytest.fixture
def admin(clinic: Clinic) -> Actor:
    return actor_of(UserFactory(clinic=clinic, role=Role.ADMIN))


def switch(admin: Actor, identifier: str = OTHER, **values: str) -> ModelActivation:
    return activate_model(identifier=identifier, actor=admin, **{"reason": "Better"} | values)


def active() -> str:
    pin = find_active_pin()
    db.session.commit()
    return load_active_model(pin=pin).manifest.identifier


def test_model_of_the_settings_serves_when_nobody_has_chosen(admin: Actor) -> None:
    assert find_active_pin() is None
    assert active() == SERVED.name


def test_other_model_scores_when_an_administrator_switches(
    lesion_id: uuid.UUID, actor: Actor, admin: Actor, records: Records
) -> None:
    before = examine(lesion_id, actor)
    switch(admin)
    after = examine(lesion_id, actor)

    assert before.threshold != after.threshold == OTHER_THRESHOLD
    stored = {row.id: row.model_version_id for row in records.all(Prediction)}
    versions = {row.id: row.version for row in records.all(ModelVersion)}
    assert versions[stored[before.id]] == SERVED.name.rpartition("-")[2]
    assert versions[stored[after.id]] == OTHER_VERSION


def test_switch_is_kept_with_its_audit_entry_when_made(admin: Actor, records: Records) -> None:
    switch(admin, reason="  Fewer \n false alarms ")

    row = records.one(ModelActivation)
    version = records.one(ModelVersion)
    assert (row.number, row.reason) == (1, "Fewer false alarms")
    assert (row.activated_by_id, row.model_version_id) == (admin.user.id, version.id)
    event = records.one(AuditEvent, AuditEvent.action == AuditAction.MODEL_ACTIVATED)
    assert event.actor_public_id == admin.public_id
    assert event.subject_public_id == version.public_id
    assert event.details == {
        "activation": 1,
        "model": OTHER,
        "sha256": version.sha256,
        "replaces": SERVED.name,
    }


def test_first_model_serves_again_when_switched_back(admin: Actor, records: Records) -> None:
    switch(admin)
    switch(admin, SERVED.name)

    assert active() == SERVED.name
    assert [row.number for row in records.all(ModelActivation)] == [1, 2]


def test_default_may_be_settled_on_when_nobody_has_chosen(admin: Actor, shelf: Path) -> None:
    switch(admin, SERVED.name)

    assert find_active_pin() is not None
    assert active() == SERVED.name


@pytest.mark.parametrize("role", sorted(set(Role) - {Role.ADMIN}))
def test_switch_is_refused_when_the_actor_is_no_administrator(
    clinic: Clinic, records: Records, role: Role
) -> None:
    with pytest.raises(NotPermittedError):
        switch(actor_of(UserFactory(clinic=clinic, role=role)))

    assert records.count(ModelActivation) == 0


@pytest.mark.parametrize("reason", ["", " \n\t", "x" * 501])
def test_switch_is_refused_when_the_reason_will_not_do(admin: Actor, records: Records, reason: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        switch(admin, reason=reason)

    assert caught.value.fields.keys() == {"reason"}
    assert records.count(ModelActivation) == 0


@pytest.mark.parametrize("identifier", ["nothing-1.0.0", "../released", SERVED.name.rpartition("-")[0], ""])
def test_switch_is_refused_when_there_is_no_such_model(
    admin: Actor, records: Records, identifier: str
) -> None:
    with pytest.raises(NotFoundError):
        switch(admin, identifier)

    assert records.count(ModelActivation) == 0


DAMAGE: dict[str, Callable[[Path], None]] = {
    "a bit": lambda folder: flip_a_bit(folder / "model.onnx"),
    "no network": lambda folder: (folder / "model.onnx").unlink(),
    "no manifest": lambda folder: (folder / "manifest.json").unlink(),
    "cannot run": lambda folder: replace_network(folder, b"no network"),
    "other preprocessing": lambda folder: change_manifest(folder, preprocessing_version="0"),
    "other input": lambda folder: change_manifest(folder, input_size_px=64),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=list(DAMAGE))
def test_switch_is_refused_when_the_model_is_damaged(
    admin: Actor, shelf: Path, records: Records, damage: Callable[[Path], None]
) -> None:
    damage(shelf / OTHER)

    with pytest.raises(ConflictError, match="nothing was changed") as caught:
        switch(admin)

    assert OTHER in caught.value.message
    assert str(shelf) not in caught.value.message
    assert records.count(ModelActivation) == records.count(ModelVersion) == 0
    assert active() == SERVED.name


def test_switch_is_refused_when_the_model_is_active_already(admin: Actor, records: Records) -> None:
    switch(admin)

    with pytest.raises(ConflictError, match="already"):
        switch(admin)

    assert records.count(ModelActivation) == 1


def test_switch_is_refused_when_somebody_has_switched_since_the_page_was_read(
    admin: Actor, records: Records
) -> None:
    switch(admin, replaces=SERVED.name)

    with pytest.raises(ConflictError, match=OTHER):
        switch(admin, SERVED.name, replaces=SERVED.name)

    assert records.count(ModelActivation) == 1


@pytest.mark.parametrize("damage", ["gone", "replaced", "a bit"])
def test_photograph_is_refused_and_no_other_model_scores_when_the_active_one_vanishes(
    lesion_id: uuid.UUID, actor: Actor, admin: Actor, shelf: Path, records: Records, damage: str
) -> None:
    switch(admin)
    examine(lesion_id, actor)
    if damage == "gone":
        shutil.rmtree(shelf / OTHER)
    elif damage == "replaced":
        change_manifest(shelf / OTHER, sha256="0" * 64)
    else:
        flip_a_bit(shelf / OTHER / "model.onnx")

    with pytest.raises(UnavailableError, match="not taken in"):
        examine(lesion_id, actor)
    with pytest.raises(ModelIntegrityError):
        check_active_model()

    assert records.count(Prediction) == 1
    assert len(records.files()) == FILES_AN_IMAGE


def test_administrator_can_switch_away_when_the_active_model_is_gone(admin: Actor, shelf: Path) -> None:
    switch(admin)
    shutil.rmtree(shelf / OTHER)

    switch(admin, SERVED.name, replaces=OTHER)

    assert active() == SERVED.name


def test_replaced_model_can_be_activated_again_when_it_is_sound(
    admin: Actor, shelf: Path, records: Records
) -> None:
    switch(admin)
    network = (shelf / OTHER / "model.onnx").read_bytes()
    replace_network(
        shelf / OTHER, network + b"\x9a\x3f\x00"
    )  # one more field, empty and unknown: protobuf skips it
    with pytest.raises(UnavailableError):
        active()

    switch(admin)

    assert active() == OTHER
    assert records.count(ModelVersion) == records.count(ModelActivation) == 2


def test_row_is_never_changed_when_it_comes_through_the_app(records: Records) -> None:
    ModelActivationFactory()
    db.session.scalars(db.select(ModelActivation)).one().reason = "Another"

    with pytest.raises(RuntimeError, match="never changed"):
        db.session.flush()
    db.session.rollback()


def test_check_loads_nothing_when_asked_before_a_fork(admin: Actor) -> None:
    check_active_model()

    assert classifier.shelf._loaded is None
