"""Finding patients: by name, MRN or birth date, and those who look like one about to be registered."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, TypeVar

from sqlalchemy import ColumnElement, Select, false, or_, select

from melanoma_app.extensions import db
from melanoma_app.models import Patient
from melanoma_app.models.base import utc_now
from melanoma_app.models.patient_merge import is_not_merged
from melanoma_app.models.vocabulary import AuditAction
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import record_event
from melanoma_app.services.birth_dates import read_dates
from melanoma_app.services.name_search import find_candidates, is_alike, name_words
from melanoma_app.services.paging import PAGE_SIZE, Page, cut_page, newest_rows
from melanoma_app.services.patient_merges import has_taken_in
from melanoma_app.services.patients import clinic_day
from melanoma_app.services.text import fold_text, search_name, tidy_mrn

MAXIMUM_SIMILAR: Final = 5
MAXIMUM_BORN_ON_A_DAY: Final = 500
"""How many patients of one birth date are compared with a new one; a million patients have some 40 a day."""
_DIGITS: Final = re.compile(r"\d+")
T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, kw_only=True)
class SearchPage(Page[T]):
    """A page of what a search found; `are_alike` says that nobody fits it and these have names that are close."""

    are_alike: bool = False

    def map(self, function: Callable[[T], U]) -> SearchPage[U]:
        """The same page with every item replaced."""
        return SearchPage(
            items=[function(item) for item in self.items],
            next_cursor=self.next_cursor,
            are_alike=self.are_alike,
        )


def search_patients(
    *, search: str, actor: Actor, cursor: str | None = None, size: int = PAGE_SIZE
) -> SearchPage[Patient]:
    """The clinic's patients, newest first, that fit a search.

    A date finds birth dates, read day before month and, if nobody was born then, month before day. Anything else
    finds those of whom every word begins a part of the name or the MRN. Only if there is nobody, those are given
    whose names are a slip of the pen away; they make one page. An empty search gives all. Merged records are found
    by the record they were merged into. Whom it showed is audited; what was searched for is not, for it may be a
    name.
    """
    everybody = select(Patient).where(Patient.clinic_id == actor.clinic_id, is_not_merged())
    page: SearchPage[Patient] = SearchPage(items=[], next_cursor=None)
    for condition in _readings(search, actor):
        page = _read_page(everybody.where(*condition), cursor=cursor, size=size)
        if page.items:
            break
    if not page.items and not cursor:
        page = _find_alike(search, actor, size)
    record_patients_shown(patients=page.items, actor=actor)
    db.session.commit()
    return page


def find_newest_patients(*, actor: Actor, size: int) -> Sequence[Patient]:
    """The clinic's patients that were registered last; the caller audits whom it shows, and commits."""
    everybody = select(Patient).where(Patient.clinic_id == actor.clinic_id, is_not_merged())
    return _read_page(everybody, cursor=None, size=size).items


def find_similar_patients(
    *, mrn: str, family_name: str, given_name: str, birth_date: date | None, actor: Actor
) -> Sequence[Patient]:
    """Patients of the clinic who may be the one about to be registered.

    The same MRN, or the same birth date with the same family or given name, or the whole name alike; a name may be
    one slip of the pen away.
    """
    family, given = fold_text(family_name), fold_text(given_name)
    everybody = select(Patient).where(Patient.clinic_id == actor.clinic_id, is_not_merged())
    similar: dict[int, Patient] = {}

    def offer(query: Select[Any], is_similar: Callable[[Patient], bool] = lambda patient: True) -> None:
        for patient in db.session.scalars(query.order_by(Patient.created_at.desc(), Patient.id.desc())):
            if is_similar(patient):
                similar.setdefault(patient.id, patient)

    if mrn.strip():
        # Two queries: joined by OR, neither would have its index.
        offer(everybody.where(Patient.mrn == tidy_mrn(mrn)))
        offer(everybody.where(has_taken_in(lambda former: former.mrn == tidy_mrn(mrn))))
    if birth_date and (family or given):
        born_then = everybody.where(Patient.birth_date == birth_date).limit(MAXIMUM_BORN_ON_A_DAY)
        offer(born_then, lambda patient: any(_has_name(patient, name) for name in (family, given) if name))
    if family and given:
        whole = search_name(family_name, given_name)
        offer(everybody.where(Patient.search_name == whole).limit(MAXIMUM_SIMILAR))
        alike = [
            one.id
            for one in find_candidates(words=name_words(whole), actor=actor)
            if all(_is_part(word, one.search_name) for word in whole.split())
        ]
        offer(everybody.where(Patient.id.in_(alike[:MAXIMUM_SIMILAR])))
    found = list(similar.values())[:MAXIMUM_SIMILAR]
    record_patients_shown(patients=found, actor=actor)
    db.session.commit()
    return found


