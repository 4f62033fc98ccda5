"""Lists as CSV files for spreadsheets."""

from __future__ import annotations

import csv
import io
import re
import tempfile
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, datetime
from typing import IO, Any, Final, TypeVar

from melanoma_app.extensions import db
from melanoma_app.models import LesionImage, Patient, Prediction
from melanoma_app.models.base import utc_now
from melanoma_app.models.vocabulary import AuditAction, OutcomeLabel
from melanoma_app.services.actor import Actor
from melanoma_app.services.audit import record_event
from melanoma_app.services.counted_tests import list_tests
from melanoma_app.services.overview import PatientSummary, list_patient_summaries
from melanoma_app.services.paging import Page
from melanoma_app.services.patients import clinic_day
from melanoma_app.services.statistics_filter import StatisticsFilter
from melanoma_app.services.worklist import list_overdue_monitoring, list_pending_histology, list_unsigned

ROWS_AT_ONCE: Final = 500
"""How many rows are read, and audited as shown, at a time."""
_IN_MEMORY_BYTES: Final = 4_000_000
_BORDERS: Final = ",;\t\r\n"
_BEFORE_A_FORMULA: Final = re.compile(
    rf"""(?:^|(?<=[{_BORDERS}]))[^\S{_BORDERS}]*(?:["'`\u2018-\u201f\u00ab\u00bb][^\S{_BORDERS}]*)*(?=[=+\-@])"""
)
T = TypeVar("T")
Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class ExportedList:
    """A finished CSV file, at its beginning; closing it removes it.

    Args:
        name: What a browser should call it: the list and the clinic's day, nothing of a patient.
        content: The file: UTF-8 with the mark that spreadsheets know it by.
        size_bytes: How long it is.
    """

    name: str
    content: IO[bytes]
    size_bytes: int


def export_patients(*, search: str, actor: Actor) -> ExportedList:
    """The patients that a search finds, as the list of patients shows them.

    Raises:
        InvalidInputError: The search cannot be right.
    """

    def pages(cursor: str | None) -> Page[PatientSummary]:
        return list_patient_summaries(search=search, actor=actor, cursor=cursor, size=ROWS_AT_ONCE)

    return export_rows("patients", (_describe_summary(one) for one in _walk(pages)), _PATIENT_LIST, actor)


def export_examinations(*, chosen: StatisticsFilter, actor: Actor) -> ExportedList:
    """The tests that the filters let through, as the list of examinations shows them."""

    def pages(cursor: str | None) -> Page[Prediction]:
        return list_tests(chosen=chosen, actor=actor, cursor=cursor, size=ROWS_AT_ONCE)

    rows = (
        _describe_patient(one.lesion_image.lesion.patient)
        | _describe_image(one.lesion_image)
        | _describe_prediction(one)
        for one in _walk(pages)
    )
    return export_rows("examinations", rows, _EXAMINATION_LIST, actor)


def export_worklist(*, outcome: OutcomeLabel | None, actor: Actor) -> ExportedList:
    """All three parts of the worklist, each row with the part it belongs to."""
    return export_rows("worklist", _describe_worklist(outcome, actor), _WORKLIST, actor)


def write_csv(file: IO[str], columns: Sequence[str], rows: Iterable[Row]) -> int:
    """Write a header and rows, every cell a value or quoted text that no spreadsheet takes for a formula.

    Returns:
        How many rows there were.
    """
    writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(columns)
    count = 0
    for count, row in enumerate(rows, start=1):  # noqa: B007 (it is what is returned)
        writer.writerow([_cell(row.get(column)) for column in columns])
    return count


def neutralise(text: str) -> str:
    """Put an apostrophe before whatever a spreadsheet would take for the beginning of a formula.

    That is ``= + - @``, also behind blanks and quotes, in the forms of other scripts (``＝``), and after what another
    program may take for the border of a cell (comma, semicolon, tab, line end); and a tab or line end that comes first.
    From OWASP, CSV Injection, https://owasp.org/www-community/attacks/CSV_Injection.
    """
    plain = "".join(_plain(letter) for letter in text)
    marks = {match.start() for match in _BEFORE_A_FORMULA.finditer(plain)}
    if text.startswith(("\t", "\r", "\n")):
        marks.add(0)
    return "".join(("'" if place in marks else "") + letter for place, letter in enumerate(text))


def _plain(letter: str) -> str:
    """One letter for one: without its width, and a blank for what has none."""
    if letter not in _BORDERS and unicodedata.category(letter) in ("Cc", "Cf"):
        return " "
    return unicodedata.normalize("NFKC", letter)[:1] or letter


