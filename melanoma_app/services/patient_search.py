"""Finding patients: by name, MRN or birth date, and those who look like one about to be registered."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, Final

from sqlalchemy import Select, and_, false, or_, select

from melanoma_app.extensions import db
from melanoma_app.models import Patient
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import record_event
from melanoma_app.services.paging import PAGE_SIZE, Page, cut_page, newest_first
from melanoma_app.services.text import fold_text, search_name, tidy_mrn

MAXIMUM_SIMILAR: Final = 5
_DATE_FORMS: Final = (
    re.compile(r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})"),
    re.compile(r"(?P<day>\d{1,2})[./ ](?P<month>\d{1,2})[./ ](?P<year>\d{4})"),
)


def search_patients(
    *, search: str, actor: Actor, cursor: str | None = None, size: int = PAGE_SIZE
) -> Page[Patient]:
    """The clinic's patients, newest first, that fit a search.

    A date finds birth dates; otherwise every word must begin a part of the name or the MRN. An empty search
    gives all. Whom it showed is audited; what was searched for is not, for it may be a name.
    """
    query: Select[Any] = select(Patient).where(Patient.clinic_id == actor.clinic_id)
    if search.strip():
        query = _narrow(query, search)
    rows = db.session.scalars(
        newest_first(query, time=Patient.created_at, key=Patient.id, cursor=cursor, size=size)
    ).all()
    page = cut_page(rows, size=size, position=lambda patient: (patient.created_at, patient.id))
    record_patients_shown(patients=page.items, actor=actor)
    db.session.commit()
    return page


def find_similar_patients(
    *, mrn: str, family_name: str, given_name: str, birth_date: date | None, actor: Actor
) -> Sequence[Patient]:
    """Patients of the clinic who may be the one about to be registered.

    The same MRN, or the same birth date with the same family or given name, or the whole name alike.
    """
    family, given = fold_text(family_name), fold_text(given_name)
    likenesses = [Patient.mrn == tidy_mrn(mrn)] if mrn.strip() else []
    if family and given:
        likenesses.append(Patient.search_name == search_name(family_name, given_name))
    if birth_date and (family or given):
        names = [_begins_word(word) for word in (family, given) if word]
        likenesses.append(and_(Patient.birth_date == birth_date, or_(*names)))
    if not likenesses:
        return []
    similar = db.session.scalars(
        select(Patient)
        .where(Patient.clinic_id == actor.clinic_id, or_(*likenesses))
        .order_by(Patient.created_at.desc())
        .limit(MAXIMUM_SIMILAR)
    ).all()
    record_patients_shown(patients=similar, actor=actor)
    db.session.commit()
    return similar


def record_patients_shown(*, patients: Iterable[Patient], actor: Actor) -> None:
    """Audit that a list showed these patients, in the caller's transaction; an empty list is not worth an entry."""
    shown = list(dict.fromkeys(str(patient.public_id) for patient in patients))
    if shown:
        record_event(action=AuditAction.PATIENTS_LISTED, actor=actor, details={"patients": shown})


def parse_date(text: str) -> date | None:
    """A date written year-month-day or day.month.year (also with slashes or spaces); None for anything else."""
    for form in _DATE_FORMS:
        if match := form.fullmatch(text.strip()):
            try:
                return date(int(match["year"]), int(match["month"]), int(match["day"]))
            except ValueError:
                return None
    return None


def _narrow(query: Select[Any], search: str) -> Select[Any]:
    if (birth_date := parse_date(search)) is not None:
        return query.where(Patient.birth_date == birth_date)
    words = fold_text(search.replace(",", " ")).split()  # a name is shown as "Family, Given"
    if not words:
        return query.where(false())  # asked for something, but for nothing that could be found
    for word in words:
        query = query.where(or_(_begins_word(word), Patient.mrn.startswith(tidy_mrn(word), autoescape=True)))
    return query


def _begins_word(word: str) -> Any:
    return or_(
        Patient.search_name.startswith(word, autoescape=True),
        Patient.search_name.contains(f" {word}", autoescape=True),
    )
