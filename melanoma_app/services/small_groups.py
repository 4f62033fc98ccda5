"""Small groups: what is said of people is held back, step by step, until enough others are described alike.

k-anonymity, by suppression: Sweeney 2002, doi 10.1142/S0218488502001648. Each person is described by all that is given
out of them, so two rows of one person never tell more together than each alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

SMALLEST_GROUP: Final = 5
"""People described alike at the least; the number that the counts of this app use, too."""


@dataclass(frozen=True, kw_only=True)
class Person:
    """What would be said of somebody, the first to be held back first."""

    site: Hashable
    skin_type: Hashable
    age: Hashable
    gender: Hashable


STEPS: Final = ("site", "skin_type", "age", "gender")
"""In this order a field after the other is held back."""


def choose_steps(people: Mapping[int, Person]) -> dict[int, int]:
    """How many of STEPS have to be held back of each person.

    Whoever has enough others at a step is described so; the rest goes on to the next step, among themselves.

    Args:
        people: What would be said of each, by a key of the caller's.

    Returns:
        The number of steps by the same key; who is in too small a group even with nothing said is left out.
    """
    chosen: dict[int, int] = {}
    rest: Sequence[int] = list(people)
    for step in range(len(STEPS) + 1):
        groups: defaultdict[tuple[Hashable, ...], list[int]] = defaultdict(list)
        for key in rest:
            groups[tuple(getattr(people[key], name) for name in STEPS[step:])].append(key)
        rest = []
        for group in groups.values():
            if len(group) >= SMALLEST_GROUP:
                chosen |= dict.fromkeys(group, step)
            else:
                rest = [*rest, *group]
    return chosen
