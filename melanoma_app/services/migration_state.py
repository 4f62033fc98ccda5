"""How far the database's migrations are: at this program's newest, behind it, or ahead of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from alembic.script import ScriptDirectory


@dataclass(frozen=True, kw_only=True)
class MigrationState:
    """What a database's revision means to this program.

    Args:
        missing: Migrations that have not run yet, oldest first, as `0007_slug`.
        is_newer: Whether a newer program has upgraded the database. Migrations leave an older one working, so that the
            processes of a clinic can be exchanged one by one.
    """

    missing: tuple[str, ...] = ()
    is_newer: bool = False


def compare_revision(revision: str | None, *, migrations: Path) -> MigrationState:
    """Say what a revision lacks.

    Args:
        revision: What the database's table `alembic_version` says; None: nothing.
        migrations: The folder of the migrations.
    """
    known = _read_names(migrations)
    if revision is None:
        return MigrationState(missing=tuple(known.values()))
    if revision not in known:
        return MigrationState(is_newer=True)
    passed = list(known).index(revision) + 1
    return MigrationState(missing=tuple(known.values())[passed:])


@cache
def _read_names(migrations: Path) -> dict[str, str]:
    """The migrations' file names by revision, oldest first; a guard test holds that they are one line."""
    scripts = ScriptDirectory(str(migrations))
    found = [(script.revision, Path(script.path).stem) for script in scripts.walk_revisions()]
    return dict(reversed(found))
