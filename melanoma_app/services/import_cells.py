"""The cells of an import: days and words, read in one way only."""

from __future__ import annotations

import re
from datetime import date
from enum import StrEnum
from typing import Final, TypeVar

from melanoma_app.errors import InvalidInputError

_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
Word = TypeVar("Word", bound=StrEnum)


def parse_day(text: str, *, field: str) -> date:
    """A day written as 2026-03-31, and in no other way, for 3/4 is two days.

    Raises:
        InvalidInputError: It is not written so, or there is no such day.
    """
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    message = f"Write the day as year, month and day: 2026-03-31. “{text[:20]}” is not one."
    raise InvalidInputError(message, fields={field: [message]})


def parse_word(text: str, *, vocabulary: type[Word], field: str) -> Word:
    """A word of a vocabulary, in upper or lower case.

    Raises:
        InvalidInputError: It is none of them.
    """
    for word in vocabulary:
        if word.value.lower() == text.lower():
            return word
    message = f"Write one of: {', '.join(vocabulary)}."
    raise InvalidInputError(message, fields={field: [message]})
