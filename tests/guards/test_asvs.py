"""The tables of docs/asvs.md and docs/threat-model.md: nothing is left out, and every test they name is there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from config import PROJECT_ROOT

LEVEL_2 = {
    1: (2, 9, 11, 3, 2),
    2: (3, 3, 4, 1),
    3: (0, 2, 4, 6, 5, 0, 2),
    4: (3, 1, 2, 4),
    5: (1, 3, 2, 3),
    6: (3, 12, 4, 4, 5, 3, 0, 4),
    7: (3, 4, 2, 5, 2, 2),
    8: (2, 3, 1, 1),
    9: (3, 4),
    10: (2, 2, 4, 11, 5, 2, 3),
    11: (2, 3, 3, 4, 1, 1),
    12: (3, 2, 4),
    13: (1, 5, 2, 5),
    14: (2, 4, 3),
    15: (3, 3, 7),
    16: (1, 5, 4, 3, 3),
    17: (1, 4, 2),
}
"""How many requirements of level 1 or 2 each section of ASVS 5.0.0 has; those of level 3 come last in all of them."""
REASONS = ("Read: ", "Clinic: ", "Partly: ", "Not met: ", "Not applicable: ")
DOCUMENTS = ("docs/asvs.md", "docs/threat-model.md", "SECURITY.md")


def rows_of(document: str) -> Iterator[list[str]]:
    """The cells of the rows that begin with a requirement's number."""
    for line in (PROJECT_ROOT / document).read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and re.match(r"\d+\.\d+\.\d+", cells[0]):
            yield cells


def numbers_in(cell: str) -> Iterator[str]:
    """`6.6.1–6.6.3, 6.8.1` one by one."""
    for part in cell.split(", "):
        first, _, last = part.partition("–")
        section, _, number = first.rpartition(".")
        for one in range(int(number), int((last or first).rpartition(".")[2]) + 1):
            yield f"{section}.{one}"


@cache
def names_in(path: Path) -> frozenset[str]:
    """The tests of a file as pytest names them, without parameters."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            names |= {f"{node.name}::{one.name}" for one in node.body if isinstance(one, ast.FunctionDef)}
        elif isinstance(node, ast.FunctionDef):
            names.add(node.name)
    return frozenset(name for name in names if name.rpartition("::")[2].startswith("test_"))


def test_every_requirement_stands_in_the_table_once_when_read() -> None:
    asked = [
        f"{chapter}.{section}.{number}"
        for chapter, sections in LEVEL_2.items()
        for section, count in enumerate(sections, start=1)
        for number in range(1, count + 1)
    ]

    assert [number for cells in rows_of("docs/asvs.md") for number in numbers_in(cells[0])] == asked


def test_every_line_names_a_test_or_a_reason_when_read() -> None:
    for number, _, how, held_by in rows_of("docs/asvs.md"):
        assert held_by.startswith("`tests/") or how.startswith(REASONS), number


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_named_test_is_there_when_read(document: str) -> None:
    missing = []
    for named in re.findall(r"`(tests/[^`]+)`", (PROJECT_ROOT / document).read_text(encoding="utf-8")):
        file, _, name = named.partition("::")
        path = PROJECT_ROOT / file
        if path.is_dir():
            continue
        if not path.is_file() or not names_in(path) or (name and name not in names_in(path)):
            missing.append(named)

    assert missing == []
