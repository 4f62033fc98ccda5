from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from melanoma_app.services.name_search import (
    SHORTEST_NAME,
    SHORTEST_SEARCH,
    is_alike,
    name_words,
    search_keys,
)

LETTERS = st.sampled_from("abcdelmnorst'")
NAMES = st.text(LETTERS, min_size=SHORTEST_NAME, max_size=14)


@st.composite
def slips(draw: st.DrawFn) -> tuple[str, str]:
    """A name, and the name with one letter wrong, missing, too many, or swapped with the next."""
    name = draw(NAMES)
    at = draw(st.integers(0, len(name) - 1))
    kind = draw(st.sampled_from(["wrong", "missing", "doubled", "added", "swapped"]))
    if kind == "wrong":
        return name, name[:at] + draw(LETTERS) + name[at + 1 :]
    if kind == "missing":
        return name, name[:at] + name[at + 1 :]
    if kind == "doubled":
        return name, name[: at + 1] + name[at:]
    if kind == "added":
        return name, name[:at] + draw(LETTERS) + name[at:]
    return name, name[:at] + name[at : at + 2][::-1] + name[at + 2 :]


@given(slip=slips())
@example(("garcia", "gracia"))
@example(("anderson", "andersno"))  # behind the letters that make the forms
@example(("abcdefgh", "abcdefhg"))  # across their end
@example(("john", "jhn"))
def test_name_is_found_when_one_slip_was_made(slip: tuple[str, str]) -> None:
    name, typed = slip

    assert search_keys([typed], shortest=SHORTEST_SEARCH) & search_keys([name])
    assert is_alike(typed, name)


@given(word=st.text(LETTERS, max_size=9), name=NAMES)
@example("", "abcd")
@example("abcd", "dcba")
def test_words_are_alike_exactly_when_their_distance_is_one_at_most(word: str, name: str) -> None:
    assert is_alike(word, name) == (distance(word, name) <= 1)


def distance(one: str, other: str) -> int:
    """Optimal string alignment distance, by the textbook's table."""
    table = {(i, j): i + j for i in range(len(one) + 1) for j in range(len(other) + 1)}
    for i in range(1, len(one) + 1):
        for j in range(1, len(other) + 1):
            substituted = table[i - 1, j - 1] + (one[i - 1] != other[j - 1])
            table[i, j] = min(table[i - 1, j] + 1, table[i, j - 1] + 1, substituted)
            if i > 1 and j > 1 and one[i - 2 : i] == other[j - 2 : j][::-1]:
                table[i, j] = min(table[i, j], table[i - 2, j - 2] + 1)
    return table[len(one), len(other)]


def test_short_name_is_alike_only_when_equal() -> None:
    assert is_alike("ana", "ana")
    assert not is_alike("anna", "ana")
    assert not search_keys(["ana"])


def test_double_barrelled_name_counts_whole_and_in_parts_when_split() -> None:
    assert name_words("muller-ludenscheidt ana") == {"muller-ludenscheidt", "muller", "ludenscheidt", "ana"}


@given(words=st.lists(NAMES, max_size=3))
def test_every_form_fits_its_column_when_made(words: list[str]) -> None:
    assert all(0 < len(key) <= 16 for key in search_keys(words))
