"""The log: one line of JSON a message, whatever somebody has put into it, with the request it belongs to."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Final, TextIO, cast

from flask import g, has_request_context
from flask.logging import wsgi_errors_stream


class LineFormatter(logging.Formatter):
    """Writes a record as one line: line ends and other control characters, also those of a traceback, are escaped.

    What stands in a record's `fields` (`extra={"fields": {…}}`) becomes fields of the line, to be searched and counted.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "request_id": g.get("request_id", "") if has_request_context() else "",
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


_handler: Final = logging.StreamHandler(cast(TextIO, wsgi_errors_stream))
_handler.setFormatter(LineFormatter())


def init_logging() -> None:
    """Send what every library logs to standard error in that form; once a process, however many apps it makes."""
    root = logging.getLogger()
    if _handler not in root.handlers:
        root.addHandler(_handler)
