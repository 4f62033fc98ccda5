"""Photographing a lesion, as the services do it."""

from __future__ import annotations

import uuid
from typing import Final

from melanoma_app.models import Prediction
from melanoma_app.models.vocabulary import ImageType
from melanoma_app.services.actor import Actor
from melanoma_app.services.examinations import record_examination
from melanoma_app.services.lesion_images import ImageRecord
from tests.photographs import draw_photograph, shoot_again

FILES_AN_IMAGE: Final = 2
"""The photograph and its thumbnail."""


def take_photograph(lesion_id: uuid.UUID, actor: Actor, **values: object) -> ImageRecord:
    """Send a photograph of a lesion."""
    given = {"upload": shoot_again(draw_photograph()), "image_type": ImageType.DERMOSCOPIC} | values
    return record_examination(lesion_public_id=lesion_id, actor=actor, **given)  # type: ignore[arg-type]


def examine(lesion_id: uuid.UUID, actor: Actor, **values: object) -> Prediction:
    """Send a photograph of a lesion that a model may look at; gives the model's answer."""
    prediction = take_photograph(lesion_id, actor, **values).prediction
    assert prediction is not None
    return prediction
