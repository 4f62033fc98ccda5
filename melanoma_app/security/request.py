"""How a request's body is taken in."""

from __future__ import annotations

import io
from typing import IO

from flask import Request


class ClinicRequest(Request):
    """Holds uploads in memory, which the upload limit keeps small.

    Werkzeug writes larger ones to a temporary file: a photograph that nobody has checked yet would lie on the disk,
    and stay there if the process died.
    """

    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        return io.BytesIO()
