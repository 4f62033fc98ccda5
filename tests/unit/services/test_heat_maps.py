"""Heat maps: drawn by the model that answered, laid over the photograph, and only while the patient agrees."""

from __future__ import annotations

import io
import shutil
import uuid
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from melanoma_app.errors import ConflictError, NotFoundError
from melanoma_app.extensions import classifier
from melanoma_app.models import AuditEvent, User
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.services.actor import Actor
from melanoma_app.services.heat_maps import draw_heat_map
from ml.inference import Classifier, decode_image, overlay_heat_map
from tests.examining import examine
from tests.factories import ModelActivationFactory, ModelVersionFactory, actor_of
from tests.photographs import draw_large_photograph
from tests.records import Records
from tests.released import DEFAULT_NAME, OTHER_THRESHOLD, OTHER_VERSION, SERVED

pytestmark = pytest.mark.usefixtures("context")

DRAWN = AuditEvent.action == AuditAction.IMAGE_READ


@pytest.fixture
def environment(environment: dict[str, str], shelf: Path) -> dict[str, str]:
    """A shelf of the test's own, so that models can vanish from it."""
    return environment | {"MODEL_FOLDER": str(shelf), "MODEL_NAME": SERVED.name}


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), dtype=np.float64)


def test_map_is_the_models_own_when_computed_another_way(
    lesion_id: uuid.UUID, actor: Actor, records: Records
) -> None:
    prediction = examine(lesion_id, actor, upload=draw_large_photograph())

    drawn = draw_heat_map(prediction_public_id=prediction.public_id, actor=actor)

    stored = max(records.files(), key=lambda file: file.stat().st_size).read_bytes()
    small = decode_image(stored).resize((800, 600))
    expected = overlay_heat_map(small, Classifier.load(SERVED).explain(decode_image(stored)))
    assert drawn.startswith(b"\xff\xd8\xff")
    assert pixels(drawn).shape == (600, 800, 3)
    assert np.abs(pixels(drawn) - np.asarray(expected)).mean() < 4
    assert np.abs(pixels(drawn) - np.asarray(small)).mean() > 20
    event = records.one(AuditEvent, DRAWN)
    assert event.details["heat_map_of"] == str(prediction.public_id)


def test_active_model_stays_in_memory_when_an_older_one_draws(lesion_id: uuid.UUID, actor: Actor) -> None:
    prediction = examine(lesion_id, actor)
    version = ModelVersionFactory(
        name=DEFAULT_NAME, version=OTHER_VERSION, sha256=prediction.model_version.sha256
    )
    ModelActivationFactory(model_version=version)
    active = examine(lesion_id, actor)
    assert active.threshold == OTHER_THRESHOLD
    held = classifier.shelf._loaded

    draw_heat_map(prediction_public_id=prediction.public_id, actor=actor)

    assert held is not None
    assert classifier.shelf._loaded is held
    assert held.classifier.manifest.version == OTHER_VERSION


@pytest.mark.parametrize("consent", [False, None])
def test_nothing_is_drawn_when_the_patient_does_not_agree_any_more(
    lesion_id: uuid.UUID, actor: Actor, records: Records, consent: bool | None
) -> None:
    prediction = examine(lesion_id, actor)
    records.execute("UPDATE patient SET consent_to_ai_analysis = :consent", consent=consent)

    with pytest.raises(ConflictError, match="consented"):
        draw_heat_map(prediction_public_id=prediction.public_id, actor=actor)

    assert records.count(AuditEvent, DRAWN) == 0


def test_no_other_model_draws_when_the_one_that_answered_is_gone(
    lesion_id: uuid.UUID, actor: Actor, shelf: Path, records: Records
) -> None:
    prediction = examine(lesion_id, actor)
    shutil.rmtree(shelf / SERVED.name)

    with pytest.raises(ConflictError, match=SERVED.name) as refusal:
        draw_heat_map(prediction_public_id=prediction.public_id, actor=actor)

    assert str(shelf) not in refusal.value.message
    assert records.count(AuditEvent, DRAWN) == 0


def test_prediction_is_not_there_when_of_another_clinic(
    lesion_id: uuid.UUID, actor: Actor, outsider: User
) -> None:
    prediction = examine(lesion_id, actor)

    with pytest.raises(NotFoundError):
        draw_heat_map(prediction_public_id=prediction.public_id, actor=actor_of(outsider))
