"""How long a request may wait for a free thread: beyond that it is refused at once, so that the line stays short.

All threads busy, gunicorn lets requests wait in line without any bound. Each is answered in its turn, long after its
sender has given up, and whoever comes next waits behind it. A refusal costs a few milliseconds, so a line that has
grown too long is gone in a moment, and who comes then is answered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from flask import Flask, request

from melanoma_app.errors import BusyError

LONGEST_WAIT_S: Final = 1.0
"""Then everybody has an answer within two seconds, also behind a photograph: a page, or when to come again."""
ALWAYS_ANSWERED: Final = frozenset({"static", "health.live", "health.ready", "metrics.read"})
"""They cost no more than a refusal; a page without its styles, or a proxy that takes us for dead, would cost more."""
TURN: Final = "clinic.turn"
"""Where the request's environment says when it came to its turn; nothing there, nobody waits."""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """When a thread took a request up, as `web_worker.py` knows.

    Args:
        waited_s: Since its first bytes had come. What a slow sender still owes is not counted.
        behind: How many stood in line behind it.
    """

    waited_s: float
    behind: int


def init_request_gate(app: Flask, *, threads: int) -> None:
    """Refuse what has waited too long, before anything is read, looked up or written for it.

    The last in line are answered however long they have waited: they will be done in a moment, and nobody would have
    an answer sooner if they were sent away.

    Args:
        app: The app, which has given the request its id already.
        threads: Of this process; as many in line are its last.
    """

    def refuse_the_late() -> None:
        turn: Turn | None = request.environ.get(TURN)
        if turn is None or request.endpoint in ALWAYS_ANSWERED:
            return
        if turn.waited_s > LONGEST_WAIT_S and turn.behind >= threads:
            raise BusyError(
                "The server is asked for more than it can answer at present. Nothing was saved: try again in a few "
                "seconds."
            )

    app.before_request(refuse_the_late)
