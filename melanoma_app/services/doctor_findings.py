"""What `flask doctor` says of one thing it has looked at."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Health(StrEnum):
    """How well a part is."""

    OK = "ok"
    LOOK = "look"
    BROKEN = "broken"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the doctor's.

    Args:
        health: `look` works today and may not tomorrow; `broken` does not work, or endangers the record.
        part: What was looked at.
        words: What was found, and unless it is well what to do.
    """

    health: Health
    part: str
    words: str


def well(part: str, words: str) -> Finding:
    """Nothing to do."""
    return Finding(health=Health.OK, part=part, words=words)


def look(part: str, words: str) -> Finding:
    """Something to see to before long."""
    return Finding(health=Health.LOOK, part=part, words=words)


def broken(part: str, words: str) -> Finding:
    """Something to mend now."""
    return Finding(health=Health.BROKEN, part=part, words=words)
