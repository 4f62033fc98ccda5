"""The clinic's clock: this machine's, as long as it agrees with the database's; else the database's.

Several machines share one record. One whose clock was set back would sign out those who come from the others, keep
sessions and tokens open that are long over, take jobs from workers that are alive, and date records wrongly. The
database's server is the one machine that all of them ask, so what it says is the time. SQLite has no clock of its own.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

TOLERANCE_S: Final = 2.0
"""What machines set by NTP stay far below; within it each believes its own clock."""
LOOK_EVERY_S: Final = 60.0
SLOWEST_ANSWER_S: Final = 1.0
"""An answer that took longer says the time too roughly."""

logger = logging.getLogger(__name__)


class ClinicClock:
    """Tells the time; between two looks it goes on by the one clock of the machine that nobody can set."""

    def __init__(self) -> None:
        self._span_s: float | None = None
        """The database's time less the machine's monotonic one; None before the first look."""
        self._looked_at = 0.0
        self._told_s = 0.0

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        own_s = time.time()
        if self._span_s is not None:
            reckoned_s = time.monotonic() + self._span_s
            if abs(own_s - reckoned_s) > TOLERANCE_S:
                return datetime.fromtimestamp(reckoned_s, UTC)
        return datetime.now(UTC)

    @property
    def is_due(self) -> bool:
        """Whether it is time to look at the database's clock: after a minute; after a second while ours is wrong."""
        if self._span_s is None:
            return True
        reckoned_s = time.monotonic() + self._span_s
        is_off = abs(time.time() - reckoned_s) > TOLERANCE_S
        return time.monotonic() - self._looked_at > (1.0 if is_off or self._told_s else LOOK_EVERY_S)

    def look(self, connection: Any) -> None:
        """Ask the database for the time.

        Args:
            connection: The driver's own, of MySQL or MariaDB. One that is broken is left for the statement that
                comes next, whose failure has its answer.
        """
        self._looked_at = before_s = time.monotonic()
        with suppress(connection.Error):
            with connection.cursor() as cursor:
                cursor.execute("SELECT UTC_TIMESTAMP(6)")
                (theirs,) = cursor.fetchone()
            after_s = time.monotonic()
            if after_s - before_s <= SLOWEST_ANSWER_S:
                self._span_s = theirs.replace(tzinfo=UTC).timestamp() - (before_s + after_s) / 2
                self._tell()

    def _tell(self) -> None:
        """Log once that the clocks differ, and once that they agree again."""
        assert self._span_s is not None  # noqa: S101 (just measured)
        behind_s = time.monotonic() + self._span_s - time.time()
        if abs(behind_s - self._told_s) <= TOLERANCE_S:
            return
        if abs(behind_s) > TOLERANCE_S:
            logger.warning(
                "the clock of this machine is %.0f s %s that of the database, which is used instead: let NTP set "
                "both (timedatectl)",
                abs(behind_s),
                "behind" if behind_s > 0 else "ahead of",
            )
            self._told_s = behind_s
        else:
            logger.warning("the clock of this machine agrees with that of the database again")
            self._told_s = 0.0


clinic_clock: Final = ClinicClock()
"""This process's; it has one database."""
