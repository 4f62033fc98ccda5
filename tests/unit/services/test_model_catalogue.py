from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from melanoma_app.errors import NotFoundError
from melanoma_app.model_shelf import PLOTS
from melanoma_app.models import Clinic, User
from melanoma_app.models.vocabulary import Role
from melanoma_app.services.actor import Actor
from melanoma_app.services.model_activation import activate_model
from melanoma_app.services.model_catalogue import (
    ListedModel,
    describe_figures,
    describe_point,
    list_models,
    read_model,
    read_plot,
)
from ml.inference import ModelManifest
from tests.examining import examine
from tests.factories import ModelVersionFactory, PredictionFactory, UserFactory, actor_of
from tests.records import Records
from tests.released import OTHER, SERVED, change_manifest

pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture
def environment(environment: dict[str, str], shelf: Path) -> dict[str, str]:
    """An app with two released models, of which the older serves by default."""
    return environment | {"MODEL_FOLDER": str(shelf), "MODEL_NAME": SERVED.name}


@pytest.fixture
def admin(clinic: Clinic) -> Actor:
    return actor_of(UserFactory(clinic=clinic, role=Role.ADMIN, display_name="Ada"))


def listed(actor: Actor) -> dict[str, ListedModel]:
    return {model.identifier: model for model in list_models(actor=actor).models}


def test_default_is_the_active_one_when_nobody_has_chosen(actor: Actor) -> None:
    catalogue = list_models(actor=actor)

    assert (catalogue.active.identifier, catalogue.active.is_default) == (SERVED.name, True)
    assert {one.identifier: one.is_active for one in catalogue.models} == {OTHER: False, SERVED.name: True}
    assert not any(one.problem for one in catalogue.models)


def test_chosen_model_is_the_active_one_when_switched(actor: Actor, admin: Actor) -> None:
    activate_model(identifier=OTHER, reason="Better", actor=admin)

    active = list_models(actor=actor).active

    assert (active.identifier, active.is_default) == (OTHER, False)
    assert (active.activated_by, active.reason) == ("Ada", "Better")
    assert [name for name, one in listed(actor).items() if one.is_active] == [OTHER]


def test_administrator_and_reason_stay_unknown_when_of_another_clinic(admin: Actor, outsider: User) -> None:
    activate_model(identifier=OTHER, reason="Better", actor=admin)

    active = list_models(actor=actor_of(outsider)).active

    assert (active.identifier, active.activated_by, active.reason) == (OTHER, "", "")


def test_predictions_are_counted_for_the_own_clinic_when_others_have_some(
    lesion_id: uuid.UUID, actor: Actor, admin: Actor, outsider: User
) -> None:
    examine(lesion_id, actor)
    examine(lesion_id, actor)
    activate_model(identifier=OTHER, reason="Better", actor=admin)
    examine(lesion_id, actor)

    assert {name: one.predictions for name, one in listed(actor).items()} == {SERVED.name: 2, OTHER: 1}
    assert {one.predictions for one in listed(actor_of(outsider)).values()} == {0}


def test_version_that_has_scored_is_listed_when_no_longer_on_the_shelf(
    clinic: Clinic, actor: Actor, outsider: User
) -> None:
    version = ModelVersionFactory(name="former", version="0.9.0", sensitivity=0.91)
    PredictionFactory(model_version=version, lesion_image__lesion__patient__clinic=clinic)
    ModelVersionFactory(name="idle")

    former = listed(actor)["former-0.9.0"]

    assert not former.is_on_shelf
    assert (former.predictions, former.sensitivity) == (1, 0.91)
    assert set(listed(actor)) == {OTHER, SERVED.name, "former-0.9.0"}
    assert set(listed(actor_of(outsider))) == {OTHER, SERVED.name}


def test_active_model_is_listed_with_its_problem_when_its_folder_was_replaced(
    actor: Actor, admin: Actor, shelf: Path
) -> None:
    activate_model(identifier=OTHER, reason="Better", actor=admin)
    change_manifest(shelf / OTHER, sha256="0" * 64)

    catalogue = list_models(actor=actor)

    assert "replaced" in catalogue.active.problem
    assert str(shelf) not in catalogue.active.problem
    same_name = [one for one in catalogue.models if one.identifier == OTHER]
    assert [(one.is_on_shelf, one.is_active) for one in same_name] == [(True, False), (False, True)]


def test_problem_is_told_when_the_settings_name_no_model(actor: Actor, shelf: Path) -> None:
    (shelf / SERVED.name).rename(shelf / ".away")

    catalogue = list_models(actor=actor)

    assert catalogue.active.identifier == ""
    assert SERVED.name in catalogue.active.problem
    assert not any(one.is_active for one in catalogue.models)


def test_model_is_found_when_listed_and_not_otherwise(actor: Actor) -> None:
    model, catalogue = read_model(identifier=OTHER, actor=actor)

    assert model in catalogue.models
    with pytest.raises(NotFoundError):
        read_model(identifier="nothing-1.0.0", actor=actor)


class TestPlots:
    @pytest.mark.parametrize("name", PLOTS)
    def test_plot_is_given_out_when_it_is_there(self, actor: Actor, shelf: Path, name: str) -> None:
        (shelf / OTHER / name).write_bytes(b"a plot")

        assert read_plot(identifier=OTHER, name=name) == b"a plot"

    @pytest.mark.parametrize(
        ("identifier", "name"),
        [
            (OTHER, "manifest.json"),
            (OTHER, "model.onnx"),
            (OTHER, "../secret.png"),
            (OTHER, "../roc.png"),
            (OTHER, "./roc.png"),
            (OTHER, "ROC.PNG"),
            ("..", "roc.png"),
            (".", "roc.png"),
            ("", "roc.png"),
            (f"{OTHER}/..", "roc.png"),
            (f"../{OTHER}", "roc.png"),
            ("hidden", "roc.png"),
            ("nothing-1.0.0", "roc.png"),
        ],
    )
    def test_nothing_is_given_out_when_it_is_no_plot_of_a_listed_model(
        self, actor: Actor, shelf: Path, identifier: str, name: str
    ) -> None:
        (shelf / "hidden").mkdir()
        for folder in (shelf, shelf.parent, shelf / "hidden"):
            for file in ("roc.png", "secret.png"):
                (folder / file).write_bytes(b"secret")

        with pytest.raises(NotFoundError):
            read_plot(identifier=identifier, name=name)

    def test_nothing_is_given_out_when_the_plot_is_missing(self, actor: Actor, shelf: Path) -> None:
        (shelf / OTHER / "roc.png").unlink(missing_ok=True)

        with pytest.raises(NotFoundError):
            read_plot(identifier=OTHER, name="roc.png")


def test_every_figure_of_the_manifest_stands_in_the_table_when_described(records: Records) -> None:
    manifest = ModelManifest.read(SERVED)

    points, rows = describe_figures(manifest)

    assert sum(len(row.values) for row in rows) == len(manifest.metrics)
    assert {point for row in rows for point in row.values} == set(points)
    assert all(describe_point(point, manifest) for point in points)
