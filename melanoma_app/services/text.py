"""Text as people type it, made fit to keep and to compare."""

from __future__ import annotations

import unicodedata


def tidy_paragraphs(text: str) -> str:
    """Text of several lines, each tidied."""
    return "\n".join(tidy_text(line) for line in text.splitlines()).strip()


def tidy_text(text: str) -> str:
    """Composed characters, single spaces, and nothing that cannot be seen."""
    visible = "".join(c if c.isprintable() else " " for c in unicodedata.normalize("NFC", text))
    return " ".join(visible.split())


def tidy_mrn(mrn: str) -> str:
    """An MRN as it is kept: upper case, without spaces."""
    return "".join(unicodedata.normalize("NFKC", mrn).upper().split())


def fold_text(text: str) -> str:
    """Lower case without accents, so that every database finds García when told garcia."""
    decomposed = unicodedata.normalize("NFKD", tidy_text(text).casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def search_name(family_name: str, given_name: str) -> str:
    """The column that searches look in: family and given name, folded, at most 255 characters."""
    return f"{fold_text(family_name)} {fold_text(given_name)}"[:255]
