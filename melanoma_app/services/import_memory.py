"""What a dry run would have written: kept in a file without a name, so that a million rows need no memory."""

from __future__ import annotations

import json
import sqlite3
from typing import Any


class DryRunMemory:
    """Values by key, for the life of the object; SQLite's temporary database goes to the disk when it grows."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect("")
        self._connection.execute("CREATE TABLE memory (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID")

    def recall(self, *key: object) -> Any:
        """What was kept under a key; None for nothing."""
        found = self._connection.execute(
            "SELECT value FROM memory WHERE key = ?", (json.dumps(key, default=str),)
        ).fetchone()
        return json.loads(found[0]) if found else None

    def keep(self, value: Any, *key: object) -> None:
        """Keep a value under a key, instead of an earlier one."""
        self._connection.execute(
            "INSERT OR REPLACE INTO memory VALUES (?, ?)",
            (json.dumps(key, default=str), json.dumps(value, default=str)),
        )

    def close(self) -> None:
        """Forget everything."""
        self._connection.close()
