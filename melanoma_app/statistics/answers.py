"""The forms of an answer: JSON or CSV as the caller prefers, and nothing at all where the caller has it already."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from flask import Response, current_app, jsonify, request
from marshmallow import Schema

from melanoma_app.errors import NotAcceptableError
from melanoma_app.services.record_export import Row, write_csv
from melanoma_app.statistics.schemas import StatisticsCall

JSON: Final = "application/json"
CSV: Final = "text/csv"
# An Accept header may name the character set; both are always UTF-8.
_OFFERED: Final = {f"{form}{charset}": form for form in (JSON, CSV) for charset in ("", "; charset=utf-8")}
_BY_NAME: Final = {"json": JSON, "csv": CSV}


@dataclass(frozen=True, kw_only=True)
class Table:
    """An answer as rows.

    Args:
        name: What the file is about.
        columns: The header.
        counts: The columns among them that hold counts; None is one that is not shown.
        rows: The cells by column.
    """

    name: str
    columns: Sequence[str]
    counts: Sequence[str]
    rows: Iterable[Row]


def choose_media_type(call: StatisticsCall) -> str:
    """The form that the call asks for; JSON where it does not say.

    Raises:
        NotAcceptableError: It takes neither JSON nor CSV.
    """
    if call.file_format:
        return _BY_NAME[call.file_format]
    if not request.accept_mimetypes:
        return JSON
    found = request.accept_mimetypes.best_match(_OFFERED)
    if found is None:
        raise NotAcceptableError(
            f"This is answered as {JSON} or {CSV}. Accept one of them, or leave Accept out."
        )
    return _OFFERED[found]


def send_answer(media_type: str, answer: dict[str, Any], schema: Schema, table: Table) -> Response:
    """The answer in the form that was chosen, or 304 where the caller's copy is still good."""
    if media_type == CSV:
        response = current_app.response_class(_write_table(table), mimetype=CSV)
    else:
        response = jsonify(schema.dump(answer))
    # Made of what is shown: a tag of exact counts would tell when a hidden one changes.
    mark = f"{media_type} {answer['is_protected']}\n".encode()
    tag = hashlib.sha256(mark + response.get_data()).hexdigest()
    response.set_etag(tag)
    response.vary.update(("Accept", "Authorization"))
    if request.if_none_match.contains_weak(tag):
        response.status_code = HTTPStatus.NOT_MODIFIED
    elif media_type == CSV:
        name = f"statistics-{table.name}-{answer['unit']}s.csv"
        response.headers.set("Content-Disposition", "attachment", filename=name)
    return response


def _write_table(table: Table) -> str:
    text = io.StringIO(newline="")
    rows = ({**row, "suppressed": any(row[name] is None for name in table.counts)} for row in table.rows)
    write_csv(text, [*table.columns, "suppressed"], rows)
    return text.getvalue()
