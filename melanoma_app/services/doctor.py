"""`flask doctor`: everything that can be looked at in a moment and told in a line, changing nothing."""

from __future__ import annotations

from collections.abc import Iterator

from config import PROJECT_ROOT, Settings
from melanoma_app.services.doctor_database import examine_database
from melanoma_app.services.doctor_findings import Finding, Health
from melanoma_app.services.doctor_machine import examine_machine
from melanoma_app.services.doctor_records import examine_records
from melanoma_app.services.doctor_settings import examine_settings


def examine(*, settings: Settings) -> Iterator[Finding]:
    """Look at every part, one after the other; one that fails hides no other.

    No secret, no name and no record is told, so the lines may be sent to whoever helps.

    Args:
        settings: What the app was started with.
    """
    yield from examine_settings(settings)
    is_reached = True
    for finding in examine_database(migrations=PROJECT_ROOT / "migrations"):
        is_reached = is_reached and not (finding.part == "database" and finding.health is Health.BROKEN)
        yield finding
    if is_reached:
        yield from examine_records()
    yield from examine_machine(settings, is_database_there=is_reached)
