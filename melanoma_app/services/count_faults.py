"""What is wrong with what is kept beside the record: a count, a task of the worklist, a total."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class CountFault:
    """A place where the statistics or the worklist are not what the records say.

    Args:
        clinic_id: Whose.
        place: The photograph's key, the cell, or the total.
        explanation: What is wrong with it.
    """

    clinic_id: int
    place: str
    explanation: str


def compare_rows(
    *, clinic_id: int, recorded: Mapping[int, Any], kept: Mapping[int, Any], where: str
) -> Iterator[CountFault]:
    """Find the rows that are not what the record says.

    Args:
        clinic_id: Whose.
        recorded: The rows that the record asks for, by photograph.
        kept: The rows that there are.
        where: What a photograph with a row is, such as "counted".
    """
    for image_id in sorted(recorded.keys() | kept.keys()):
        here, there = kept.get(image_id), recorded.get(image_id)
        if here == there:
            continue
        if here is None:
            explanation = f"it is not {where}"
        elif there is None:
            explanation = f"it is {where}, and should not be"
        else:
            names = sorted(name for name, value in there.items() if here[name] != value)
            explanation = f"it is {where} with another {', '.join(names)}"
        yield CountFault(clinic_id=clinic_id, place=f"photograph {image_id}", explanation=explanation)
