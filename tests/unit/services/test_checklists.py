"""What was found of the criteria."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from melanoma_app.errors import InvalidInputError, NotFoundError
from melanoma_app.models import AuditEvent, Checklist, Clinic, LesionImage, User
from melanoma_app.models.checklist import ABCDE, SEVEN_POINT_WEIGHTS
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.services.actor import Actor
from melanoma_app.services.checklists import newest_checklists, record_checklist
from tests.factories import ChecklistFactory, LesionImageFactory, actor_of
from tests.records import Records

pytestmark = pytest.mark.usefixtures("context")
NOTHING_FOUND = dict.fromkeys(ABCDE, False)


@pytest.fixture
def image(clinic: Clinic) -> LesionImage:
    """A photograph of the clinic."""
    return LesionImageFactory(lesion__patient__clinic=clinic)


@pytest.mark.parametrize(
    ("found", "score", "is_suspicious"),
    [
        ({"irregular_streaks", "regression_structures"}, 2, False),
        ({"blue_whitish_veil", "irregular_blotches"}, 3, True),
        (set(SEVEN_POINT_WEIGHTS), 10, True),
    ],
)
def test_score_is_the_sum_of_the_points_when_recorded(
    image: LesionImage, actor: Actor, found: set[str], score: int, is_suspicious: bool
) -> None:
    seven_point = {name: name in found for name in SEVEN_POINT_WEIGHTS}

    checklist = record_checklist(
        image_public_id=image.public_id, abcde=None, seven_point=seven_point, actor=actor
    )

    assert (checklist.seven_point_score, checklist.is_suspicious) == (score, is_suspicious)
    assert checklist.abcde_count is None


def test_newest_counts_when_recorded_twice(image: LesionImage, actor: Actor, records: Records) -> None:
    ChecklistFactory(lesion_image=image)
    record_checklist(
        image_public_id=image.public_id,
        abcde=NOTHING_FOUND | {"evolution": True},
        seven_point=None,
        actor=actor,
    )

    newest = newest_checklists(image_ids=[image.id])

    assert newest[image.id].abcde_count == 1
    assert newest[image.id].recorded_by.id == actor.user.id
    assert records.count(Checklist) == 2
    assert records.count(AuditEvent, AuditEvent.action == AuditAction.CHECKLIST_RECORDED) == 1


@pytest.mark.parametrize(
    "abcde",
    [None, {}, {"asymmetry": True}, NOTHING_FOUND | {"elevation": True}, dict.fromkeys(ABCDE, 1)],
    ids=["neither list", "empty", "a part", "one too many", "no truth values"],
)
def test_checklist_is_refused_when_it_is_not_whole(
    image: LesionImage, actor: Actor, records: Records, abcde: Mapping[str, Any] | None
) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        record_checklist(image_public_id=image.public_id, abcde=abcde, seven_point=None, actor=actor)

    assert "abcde" in refusal.value.fields
    assert records.count(Checklist) == 0


def test_photograph_is_unknown_when_of_another_clinic(image: LesionImage, outsider: User) -> None:
    with pytest.raises(NotFoundError):
        record_checklist(
            image_public_id=image.public_id, abcde=NOTHING_FOUND, seven_point=None, actor=actor_of(outsider)
        )