def export_rows(
    name: str,
    rows: Iterable[Row],
    columns: Sequence[str],
    actor: Actor,
    *,
    action: AuditAction = AuditAction.RECORDS_EXPORTED,
    details: Mapping[str, Any] | None = None,
) -> ExportedList:
    """Write the whole file before any of it is sent, so that a failure never looks like a short but whole list.

    The entry that tells of the export is kept before the first byte leaves, so one that is broken off counts too.

    Args:
        name: Of the list.
        rows: What is in it.
        columns: The names of a row's values, in the order of the file.
        actor: Who exports.
        action: What the audit calls it.
        details: What the entry says beside the list and the number of its rows.
    """
    with ExitStack() as left_open:
        # Small lists never touch the disk; the larger ones have no name there and go with the process.
        file: IO[bytes] = left_open.enter_context(tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES))
        text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="", write_through=True)
        count = write_csv(text, columns, rows)
        text.detach()
        size_bytes = file.tell()
        file.seek(0)
        record_event(action=action, actor=actor, details={"list": name, "rows": count, **(details or {})})
        db.session.commit()
        if size_bytes <= _IN_MEMORY_BYTES:
            file = io.BytesIO(file.read())
        else:
            left_open.pop_all()
    today = clinic_day(utc_now(), actor=actor)
    return ExportedList(name=f"{name}-{today.isoformat()}.csv", content=file, size_bytes=size_bytes)


def _walk(read_page: Callable[[str | None], Page[T]]) -> Iterator[T]:
    cursor = None
    while True:
        page = read_page(cursor)
        yield from page.items
        cursor = page.next_cursor
        if cursor is None:
            return


def _cell(value: Any) -> Any:
    """Numbers stay numbers; dates and times ISO 8601; `true`, `false`, and nothing where nobody knows."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return value
    if isinstance(value, date | datetime):
        return value.isoformat()
    return neutralise(str(value))


_PATIENT: Final = (
    "patient_id",
    "mrn",
    "family_name",
    "given_name",
    "birth_date",
    "birth_date_precision",
    "gender",
)
_RISKS_AND_CONSENTS: Final = (
    "fitzpatrick_skin_type",
    "personal_history_of_melanoma",
    "family_history_of_melanoma",
    "consent_to_care",
    "consent_to_ai_analysis",
    "consent_to_research",
    "created_at",
)
_IMAGE: Final = (
    "lesion_id",
    "lesion_number",
    "anatom_site_general",
    "laterality",
    "image_id",
    "image_type",
    "captured_at",
    "captured_on",
    "clin_size_long_diam_mm",
)
_PREDICTION: Final = (
    "prediction_id",
    "malignancy_probability",
    "threshold",
    "label",
    "operating_point",
    "model_name",
    "model_version",
)
_PATIENT_LIST: Final = (
    *_PATIENT,
    *_RISKS_AND_CONSENTS,
    "last_captured_at",
    "last_malignancy_probability",
    "last_label",
)
_EXAMINATION_LIST: Final = (*_PATIENT, *_IMAGE, *_PREDICTION)
_WORKLIST: Final = ("section", *_PATIENT, *_IMAGE, *_PREDICTION, "plan", "due_on", "signed_at", "is_overdue")


def _describe_summary(summary: PatientSummary) -> Row:
    last = summary.last_prediction
    return (
        _describe_patient(summary.patient)
        | {name: getattr(summary.patient, name) for name in _RISKS_AND_CONSENTS}
        | {
            "last_captured_at": last.lesion_image.captured_at if last else None,
            "last_malignancy_probability": last.malignancy_probability if last else None,
            "last_label": last.label if last else None,
        }
    )


def _describe_worklist(outcome: OutcomeLabel | None, actor: Actor) -> Iterator[Row]:
    for one in _walk(
        lambda cursor: list_unsigned(actor=actor, cursor=cursor, size=ROWS_AT_ONCE, outcome=outcome)
    ):
        yield (
            {"section": "unsigned"}
            | _describe_patient(one.image.lesion.patient)
            | _describe_image(one.image)
            | _describe_prediction(one.prediction)
        )
    waiting = [
        ("histology_pending", one.review, one.is_overdue)
        for one in list_pending_histology(actor=actor, size=None)
    ] + [("monitoring_overdue", one, True) for one in list_overdue_monitoring(actor=actor, size=None)]
    for section, review, is_overdue in waiting:
        yield (
            {"section": section, "is_overdue": is_overdue}
            | _describe_patient(review.lesion_image.lesion.patient)
            | _describe_image(review.lesion_image)
            | _describe_prediction(review.prediction)
            | {"plan": review.plan, "due_on": review.due_on, "signed_at": review.signed_at}
        )


def _describe_patient(patient: Patient) -> dict[str, Any]:
    return {"patient_id": patient.public_id} | {name: getattr(patient, name) for name in _PATIENT[1:]}


def _describe_image(image: LesionImage) -> dict[str, Any]:
    return {
        "lesion_id": image.lesion.public_id,
        "lesion_number": image.lesion.number,
        "anatom_site_general": image.lesion.anatom_site_general,
        "laterality": image.lesion.laterality,
        "image_id": image.public_id,
        "image_type": image.image_type,
        "captured_at": image.captured_at,
        "captured_on": image.captured_on,
        "clin_size_long_diam_mm": image.clin_size_long_diam_mm,
    }


def _describe_prediction(prediction: Prediction | None) -> dict[str, Any]:
    if prediction is None:
        return {}
    return {
        "prediction_id": prediction.public_id,
        "malignancy_probability": prediction.malignancy_probability,
        "threshold": prediction.threshold,
        "label": prediction.label,
        "operating_point": prediction.operating_point,
        "model_name": prediction.model_version.name,
        "model_version": prediction.model_version.version,
    }
