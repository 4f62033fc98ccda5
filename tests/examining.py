"""Photographing a lesion, as the services do it."""

from __future__ import annotations

import uuid

from melanoma_app.models import Prediction
from melanoma_app.models.vocabulary import ImageType
from melanoma_app.services.actor import Actor
from melanoma_app.services.examinations import record_examination
from tests.photographs import draw_photograph


def examine(lesion_id: uuid.UUID, actor: Actor, **values: object) -> Prediction:
    given = {"upload": draw_photograph(), "image_type": ImageType.DERMOSCOPIC} | values
    return record_examination(lesion_public_id=lesion_id, actor=actor, **given)  # type: ignore[arg-type]
