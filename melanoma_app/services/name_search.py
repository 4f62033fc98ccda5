"""Names that are misspelt by one letter: wrong, missing, too many, or swapped with its neighbour.

Symmetric deletion (Garbe 2012, github.com/wolfgarbe/SymSpell): two words that differ by one such slip share a form
with one letter left out, or the word itself. These forms of every name stand in `patient_search_key`, so that an
index finds those who may be meant; `is_alike` then looks at the whole words. Only the first letters make the forms,
which keeps a long name from having many: whatever differs behind them leaves the beginnings equal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from sqlalchemy import delete, func, select
from sqlalchemy.engine import Row

from melanoma_app.extensions import db
from melanoma_app.models import Patient, PatientSearchKey
from melanoma_app.models.patient_merge import is_not_merged
from melanoma_app.services.actor import Actor

KEYED_LETTERS: Final = 7
"""As in SymSpell, whose author measured it the best trade of speed for size."""
SHORTEST_NAME: Final = 4
"""Letters: among shorter names one letter makes another name, not a slip."""
SHORTEST_SEARCH: Final = SHORTEST_NAME - 1
"""A name of four letters with one missing."""
MAXIMUM_CANDIDATES: Final = 2000
"""How many are looked at closely; those with the most forms in common come first."""
_HYPHENS: Final = re.compile("[-‐‑–]")  # what people type as one


def name_words(name: str) -> set[str]:
    """The words of a folded name; those of a double-barrelled one count whole and each alone."""
    words = name.split()
    return {*words, *(part for word in words for part in _HYPHENS.split(word) if part)}


def search_keys(words: Iterable[str], *, shortest: int = SHORTEST_NAME) -> set[str]:
    """The forms of words: their first letters, and these with each one left out."""
    keys = set()
    for word in words:
        if len(word) >= shortest:
            start = word[:KEYED_LETTERS]
            keys |= {start, *(start[:at] + start[at + 1 :] for at in range(len(start)))}
    return keys


def is_alike(word: str, name: str) -> bool:
    """Whether a word is a name or one slip away from it (optimal string alignment distance at most 1)."""
    if word == name:
        return True
    if len(name) < SHORTEST_NAME:
        return False
    differing = (at for at, (one, other) in enumerate(zip(word, name, strict=False)) if one != other)
    same = next(differing, min(len(word), len(name)))
    one, other = word[same:], name[same:]
    return (
        one[1:] == other[1:]  # another letter
        or one[1:] == other  # one too many
        or one == other[1:]  # one missing
        or (one[:2] == other[1::-1] and one[2:] == other[2:])  # two swapped
    )


def replace_search_keys(patient: Patient) -> None:
    """Write the forms of a patient's name anew, in the caller's transaction; the patient has been flushed."""
    db.session.execute(delete(PatientSearchKey).where(PatientSearchKey.patient_id == patient.id))
    db.session.add_all(
        PatientSearchKey(clinic_id=patient.clinic_id, patient_id=patient.id, key=key)
        for key in sorted(search_keys(name_words(patient.search_name)))
    )
    db.session.flush()


def find_candidates(*, words: Iterable[str], actor: Actor) -> list[Row[tuple[int, str, str]]]:
    """Key, folded name and MRN of the clinic's patients who share a form with one of the words."""
    keys = search_keys(words, shortest=SHORTEST_SEARCH)
    if not keys:
        return []
    # Cut to size before the join: the databases then begin with the index of the forms, whatever they think of it.
    nearest = (
        select(PatientSearchKey.patient_id)
        .where(PatientSearchKey.clinic_id == actor.clinic_id, PatientSearchKey.key.in_(sorted(keys)))
        .group_by(PatientSearchKey.patient_id)
        .order_by(func.count().desc(), PatientSearchKey.patient_id.desc())
        .limit(MAXIMUM_CANDIDATES)
        .subquery()
    )
    return list(
        db.session.execute(
            select(Patient.id, Patient.search_name, Patient.mrn)
            .join(nearest, nearest.c.patient_id == Patient.id)
            .where(is_not_merged())
        )
    )
