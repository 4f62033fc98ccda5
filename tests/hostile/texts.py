"""Texts that would run or be evaluated if a page took them for anything but text, put wherever people write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sqlalchemy import JSON, Column, Enum, String, select, update

from melanoma_app.models import Base, Lesion, LesionImage, PatientErasure, Review, User, UserSession
from melanoma_app.models.base import utc_now
from tests.factories import (
    AddendumFactory,
    FirstReadFactory,
    HistopathologyFactory,
    ModelActivationFactory,
    UserFactory,
    session,
)
from tests.records import Records, end_app_transaction

WRITTEN_BY_PEOPLE: Final = (
    "addendum.text",
    "api_token.name",
    "clinic.name",
    "first_read.note",
    "histopathology.diagnosis",
    "lesion.description",
    "lesion_image.quality_override_reason",
    "model_activation.reason",
    "patient.family_name",
    "patient.given_name",
    "patient.mrn",
    "patient_erasure.reason",
    "patient_merge.reason",
    "review.clinical_diagnosis",
    "review.reason",
    "user.display_name",
    "user.username",
    "user_session.origin",
    "user_session.user_agent",
)
"""Every column of free text that somebody outside the app fills in, programs and browsers included."""
WRITTEN_BY_THE_APP: Final = {
    "api_token.scopes",  # a closed list
    "api_token.token_sha256",
    "audit_chain.last_hash",
    "audit_event.actor_name",  # copied from user.display_name
    "audit_event.details",  # holds no free text
    "audit_event.entry_hash",
    "audit_event.origin",
    "audit_event.previous_hash",
    "audit_event.request_id",
    "clinic.time_zone",  # a name from the zone database
    "file_to_delete.storage_key",
    "job.details",
    "job.note",
    "job_item.lease_holder",
    "job_item.note",
    "lesion_image.quality",
    "lesion_image.sha256",
    "lesion_image.storage_key",
    "lesion_image.thumbnail_key",
    "lesion_image.upload_sha256",
    "model_version.name",  # this and the next ones: from a manifest that is pinned by its hash
    "model_version.operating_point",
    "model_version.preprocessing_version",
    "model_version.sha256",
    "model_version.test_performance",
    "model_version.version",
    "outcome_count.anatom_site_general",  # this and the next ones: a value of a closed list, or "all"
    "outcome_count.fitzpatrick_skin_type",
    "outcome_count.gender",
    "outcome_count.slice",
    "password_reset.token_sha256",
    "patient.search_name",
    "patient_search_key.key",
    "prediction.image_sha256",
    "prediction.operating_point",
    "prediction.preprocessing_version",
    "recovery_code.code_sha256",
    "second_factor.secret",
    "staged_photograph.cells",  # shown nowhere; the one free text becomes lesion.description
    "staged_photograph.name_digest",
    "staged_photograph.sha256",
    "staged_photograph.storage_key",
    "user.password_hash",
    "user_session.token_sha256",
}
_SHORT: Final = '"><u onclick=b()>{{7*7}}'
_MEDIUM: Final = "\"'><img src=x onerror=b()><script>b()</script>{{7*7}}${7*7}"
_LONG: Final = f"</title></textarea>{_MEDIUM}<svg/onload=b()> javascript:b()"
_TAG_LENGTH: Final = 8


def text_columns() -> set[str]:
    """Every column that holds text of no closed list, as `table.column`."""
    return {
        f"{table.name}.{column.name}"
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, (String, JSON)) and not isinstance(column.type, Enum)
    }


def text_for(name: str, number: int) -> str:
    """The worst text that a column has room for; begins with a tag that says which column and which row it is in."""
    column = _column(name)
    room = getattr(column.type, "length", None) or 0
    fitting = (one for one in (_LONG, _MEDIUM, _SHORT) if len(one) + _TAG_LENGTH <= room)
    return f"{tag_of(name)}r{number % 1000}{next(fitting)}"


def long_word_for(name: str, number: int) -> str:
    """The longest word that a column has room for."""
    tag = f"{tag_of(name)}r{number % 1000}"
    return tag + "W" * ((getattr(_column(name).type, "length", None) or 0) - len(tag))


def tag_of(name: str) -> str:
    """What a column's hostile texts begin with."""
    return f"q{WRITTEN_BY_PEOPLE.index(name):02d}q"


def evaluated(text: str) -> set[str]:
    """What would be seen if a template took the text for one of its own."""
    once = {text.replace("{{7*7}}", "49"), text.replace("${7*7}", "49"), text.replace("{7*7}", "49")}
    return {*once, text.replace("{{7*7}}", "49").replace("${7*7}", "49")} - {text}


def fill_every_table(user: User, *, image_id: int, lesion_id: int) -> None:
    """Give the tables that an examination alone leaves empty a row in the user's clinic.

    Args:
        user: A clinician, whose photograph has been scored and signed.
        image_id: The photograph.
        lesion_id: Its lesion.
    """
    image, lesion = session.get_one(LesionImage, image_id), session.get_one(Lesion, lesion_id)
    review = session.scalars(select(Review).where(Review.lesion_image_id == image_id)).one()
    AddendumFactory(review=review, written_by=user)
    FirstReadFactory(lesion_image=image, read_by=user)
    HistopathologyFactory(lesion=lesion, recorded_by=user)
    ModelActivationFactory(activated_by=UserFactory(clinic=user.clinic))
    now = utc_now()
    session.add_all(
        [
            PatientErasure(
                clinic_id=user.clinic_id,
                patient_public_id=lesion.public_id,
                reason="",
                lesions=1,
                lesion_images=1,
                erased_by_id=user.id,
            ),
            UserSession(user_id=user.id, token_sha256="0" * 64, expires_at=now, origin="", user_agent=""),
        ]
    )
    session.commit()


def spoil(
    records: Records, *, kept_usernames: set[str], write: Callable[[str, int], str] = text_for
) -> dict[str, list[str]]:
    """Put a hostile text into every row's every column that people write, behind the app's back.

    Args:
        records: The way into the database.
        kept_usernames: Of those who are to sign in.
        write: Makes the text for a column and a row's number.

    Returns:
        The texts by column.
    """
    end_app_transaction()
    session.remove()
    texts: dict[str, list[str]] = {}
    with records.engine.begin() as connection:
        for name in WRITTEN_BY_PEOPLE:
            column = _column(name)
            (key,) = column.table.primary_key.columns
            for number, before in connection.execute(select(key, column)).all():
                if name == "user.username" and before in kept_usernames:
                    continue
                text = write(name, number)
                connection.execute(update(column.table).where(key == number).values({column.name: text}))
                texts.setdefault(name, []).append(text)
    assert texts.keys() == set(WRITTEN_BY_PEOPLE)
    return texts


def _column(name: str) -> Column[str]:
    table, _, column = name.partition(".")
    return Base.metadata.tables[table].columns[column]