def record_patients_shown(*, patients: Iterable[Patient], actor: Actor) -> None:
    """Audit that a list showed these patients, in the caller's transaction; an empty list is not worth an entry."""
    shown = list(dict.fromkeys(str(patient.public_id) for patient in patients))
    if shown:
        record_event(action=AuditAction.PATIENTS_LISTED, actor=actor, details={"patients": shown})


def _readings(search: str, actor: Actor) -> Iterator[Sequence[ColumnElement[bool]]]:
    """What a search may mean, the likelier first; each is a query of its own, so that each has its index."""
    dates = read_dates(search, today=clinic_day(utc_now(), actor=actor))
    for day in dates:
        # Eight digits in a row may be an MRN as well.
        is_number = _DIGITS.fullmatch(search.strip())
        born = Patient.birth_date == day
        yield [or_(born, Patient.mrn.startswith(tidy_mrn(search), autoescape=True)) if is_number else born]
    if dates:
        return
    if not search.strip():
        yield []
    elif words := _words(search):
        yield [or_(_begins_word(word), _begins_mrn(word)) for word in words]
    else:
        yield [false()]  # asked for something, but for nothing that could be found


def _read_page(query: Select[Any], *, cursor: str | None, size: int) -> SearchPage[Patient]:
    rows = db.session.scalars(
        newest_rows(
            select(Patient),
            wanted=query,
            time=Patient.created_at,
            key=Patient.id,
            cursor=cursor,
            size=size,
        )
    ).all()
    page = cut_page(rows, size=size, position=lambda patient: (patient.created_at, patient.id))
    return SearchPage(items=page.items, next_cursor=page.next_cursor)


def _find_alike(search: str, actor: Actor, size: int) -> SearchPage[Patient]:
    """Those of whom every word is, begins, or is a slip away from, a part of the name; or begins the MRN."""
    words = _words(search)
    fitting = [
        one.id
        for one in find_candidates(words=name_words(" ".join(words)), actor=actor)
        if all(
            _is_part(word, one.search_name)
            or f" {word}" in f" {one.search_name}"
            or one.mrn.startswith(tidy_mrn(word))
            for word in words
        )
    ]
    patients = db.session.scalars(
        select(Patient)
        .where(Patient.id.in_(fitting))
        .order_by(Patient.created_at.desc(), Patient.id.desc())
        .limit(size)
    ).all()
    return SearchPage(items=patients, next_cursor=None, are_alike=bool(patients))


def _words(search: str) -> list[str]:
    return fold_text(search.replace(",", " ")).split()  # a name is shown as "Family, Given"


def _is_part(word: str, name: str) -> bool:
    """Whether a word is a part of a folded name, or a slip away from one."""
    return any(is_alike(word, part) for part in name_words(name))


def _has_name(patient: Patient, name: str) -> bool:
    """Whether a family or given name begins a part of the patient's, or each of its words is a slip away at most."""
    if f" {name}" in f" {patient.search_name}":
        return True
    return all(_is_part(word, patient.search_name) for word in name.split())


def _begins_mrn(word: str) -> ColumnElement[bool]:
    """Whether a word begins a patient's MRN, or that of a record merged into theirs."""

    def begins(patient: type[Patient]) -> ColumnElement[bool]:
        return patient.mrn.startswith(tidy_mrn(word), autoescape=True)

    return or_(begins(Patient), has_taken_in(begins))


def _begins_word(word: str) -> ColumnElement[bool]:
    return or_(
        Patient.search_name.startswith(word, autoescape=True),
        Patient.search_name.contains(f" {word}", autoescape=True),
    )
